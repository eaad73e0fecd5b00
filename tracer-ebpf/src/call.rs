//! A system call from entry to exit: one record, written at the exit.
//!
//! The exit has the arguments (in the saved registers) and the result. The entry keeps
//! what is gone by then: when it was, and what some calls change.

use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use tracer_ebpf::{InFlight, PR_SET_VMA, Target, kind, loss, plan};

use crate::{
    emit, in_flight,
    kinds::Kinds,
    maps::Plan,
    memory::Running,
    record::{self, Call},
    regs::Saved,
    stack,
};

const MAP_ANONYMOUS: u64 = 0x20;

/// A call of a target was entered.
#[inline(always)]
pub fn enter(id: u64, target: *mut Target, plan: Plan, nr: u32) {
    // SAFETY: the value lives as long as the program runs (`targets::find`).
    let alone = unsafe { alone_at(target) };
    // First of all: whoever still counts this call out as not under way has ended before
    // anything below is read. Then the time: a call that ended before it is in what is read.
    if plan.has(plan::COUNTED) {
        // SAFETY: as above.
        add_one(unsafe { &raw mut (*target).entered });
    }
    // SAFETY: the helper takes nothing and cannot fail.
    let entered = unsafe { bpf_ktime_get_ns() };
    let before = if plan.has(plan::BRK_BEFORE) {
        Running::task().brk()
    } else if plan.has(plan::SIZE_BEFORE) {
        Running::task().total_vm()
    } else {
        0
    };
    let call = InFlight {
        alone,
        entered,
        before,
        // SAFETY: as above.
        observation: unsafe { (*target).since },
        nr: u64::from(nr),
    };
    match in_flight::slot_of(id, target) {
        Some(slot) => {
            // SAFETY: only this thread uses its slot, and it is here.
            let last = unsafe { core::ptr::replace(slot, call) };
            if last.nr != InFlight::NONE && last.observation == call.observation {
                missed_exit(last.nr, target);
            }
        }
        None => {
            if !in_flight::begin(id, &call) {
                emit::count_lost(loss::IN_FLIGHT);
                if plan.has(plan::COUNTED) {
                    // SAFETY: as above.
                    add_one(unsafe { &raw mut (*target).exited });
                }
            }
        }
    }
}

/// The call that a task leaves, as its hook has it.
pub struct Left {
    /// Who.
    pub task: Running,
    /// What it was made with.
    pub saved: Saved,
    /// Its result.
    pub ret: i64,
}

/// A target leaves a call. Only records of `kinds` are written.
#[inline(always)]
pub fn exit(id: u64, target: *mut Target, left: &Left, kinds: Kinds) {
    let regs = left.saved.read();
    let Some(plan) = Plan::of(regs.nr) else {
        return;
    };
    if regs.is_32_bit {
        return;
    }
    // A call that was entered before its process was a target has no entry here. What it
    // changes counts all the same: it may do so after the first look at the map.
    // SAFETY: the value lives as long as the program runs (`targets::find`).
    let mut entered = unsafe { (*target).since };
    let mut before = 0;
    let mut counted = false;
    let mut alone = 0;
    // SAFETY: only this thread uses its slot, and it is here.
    let slot =
        in_flight::slot_of(id, target).filter(|slot| unsafe { (**slot).observation == entered });
    match slot {
        // SAFETY: as above.
        Some(slot) if unsafe { (*slot).nr } == regs.nr => {
            // SAFETY: as above.
            unsafe {
                entered = (*slot).entered;
                before = (*slot).before;
                alone = (*slot).alone;
                (*slot).nr = InFlight::NONE;
            }
            counted = plan.has(plan::COUNTED);
        }
        // The thread made calls before: the kernel skipped the program at this one's entry.
        Some(_) if !plan.has(plan::TASK) => {
            emit::count_lost(loss::SKIPPED);
            // SAFETY: the helper takes nothing and cannot fail.
            entered = unsafe { bpf_ktime_get_ns() };
        }
        // The new thread's half of `clone` was never entered.
        _ if plan.has(plan::TASK) => return,
        _ => {}
    }
    // What is told by a size before and after is told if nothing else moved in between.
    let sized_alone = !plan.has(plan::SIZE_BEFORE) || unsafe { entered_by(target) } == alone + 1;
    // Before the call's own record: whoever reads that has the stack.
    let stack = if stack::matters(plan, &regs, left.ret, before) {
        stack::capture(id, target, regs.ip, regs.sp, left.saved.address())
    } else {
        0
    };
    let call = Call {
        id,
        stack,
        kind: plan.kind(),
        entered,
        before,
        ret: left.ret,
        task: left.task,
        counted,
        sized_alone,
        regs,
    };
    let target_of_call = if counted { Some(target) } else { None };
    let is_file = plan.has(plan::FILE) && call.regs.args[3] & MAP_ANONYMOUS == 0;
    match call.kind {
        kind::PLACING if kinds.have(kind::FILE) && is_file => {
            record::write_file(&call, target_of_call);
        }
        kind::PLACING if kinds.have(kind::PLACING) => {
            record::write_placing(&call, plan.has(plan::CONTEXT), target_of_call);
        }
        kind::NAMING if kinds.have(kind::NAMING) && call.regs.args[0] == PR_SET_VMA => {
            record::write_naming(&call);
        }
        kind::RANGES if kinds.have(kind::RANGES) => record::write_ranges(&call),
        kind::CALL if kinds.have(kind::CALL) => record::write_call(&call, target_of_call),
        _ => {}
    }
    // After the record was submitted: who sees no call under way has every earlier
    // record before its own.
    if counted {
        // SAFETY: as above.
        add_one(unsafe { &raw mut (*target).exited });
    }
}

