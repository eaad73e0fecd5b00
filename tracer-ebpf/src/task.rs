//! Processes as they are made, get a new image, and end.

use aya_ebpf::{
    helpers::{bpf_get_current_comm, bpf_get_current_pid_tgid, generated::bpf_ktime_get_ns},
    macros::raw_tracepoint,
    programs::RawTracePointContext,
};
use aya_log_ebpf::warn;
use tracer_ebpf::{InFlight, Target, TaskRecord, kind, loss};

use crate::{
    allocator_maps, call, emit, in_flight,
    memory::{Running, Task},
    record, targets,
};

/// `sched_process_fork(parent, child)`: runs before the child does, so the child is a
/// target from its first instruction on.
#[raw_tracepoint(tracepoint = "sched_process_fork")]
pub fn fork(ctx: RawTracePointContext) -> i32 {
    let id = bpf_get_current_pid_tgid();
    let Some(parent) = targets::find((id >> 32) as u32) else {
        return 0;
    };
    // SAFETY: the value lives as long as the program runs (`targets::find`).
    let follow = unsafe { (*parent).follow };
    let child = Task::from_address(ctx.arg::<u64>(1));
    let tgid = child.tgid();
    if tgid != 0 && tgid != (id >> 32) as u32 {
        if follow == 0 {
            return 0;
        }
        let target = Target {
            entered: 0,
            exited: 0,
            follow,
            // SAFETY: the helper takes nothing and cannot fail.
            since: unsafe { bpf_ktime_get_ns() },
            first: InFlight::NEW,
            image: 0,
        };
        if !targets::add(tgid, &target) {
            emit::count_lost(loss::TARGETS);
            warn!(
                &ctx,
                "the table of processes is full: process {} is not followed", tgid
            );
            return 0;
        }
    }
    // Before it is counted as a call itself.
    let alone = call::forks_alone(id, parent);
    if tgid != (id >> 32) as u32 {
        call::count_whole(parent);
    }
    if let Some(mut entry) = emit::reserve::<TaskRecord>(loss::FORK) {
        let record = entry.as_mut_ptr();
        // SAFETY: the entry is ours until it is submitted, and every field is written.
        unsafe {
            fill(record, id, kind::FORK);
            (*record).header.quiet = u64::from(alone);
            (*record).child_tgid = tgid;
            (*record).child_tid = child.pid();
            child.figures(&raw mut (*record).child);
        }
        emit::submit(entry, true);
    }
    0
}

/// `sched_process_exec`: the new image is in place, its first instruction has not run.
#[raw_tracepoint(tracepoint = "sched_process_exec")]
pub fn exec(ctx: RawTracePointContext) -> i32 {
    let id = bpf_get_current_pid_tgid();
    let Some(target) = targets::find((id >> 32) as u32) else {
        return 0;
    };
    allocator_maps::executed(id);
    // SAFETY: as above. No other thread is left that could write: exec ended them all.
    // Calls they had under way are never left, so the count of those begins anew.
    unsafe {
        (*target).exited = (*target).entered;
        (*target).image += 1;
    };
    // A thread that is not the first takes the first one's id: its call ends under another key.
    let old_tid = ctx.arg::<u64>(1) as u32;
    if old_tid != id as u32 {
        in_flight::forget((id & !0xffff_ffff) | u64::from(old_tid));
    }
    write(id, kind::EXEC, loss::EXEC, 0, true);
    0
}

/// A target entered `exit_group`: the last moment at which every kernel still has the
/// address space.
#[inline(always)]
pub fn exiting(id: u64) {
    write(id, kind::EXITING, loss::EXIT, 0, false);
}

/// `sched_process_exit`: a thread ends, and with the last one the process.
#[raw_tracepoint(tracepoint = "sched_process_exit")]
pub fn thread_end(_ctx: RawTracePointContext) -> i32 {
    let id = bpf_get_current_pid_tgid();
    let tgid = (id >> 32) as u32;
    let Some(target) = targets::find(tgid) else {
        // It may have been one when the thread made its calls.
        in_flight::forget(id);
        return 0;
    };
    // A thread that is killed within a call never leaves it.
    call::abandon(id, target);
    allocator_maps::thread_ended(id);
    let last = Task::current().live_threads() == Some(0);
    write(id, kind::EXIT, loss::EXIT, u64::from(last), last);
    if last {
        targets::remove(tgid);
    }
    0
}

#[inline(always)]
fn write(id: u64, kind: u32, slot: u32, last: u64, urgent: bool) {
    if let Some(mut entry) = emit::reserve::<TaskRecord>(slot) {
        let out = entry.as_mut_ptr();
        // SAFETY: the entry is ours until it is submitted, and every field is written.
        unsafe {
            fill(out, id, kind);
            (*out).child_tgid = 0;
            (*out).child_tid = 0;
            (*out).child = record::NO_FIGURES;
            (*out).last = last;
        }
        emit::submit(entry, urgent);
    }
}

/// Fills the header, with the running task's figures, and `last`.
///
/// # Safety
/// `record` must be valid for writes.
#[inline(always)]
unsafe fn fill(record: *mut TaskRecord, id: u64, kind: u32) {
    // SAFETY: by this function's contract; the helper takes nothing and cannot fail.
    unsafe {
        let header = &raw mut (*record).header;
        record::fill_header(header, id, kind, bpf_ktime_get_ns());
        (*header).quiet = 0;
        (*record).last = 0;
        (*record).comm = bpf_get_current_comm().unwrap_or_default();
        Running::task().figures(&raw mut (*header).figures);
    }
}
