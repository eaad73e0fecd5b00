//! Counting: the calls of every process of the host, summed where they are made.
//!
//! One look at the number decides for all other system calls. Nothing goes through the ring, and
//! nothing is done at the entry of a call: arguments are still in the saved registers at its exit.
//! The table evicts who has called least recently, so a process that is missing there begins anew.

use core::ptr;

use aya_ebpf::{
    bindings::BPF_NOEXIST,
    helpers::{bpf_get_current_pid_tgid, generated::bpf_ktime_get_ns},
    macros::{fexit, map, raw_tracepoint},
    maps::{LruHashMap, PerCpuArray},
    programs::{FExitContext, RawTracePointContext},
};
use tracer_ebpf::{
    CALL_SLOTS,
    audit::{CALL_KINDS, Counts, Tally, Turnover, count, origin},
};

use crate::{
    memory::Task,
    opaque::opaque,
    regs::{Registers, Saved},
};

/// The counts, by tgid. User space sets the size; a run that counts nothing leaves it small.
#[map]
static TALLIES: LruHashMap<u32, Tally> = LruHashMap::with_max_entries(64, 0);

/// What came and went.
#[map]
static TURNOVER: PerCpuArray<Turnover> = PerCpuArray::with_max_entries(1, 0);

/// What is counted of each call, by its number: one of [`count`]. Set by user space before
/// loading.
#[unsafe(no_mangle)]
static COUNTED: [u8; CALL_SLOTS] = [0; CALL_SLOTS];

/// The size of a page. Set by user space before loading.
#[unsafe(no_mangle)]
static PAGE_SIZE: u64 = 0;

// include/uapi/asm-generic/mman-common.h, include/uapi/linux/mman.h
const MADV_DONTNEED: u64 = 4;
const MADV_FREE: u64 = 8;
const MADV_REMOVE: u64 = 9;
const MADV_DONTNEED_LOCKED: u64 = 24;
const MREMAP_DONTUNMAP: u64 = 4;
/// The lowest result that is an errno (`MAX_ERRNO`).
const FIRST_ERROR: u64 = -4095_i64 as u64;

/// Adds to a field of a map's value.
macro_rules! add_field {
    ($value:expr, $field:ident, $by:expr) => {
        // SAFETY: the value lives as long as the program runs, and the field is an aligned u64.
        unsafe { add(&raw mut (*$value).$field, $by) }
    };
}
/// `sys_exit(regs, ret)`, for every system call of the machine.
#[raw_tracepoint(tracepoint = "sys_exit")]
pub fn count_exit(ctx: RawTracePointContext) -> i32 {
    count_call(ctx.arg::<u64>(0), ctx.arg::<u64>(1));
    0
}

macro_rules! trampolines {
    ($($name:ident)*) => {$(
        #[fexit]
        pub fn $name(ctx: FExitContext) -> i32 {
            count_call(ctx.arg::<u64>(0), ctx.arg::<u64>(1));
            0
        }
    )*};
}

trampolines! {
    count_mmap count_munmap count_brk count_mremap count_mprotect count_pkey_mprotect
    count_madvise count_process_madvise count_shmat count_shmdt
}

/// `sched_process_exec`: what was counted so far is of another program.
#[raw_tracepoint(tracepoint = "sched_process_exec")]
pub fn count_exec(_ctx: RawTracePointContext) -> i32 {
    let tgid = current();
    if let Some(turnover) = turnover() {
        add_field!(turnover, executed, 1);
    }
    if let Some(tally) = TALLIES.get_ptr_mut(tgid) {
        settle(tally);
    }
    let fresh = fresh(origin::EXEC);
    let known = TALLIES.get_ptr_mut(tgid).is_some();
    if TALLIES.insert(tgid, fresh, 0).is_ok()
        && !known
        && let Some(turnover) = turnover()
    {
        add_field!(turnover, entered, 1);
    }
    0
}

/// `sched_process_exit`: with its last thread a process leaves the table.
#[raw_tracepoint(tracepoint = "sched_process_exit")]
pub fn count_end(_ctx: RawTracePointContext) -> i32 {
    if Task::current().live_threads() != Some(0) {
        return 0;
    }
    let tgid = current();
    let Some(turnover) = turnover() else {
        return 0;
    };
    add_field!(turnover, ended, 1);
    if let Some(tally) = TALLIES.get_ptr_mut(tgid) {
        settle(tally);
        if TALLIES.remove(tgid).is_ok() {
            add_field!(turnover, left, 1);
        }
    }
    0
}

/// A call was left, whose saved registers are at `regs`.
#[inline(always)]
fn count_call(regs: u64, ret: u64) {
    let saved = Saved::at(regs);
    let kind = kind_of(saved.number());
    if kind == 0 {
        return;
    }
    let regs = saved.read();
    if regs.is_32_bit {
        return;
    }
    let Some(tally) = tally_of(current()) else {
        if let Some(turnover) = turnover() {
            add_field!(turnover, refused, 1);
        }
        return;
    };
    // SAFETY: the value lives as long as the program runs: what the table evicts meanwhile is
    // given to another process no sooner than that (values of preallocated maps are reused at
    // once, in which case another process gets this one call).
    let counts = unsafe { &raw mut (*tally).counts };
    let failed = failed(kind, &regs, ret);
    let slot = (kind as usize - 1) & (CALL_KINDS - 1);
    // SAFETY: the slot is below the length of both arrays.
    unsafe {
        add((&raw mut (*counts).calls).cast::<u64>().add(slot), 1);
        if failed {
            add((&raw mut (*counts).failed).cast::<u64>().add(slot), 1);
        }
    }
    if kind == count::BRK {
        moved_brk(tally, ret);
    } else if !failed {
        sum(counts, kind, &regs, ret);
    }
}

