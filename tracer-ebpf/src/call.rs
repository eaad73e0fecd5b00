//! A system call from entry to exit: one record, written at the exit.
//!
//! Entry keeps the arguments, because at exit some are gone; exit adds the result and the
//! kernel's figures. Entries of processes that are no targets cost one look-up.

use aya_ebpf::{
    helpers::{
        bpf_get_current_pid_tgid,
        generated::{
            bpf_get_smp_processor_id, bpf_ktime_get_ns, bpf_probe_read_user,
            bpf_probe_read_user_str,
        },
    },
    macros::tracepoint,
    programs::TracePointContext,
};
use tracer_ebpf::{
    CallRecord, FileRecord, Header, Iovec, NAME_LEN, NamingRecord, PR_SET_VMA, PlacingRecord,
    RANGE_RECORDS, RANGES_PER_RECORD, RangesRecord, Target, kind, loss,
};

use crate::{
    emit,
    maps::{IN_FLIGHT, InFlight, TARGETS},
    memory::{self, Task},
};

/// Offsets in the context of `syscalls:sys_enter_*` and `sys_exit_*`; the same for every
/// call and kernel (`struct syscall_trace_enter`, `struct syscall_trace_exit`).
const NUMBER_AT: usize = 8;
const ARGS_AT: usize = 16;
const RESULT_AT: usize = 16;

/// `mmap`'s bits that tell a file with code (`include/uapi/asm-generic/mman-common.h`).
const PROT_EXEC: u64 = 4;
const MAP_ANONYMOUS: u64 = 0x20;

/// What an entry program knows of its calls beyond their arguments.
struct Plan {
    /// One of [`kind`].
    record: u32,
    /// Whether the call can change VmSize: it then takes part in the sequence lock.
    counted: bool,
    before: Before,
}

/// What is looked at before the call.
enum Before {
    Nothing,
    /// Whether it maps a file.
    File,
    Brk,
    TotalVm,
}

/// `munmap`, `madvise`, … : arguments and result say all.
#[tracepoint]
pub fn enter_call(ctx: TracePointContext) -> u32 {
    enter(
        &ctx,
        &Plan {
            record: kind::CALL,
            counted: true,
            before: Before::Nothing,
        },
    )
}

/// `mmap`: who asked matters, and which file a descriptor is, as long as it is open.
#[tracepoint]
pub fn enter_mmap(ctx: TracePointContext) -> u32 {
    enter(
        &ctx,
        &Plan {
            record: kind::PLACING,
            counted: true,
            before: Before::File,
        },
    )
}

/// `mremap`, `map_shadow_stack`: who asked matters.
#[tracepoint]
pub fn enter_placing(ctx: TracePointContext) -> u32 {
    enter(
        &ctx,
        &Plan {
            record: kind::PLACING,
            counted: true,
            before: Before::Nothing,
        },
    )
}

/// `brk`: where the heap ended before tells which way it moved.
#[tracepoint]
pub fn enter_brk(ctx: TracePointContext) -> u32 {
    enter(
        &ctx,
        &Plan {
            record: kind::PLACING,
            counted: true,
            before: Before::Brk,
        },
    )
}

/// `shmat`, `io_setup`: the size is in no argument, VmSize before and after gives it.
#[tracepoint]
pub fn enter_sized(ctx: TracePointContext) -> u32 {
    enter(
        &ctx,
        &Plan {
            record: kind::PLACING,
            counted: true,
            before: Before::TotalVm,
        },
    )
}

/// `process_madvise`: a vector of ranges.
#[tracepoint]
pub fn enter_ranges(ctx: TracePointContext) -> u32 {
    enter(
        &ctx,
        &Plan {
            record: kind::RANGES,
            counted: false,
            before: Before::Nothing,
        },
    )
}

/// `prctl`, of which only `PR_SET_VMA` is about the address space.
#[tracepoint]
pub fn enter_naming(ctx: TracePointContext) -> u32 {
    // SAFETY: the offset lies in the context.
    match unsafe { ctx.read_at::<u64>(ARGS_AT) } {
        Ok(PR_SET_VMA) => enter(
            &ctx,
            &Plan {
                record: kind::NAMING,
                counted: false,
                before: Before::Nothing,
            },
        ),
        _ => 0,
    }
}