/// A thread ends: forgets the call it has under way, if any.
#[inline(always)]
pub fn abandon(id: u64, target: *mut Target) {
    let Some(slot) = in_flight::slot_of(id, target) else {
        return;
    };
    // SAFETY: only this thread uses its slot, and it is here.
    let InFlight {
        nr, observation, ..
    } = unsafe { core::ptr::replace(slot, InFlight::NEW) };
    in_flight::forget(id);
    // SAFETY: the value lives as long as the program runs (`targets::find`).
    let current = unsafe { (*target).since } == observation;
    if current && Plan::of(nr).is_some_and(|plan| plan.has(plan::COUNTED)) {
        // SAFETY: as above.
        add_one(unsafe { &raw mut (*target).exited });
    }
}

/// Whether, since a thread entered `fork` or the like, its process has made no other call
/// that the child may have missed: none was under way then, and none was entered since.
#[inline(always)]
pub fn forks_alone(id: u64, target: *mut Target) -> bool {
    // SAFETY: only this thread uses its slot, and it is here; the target's value lives as long
    // as the program runs.
    in_flight::slot_of(id, target).is_some_and(|slot| unsafe { (*slot).alone == alone_at(target) })
}

/// Counts something as a call entered and left: a record that is being filled meanwhile is not
/// of one call alone any more.
#[inline(always)]
pub fn count_whole(target: *mut Target) {
    // SAFETY: the value lives as long as the program runs (`targets::find`).
    unsafe {
        add_one(&raw mut (*target).entered);
        add_one(&raw mut (*target).exited);
    }
}

/// The exit of a call was not seen: the kernel skipped the program (it does where one run of
/// it is preempted by another on the same processor). Its record is missing, and it is over.
#[inline(always)]
fn missed_exit(nr: u64, target: *mut Target) {
    emit::count_lost(loss::SKIPPED);
    if Plan::of(nr).is_some_and(|plan| plan.has(plan::COUNTED)) {
        // SAFETY: the value lives as long as the program runs (`targets::find`).
        add_one(unsafe { &raw mut (*target).exited });
    }
}

/// How many calls were entered so far.
///
/// # Safety
/// `target` must be valid for reads.
#[inline(always)]
unsafe fn entered_by(target: *mut Target) -> u64 {
    // SAFETY: by this function's contract; volatile because other processors write it.
    unsafe { core::ptr::read_volatile(&raw const (*target).entered) }
}

/// How many calls were entered so far, if none of them is under way; else a number that
/// differs each time.
///
/// # Safety
/// `target` must be valid for reads.
#[inline(always)]
unsafe fn alone_at(target: *mut Target) -> u64 {
    // SAFETY: by this function's contract; volatile because other processors write it.
    let (entered, exited) = unsafe {
        (
            core::ptr::read_volatile(&raw const (*target).entered),
            core::ptr::read_volatile(&raw const (*target).exited),
        )
    };
    if entered == exited {
        entered
    } else {
        // SAFETY: the helper takes nothing and cannot fail.
        !unsafe { bpf_ktime_get_ns() }
    }
}

/// Adds without asking for the old value: Linux 5.10 knows no atomic fetch.
#[inline(always)]
fn add_one(counter: *mut u64) {
    // SAFETY: the callers' pointers are to aligned u64 fields of a map's value. Assembly
    // because this target has no `AtomicU64::fetch_add`.
    unsafe {
        core::arch::asm!(
            "lock *(u64 *)({counter} + 0) += {one}",
            counter = in(reg) counter,
            one = in(reg) 1u64,
        );
    }
}