/// Adds what a call did that did not fail.
#[inline(always)]
fn sum(counts: *mut Counts, kind: u8, regs: &Registers, ret: u64) {
    let [_, second, third, fourth, ..] = regs.args;
    match kind {
        count::MMAP => add_field!(counts, mapped, pages(second)),
        count::MUNMAP => add_field!(counts, unmapped, pages(second)),
        count::MREMAP => {
            let (old, new) = (pages(second), pages(third));
            if fourth & MREMAP_DONTUNMAP != 0 {
                add_field!(counts, mapped, new);
            } else if new > old {
                add_field!(counts, mapped, new - old);
            } else {
                add_field!(counts, unmapped, old - new);
            }
        }
        count::MADVISE => advised(counts, third, pages(second)),
        count::PROCESS_MADVISE => advised(counts, fourth, ret),
        _ => {}
    }
}

#[inline(always)]
fn advised(counts: *mut Counts, advice: u64, bytes: u64) {
    match advice {
        MADV_DONTNEED | MADV_REMOVE | MADV_DONTNEED_LOCKED => {
            add_field!(counts, purged, bytes);
            add_field!(counts, purges, 1);
        }
        MADV_FREE => {
            add_field!(counts, lazily_freed, bytes);
            add_field!(counts, lazy_frees, 1);
        }
        _ => {}
    }
}

/// `brk` returns where the heap ends, moved or not.
#[inline(always)]
fn moved_brk(tally: *mut Tally, end: u64) {
    // SAFETY: as in `count_call`. Two threads that move it at once hold its lock one after the
    // other in the kernel, not here: then this is off until the next call.
    let last = unsafe { ptr::replace(&raw mut (*tally).brk, end) };
    if last == 0 {
        return;
    }
    // SAFETY: as above.
    let counts = unsafe { &raw mut (*tally).counts };
    let (last, end) = (pages(last), pages(end));
    if end > last {
        add_field!(counts, mapped, end - last);
    } else if end < last {
        add_field!(counts, unmapped, last - end);
    }
}

/// Whether it failed. `brk` says so by not moving.
#[inline(always)]
fn failed(kind: u8, regs: &Registers, ret: u64) -> bool {
    if kind == count::BRK {
        let wanted = regs.args[0];
        wanted != 0 && ret != wanted
    } else {
        ret >= FIRST_ERROR
    }
}

/// The counts of a process, put into the table if need be.
#[inline(always)]
fn tally_of(tgid: u32) -> Option<*mut Tally> {
    if let Some(tally) = TALLIES.get_ptr_mut(tgid) {
        return Some(tally);
    }
    // Another of its threads may have done so meanwhile.
    if TALLIES
        .insert(tgid, fresh(origin::CALL), u64::from(BPF_NOEXIST))
        .is_ok()
        && let Some(turnover) = turnover()
    {
        add_field!(turnover, entered, 1);
    }
    TALLIES.get_ptr_mut(tgid)
}

#[inline(always)]
fn fresh(origin: u64) -> Tally {
    Tally {
        // SAFETY: the helper takes nothing and cannot fail.
        since: unsafe { bpf_ktime_get_ns() },
        origin,
        brk: 0,
        counts: Counts {
            calls: [0; CALL_KINDS],
            failed: [0; CALL_KINDS],
            mapped: 0,
            unmapped: 0,
            purged: 0,
            lazily_freed: 0,
            purges: 0,
            lazy_frees: 0,
        },
    }
}

/// Adds the counts of an image that is gone to those of all such.
#[inline(always)]
fn settle(tally: *mut Tally) {
    const WORDS: usize = size_of::<Counts>() / size_of::<u64>();
    let Some(turnover) = turnover() else {
        return;
    };
    // SAFETY: both are of the same type, whose words are all counters (see its definition).
    unsafe {
        let from = (&raw const (*tally).counts).cast::<u64>();
        let to = (&raw mut (*turnover).counts).cast::<u64>();
        for word in 0..WORDS {
            add(to.add(word), ptr::read_volatile(from.add(word)));
        }
    }
}

#[inline(always)]
fn turnover() -> Option<*mut Turnover> {
    TURNOVER.get_ptr_mut(0)
}

#[inline(always)]
fn current() -> u32 {
    (bpf_get_current_pid_tgid() >> 32) as u32
}

/// What is counted of a call.
#[inline(always)]
fn kind_of(nr: u64) -> u8 {
    if nr >= CALL_SLOTS as u64 {
        return 0;
    }
    let index = opaque(nr as usize) & (CALL_SLOTS - 1);
    // SAFETY: the index is below the length, which is a power of two; volatile because the
    // loader replaces the values after the compiler has seen the zeros above.
    unsafe { ptr::read_volatile((&raw const COUNTED).cast::<u8>().add(index)) }
}

/// Rounded up to pages.
#[inline(always)]
fn pages(bytes: u64) -> u64 {
    // SAFETY: a static is readable; volatile as above.
    let mask = unsafe { ptr::read_volatile(&raw const PAGE_SIZE) }.wrapping_sub(1);
    bytes.wrapping_add(mask) & !mask
}

/// Adds without asking for the old value: Linux 5.10 knows no atomic fetch.
///
/// # Safety
/// `counter` must point to an aligned u64 of a map's value.
#[inline(always)]
unsafe fn add(counter: *mut u64, by: u64) {
    // SAFETY: by this function's contract. Assembly because this target has no
    // `AtomicU64::fetch_add`.
    unsafe {
        core::arch::asm!(
            "lock *(u64 *)({counter} + 0) += {by}",
            counter = in(reg) counter,
            by = in(reg) by,
        );
    }
}