/// `clone`, `execve`, …: may last long and change no range; counting them in would keep
/// the sequence lock taken.
#[tracepoint]
pub fn enter_task(ctx: TracePointContext) -> u32 {
    enter(
        &ctx,
        &Plan {
            record: kind::CALL,
            counted: false,
            before: Before::Nothing,
        },
    )
}

#[inline(always)]
fn enter(ctx: &TracePointContext, plan: &Plan) -> u32 {
    let id = bpf_get_current_pid_tgid();
    let Some(target) = TARGETS.get_ptr_mut((id >> 32) as u32) else {
        return 0;
    };
    // SAFETY: both offsets lie in the context; arguments the call does not take are
    // garbage there and dropped by user space, which knows how many there are.
    let (Ok(nr), Ok(args)) = (unsafe {
        (
            ctx.read_at::<i32>(NUMBER_AT),
            ctx.read_at::<[u64; 6]>(ARGS_AT),
        )
    }) else {
        return 0;
    };
    let before = match plan.before {
        Before::Nothing | Before::File => 0,
        Before::Brk => Task::current().brk(),
        Before::TotalVm => Task::current().total_vm(),
    };
    let file = matches!(plan.before, Before::File) && args[3] & MAP_ANONYMOUS == 0;
    // SAFETY: the helper takes nothing and cannot fail.
    let entered = unsafe { bpf_ktime_get_ns() };
    let call = InFlight {
        entered,
        nr: nr as u64,
        args,
        before,
        record: if file { kind::FILE } else { plan.record },
        counted: u32::from(plan.counted),
    };
    if IN_FLIGHT.insert(id, call, 0).is_err() {
        emit::count_lost(loss::IN_FLIGHT);
        return 0;
    }
    if plan.counted {
        // SAFETY: the value lives as long as the program runs (the map is not LRU).
        add_one(unsafe { &raw mut (*target).entered });
    }
    0
}

/// The end of any call whose entry was kept.
#[tracepoint]
pub fn exit(ctx: TracePointContext) -> u32 {
    let id = bpf_get_current_pid_tgid();
    let Some(call) = IN_FLIGHT.get_ptr(id) else {
        return 0;
    };
    // SAFETY: only this thread inserts and removes this key, and it is here.
    let call = unsafe { &*call };
    // SAFETY: the offset lies in the context.
    let ret = unsafe { ctx.read_at::<i64>(RESULT_AT) }.unwrap_or(0);
    let target = TARGETS.get_ptr_mut((id >> 32) as u32);
    write(id, call, ret, target);
    // After the record was submitted: who sees no call under way has every earlier
    // record before its own.
    if let Some(target) = target {
        abandon(id, target);
    }
    0
}

/// Forgets the call that a thread has under way, if any.
#[inline(always)]
pub fn abandon(id: u64, target: *mut Target) {
    let Some(call) = IN_FLIGHT.get_ptr(id) else {
        return;
    };
    // SAFETY: only this thread inserts and removes this key, and it is here.
    let counted = unsafe { (*call).counted } != 0;
    let _ = IN_FLIGHT.remove(id);
    if counted {
        // SAFETY: as in `enter`.
        add_one(unsafe { &raw mut (*target).exited });
    }
}

#[inline(always)]
fn write(id: u64, call: &InFlight, ret: i64, target: Option<*mut Target>) {
    let slot = call.nr as u32;
    match call.record {
        kind::PLACING => {
            if let Some(mut entry) = emit::reserve::<PlacingRecord>(slot) {
                let record = entry.as_mut_ptr();
                // SAFETY: the entry is ours until it is submitted, and every field is written.
                unsafe {
                    fill(&raw mut (*record).call, id, call, ret, target);
                    memory::user_stack(&raw mut (*record).ip, &raw mut (*record).stack);
                }
                emit::submit(entry, false);
            }
        }
        kind::FILE => {
            if let Some(mut entry) = emit::reserve::<FileRecord>(slot) {
                let record = entry.as_mut_ptr();
                // SAFETY: as above; parts beyond `count` stay as they were and are never
                // looked at.
                unsafe {
                    let placing = &raw mut (*record).placing;
                    fill(&raw mut (*placing).call, id, call, ret, target);
                    memory::user_stack(&raw mut (*placing).ip, &raw mut (*placing).stack);
                    memory::describe_file(call.args[4], record);
                }
                // What brings code says whose calls come from there: to be read at once.
                emit::submit(entry, call.args[2] & PROT_EXEC != 0);
            }
        }
        kind::NAMING => {
            if let Some(mut entry) = emit::reserve::<NamingRecord>(slot) {
                let record = entry.as_mut_ptr();
                // SAFETY: as above; the name is zeroed first because the helper leaves
                // what lies behind the string as it was.
                unsafe {
                    fill(&raw mut (*record).call, id, call, ret, target);
                    (*record).name = [0; NAME_LEN];
                    bpf_probe_read_user_str(
                        (&raw mut (*record).name).cast(),
                        NAME_LEN as u32,
                        call.args[4] as *const _,
                    );
                }
                emit::submit(entry, false);
            }
        }
        kind::RANGES => write_ranges(id, call, ret, target),
        _ => {
            if let Some(mut entry) = emit::reserve::<CallRecord>(slot) {
                // SAFETY: as above.
                unsafe { fill(entry.as_mut_ptr(), id, call, ret, target) };
                emit::submit(entry, false);
            }
        }
    }
}

#[inline(always)]
fn write_ranges(id: u64, call: &InFlight, ret: i64, target: Option<*mut Target>) {
    const BYTES: u32 = (RANGES_PER_RECORD * size_of::<Iovec>()) as u32;
    for index in 0..RANGE_RECORDS {
        let first = (index * RANGES_PER_RECORD) as u64;
        let left = call.args[2].saturating_sub(first);
        if left == 0 && index > 0 {
            return;
        }
        let Some(mut entry) = emit::reserve::<RangesRecord>(call.nr as u32) else {
            return;
        };
        let record = entry.as_mut_ptr();
        let vector = call.args[1] + first * size_of::<Iovec>() as u64;
        // SAFETY: as in `write`; the helper zeroes what it cannot read.
        unsafe {
            fill(&raw mut (*record).call, id, call, ret, target);
            (*record).first = first as u32;
            (*record).count = left.min(RANGES_PER_RECORD as u64) as u32;
            bpf_probe_read_user(
                (&raw mut (*record).ranges).cast(),
                BYTES,
                vector as *const _,
            );
        }
        emit::submit(entry, false);
    }
}

/// Fills every field of the record.
///
/// # Safety
/// `record` must be valid for writes.
#[inline(always)]
unsafe fn fill(
    record: *mut CallRecord,
    id: u64,
    call: &InFlight,
    ret: i64,
    target: Option<*mut Target>,
) {
    // SAFETY: by this function's contract; `target` lives as long as the program runs.
    unsafe {
        (*record).nr = call.nr;
        (*record).ret = ret;
        (*record).args = call.args;
        (*record).before = call.before;
        (*record).context = if matches!(call.record, kind::PLACING) {
            memory::read_user_u64(call.args[1])
        } else {
            0
        };
        let header = &raw mut (*record).header;
        let (entered, exited) = counts(target);
        Task::current().figures(&raw mut (*header).figures);
        let (entered_after, _) = counts(target);
        let alone =
            call.counted != 0 && entered == entered_after && entered == exited.wrapping_add(1);
        fill_header(header, id, call.record, call.entered);
        (*header).quiet = u64::from(alone);
    }
}

/// Fills the header but for `quiet` and the figures.
///
/// # Safety
/// `header` must be valid for writes.
#[inline(always)]
pub unsafe fn fill_header(header: *mut Header, id: u64, record: u32, entered: u64) {
    // SAFETY: by this function's contract; the helpers take nothing and cannot fail.
    unsafe {
        (*header).kind = record;
        (*header).cpu = bpf_get_smp_processor_id();
        (*header).tgid = (id >> 32) as u32;
        (*header).tid = id as u32;
        (*header).entered = entered;
        (*header).exited = bpf_ktime_get_ns();
    }
}

#[inline(always)]
fn counts(target: Option<*mut Target>) -> (u64, u64) {
    match target {
        // SAFETY: the value lives as long as the program runs; volatile because other
        // processors write it.
        Some(target) => unsafe {
            (
                core::ptr::read_volatile(&raw const (*target).entered),
                core::ptr::read_volatile(&raw const (*target).exited),
            )
        },
        None => (0, 0),
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
