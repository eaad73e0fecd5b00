//! The heap view: calls of an allocator's functions in, sums by place and blocks handed out, in
//! maps.
//!
//! One program for each way in which functions take their arguments, and one for their return.
//! Only the outermost call of a thread counts: `calloc` may call `malloc`, and a `malloc` that
//! was put before another may call that one. A call's end is known by the stack pointer, so one
//! that never returns (an exception, `longjmp`) is found out at the next.
//!
//! A block ceases to be handed out at the *entry* of the call that gives it back and begins to
//! be at the *exit* of the one that returns it: between the two the allocator may have handed
//! the same address to another thread.

use core::ptr;

use aya_ebpf::{
    EbpfContext as _,
    bindings::{BPF_ANY, BPF_NOEXIST, bpf_user_pt_regs_t},
    helpers::{
        bpf_get_current_pid_tgid,
        generated::{bpf_get_prandom_u32, bpf_ktime_get_ns, bpf_probe_read_user},
    },
    macros::{uprobe, uretprobe},
    programs::{ProbeContext, RetProbeContext},
};
use tracer_ebpf::heap::{
    HEAP_STACK_WORDS, HeapBlock, HeapKey, HeapPlace, HeapSettings, HeapSums, HeapTarget,
};

use crate::{
    allocator_maps::{
        Allocating, HEAP_BLANK, HEAP_BLOCKS, HEAP_CALLS, HEAP_PLACES, HEAP_TARGETS, add,
    },
    memory::read_user_u64,
};

/// Set by user space before the programs are loaded.
#[unsafe(no_mangle)]
static HEAP: HeapSettings = HeapSettings { min: 0, sample: 0 };

/// A stack pointer this much below that of a call under way is not of what it calls, bytes.
const DEEPEST: u64 = 256 << 10;

/// What a function does. Plain numbers: they are kept in a map.
pub struct Kind;

impl Kind {
    /// Returns a block.
    const NEW: u64 = 0;
    /// Returns whether it has written a block's address where it was told to.
    const NEW_WRITTEN: u64 = 1;
    /// Returns a block in place of another one.
    const RESIZE: u64 = 2;
}

/// `f(size)`.
#[uprobe]
pub fn heap_size(ctx: ProbeContext) -> u32 {
    let size = arg(&ctx, 0);
    entered(&ctx, Kind::NEW, size, 0);
    0
}

/// `f(count, size)`.
#[uprobe]
pub fn heap_count_size(ctx: ProbeContext) -> u32 {
    let size = arg(&ctx, 0).wrapping_mul(arg(&ctx, 1));
    entered(&ctx, Kind::NEW, size, 0);
    0
}

/// `f(alignment, size)`.
#[uprobe]
pub fn heap_align_size(ctx: ProbeContext) -> u32 {
    let size = arg(&ctx, 1);
    entered(&ctx, Kind::NEW, size, 0);
    0
}

/// `f(&block, alignment, size)`.
#[uprobe]
pub fn heap_written(ctx: ProbeContext) -> u32 {
    let size = arg(&ctx, 2);
    entered(&ctx, Kind::NEW_WRITTEN, size, arg(&ctx, 0));
    0
}

/// `f(block, size)`.
#[uprobe]
pub fn heap_resize(ctx: ProbeContext) -> u32 {
    let size = arg(&ctx, 1);
    entered(&ctx, Kind::RESIZE, size, arg(&ctx, 0));
    0
}

/// `f(block, count, size)`.
#[uprobe]
pub fn heap_resize_count(ctx: ProbeContext) -> u32 {
    let size = arg(&ctx, 1).wrapping_mul(arg(&ctx, 2));
    entered(&ctx, Kind::RESIZE, size, arg(&ctx, 0));
    0
}

/// `f(block)`.
#[uprobe]
pub fn heap_free(ctx: ProbeContext) -> u32 {
    let address = arg(&ctx, 0);
    let id = bpf_get_current_pid_tgid();
    if address != 0
        && let Some(target) = HEAP_TARGETS.get_ptr_mut((id >> 32) as u32)
        && let Some(call) = call(id)
    {
        freed(&ctx, target, call, address);
    }
    0
}

/// The return of any of them.
#[uretprobe]
pub fn heap_return(ctx: RetProbeContext) -> u32 {
    let id = bpf_get_current_pid_tgid();
    if let Some(target) = HEAP_TARGETS.get_ptr_mut((id >> 32) as u32)
        && let Some(call) = HEAP_CALLS.get_ptr_mut(id)
    {
        returned(&ctx, target, call);
    }
    0
}

#[inline(always)]
fn entered(ctx: &ProbeContext, kind: u64, size: u64, address: u64) {
    let id = bpf_get_current_pid_tgid();
    let Some(target) = HEAP_TARGETS.get_ptr_mut((id >> 32) as u32) else {
        return;
    };
    let Some(call) = call(id) else {
        return;
    };
    let (ip, sp, _) = registers(ctx.as_ptr().cast());
    // SAFETY: the values live as long as the program runs (the maps are not LRU), and only this
    // thread uses that of its call.
    unsafe {
        if is_nested(call, ip, sp) {
            return;
        }
        if (*call).sp != 0 {
            add(&raw mut (*target).abandoned, 1);
        }
        (*call).sp = sp;
        (*call).function = ip;
        (*call).kind = kind;
        (*call).size = size;
        (*call).address = address;
        (*call).held = 0;
        if kind == Kind::RESIZE && address != 0 {
            let key = HeapKey {
                id: (*target).id,
                address,
            };
            if let Some(block) = HEAP_BLOCKS.get_ptr(key) {
                (*call).old = *block;
                (*call).held = 1;
                let _ = HEAP_BLOCKS.remove(key);
            }
        }
    }
}

#[inline(always)]
fn freed(ctx: &ProbeContext, target: *mut HeapTarget, call: *mut Allocating, address: u64) {
    let (ip, sp, _) = registers(ctx.as_ptr().cast());
    // SAFETY: as in `entered`.
    unsafe {
        if is_nested(call, ip, sp) {
            return;
        }
        let key = HeapKey {
            id: (*target).id,
            address,
        };
        if let Some(block) = HEAP_BLOCKS.get_ptr(key) {
            let block = *block;
            // Two threads may give the same block back, by mistake.
            if HEAP_BLOCKS.remove(key).is_ok() {
                count_freed(target, &block);
            }
        } else if (*call).freed != address || sp > (*call).freed_sp {
            add(&raw mut (*target).unmatched, 1);
        }
        // One function may hand the block on to another that is probed too.
        (*call).freed = address;
        (*call).freed_sp = sp;
    }
}

#[inline(always)]
fn returned(ctx: &RetProbeContext, target: *mut HeapTarget, call: *mut Allocating) {
    let (ip, sp, fp) = registers(ctx.as_ptr().cast());
    // SAFETY: as in `entered`.
    unsafe {
        if (*call).sp == 0 || sp != (*call).sp + RETURN_ADDRESS {
            return;
        }
        (*call).sp = 0;
        let result: u64 = ctx.ret();
        let address = if (*call).kind != Kind::NEW_WRITTEN {
            result
        } else if result as u32 == 0 {
            read_user_u64((*call).address)
        } else {
            0
        };
        if (*call).kind == Kind::RESIZE && (*call).address != 0 {
            resized(target, call, address);
        }
        if address == 0 {
            if (*call).kind != Kind::RESIZE || (*call).size != 0 {
                add(&raw mut (*target).failed, 1);
            }
            return;
        }
        (*call).freed = 0;
        let size = (*call).size;
        add(&raw mut (*target).allocated, 1);
        add(&raw mut (*target).allocated_bytes, size);
        if !is_tracked(size) {
            add(&raw mut (*target).untracked, 1);
            add(&raw mut (*target).untracked_bytes, size);
            return;
        }
        let depth = sp & 0xfff;
        let block = HeapBlock {
            size,
            ip,
            depth,
            at: bpf_ktime_get_ns(),
        };
        keep(target, address, &block, sp, fp);
    }
}

/// The old block's part of a `realloc`: gone, or still there if it failed.
#[inline(always)]
unsafe fn resized(target: *mut HeapTarget, call: *mut Allocating, address: u64) {
    // SAFETY: as in `entered`.
    unsafe {
        let gone = address != 0 || (*call).size == 0;
        if (*call).held == 0 {
            if gone {
                add(&raw mut (*target).unmatched, 1);
            }
        } else if gone {
            let old = (*call).old;
            count_freed(target, &old);
        } else {
            let key = HeapKey {
                id: (*target).id,
                address: (*call).address,
            };
            let _ = HEAP_BLOCKS.insert(key, (*call).old, u64::from(BPF_ANY));
        }
    }
}

/// Notes a block, and adds it to the sums of its place.
#[inline(always)]
unsafe fn keep(target: *mut HeapTarget, address: u64, block: &HeapBlock, sp: u64, fp: u64) {
    // SAFETY: as in `entered`.
    unsafe {
        let mut block = *block;
        let mut place = HeapPlace {
            id: (*target).id,
            ip: block.ip,
            depth: block.depth,
        };
        if HEAP_PLACES.get_ptr(place).is_none() && !begin(&place, sp, fp) {
            add(&raw mut (*target).unplaced, 1);
            (place.ip, place.depth) = (0, 0);
            (block.ip, block.depth) = (0, 0);
        }
        let key = HeapKey {
            id: (*target).id,
            address,
        };
        if HEAP_BLOCKS
            .insert(key, block, u64::from(BPF_NOEXIST))
            .is_err()
        {
            let Some(old) = HEAP_BLOCKS.get_ptr_mut(key) else {
                add(&raw mut (*target).lost, 1);
                add(&raw mut (*target).lost_bytes, block.size);
                return;
            };
            let gone = *old;
            *old = block;
            add(&raw mut (*target).reused, 1);
            count_freed(target, &gone);
        }
        if let Some(sums) = HEAP_PLACES.get_ptr_mut(place) {
            add(&raw mut (*sums).allocated, 1);
            add(&raw mut (*sums).allocated_bytes, weight(block.size));
        }
    }
}

/// Begins the sums of a place; false if there is no room.
#[inline(always)]
unsafe fn begin(place: &HeapPlace, sp: u64, fp: u64) -> bool {
    const BYTES: u32 = (HEAP_STACK_WORDS * size_of::<u64>()) as u32;
    let Some(blank) = HEAP_BLANK.get_ptr(0) else {
        return false;
    };
    // SAFETY: as in `entered`. Another thread may begin the same place at the same time: then
    // both write much the same words.
    unsafe {
        // By reference: it is too large for the stack.
        let blank: &HeapSums = &*blank;
        let _ = HEAP_PLACES.insert(place, blank, u64::from(BPF_NOEXIST));
        let Some(sums) = HEAP_PLACES.get_ptr_mut(place) else {
            return false;
        };
        (*sums).sp = sp;
        (*sums).fp = fp;
        let stack = (&raw mut (*sums).stack).cast();
        if bpf_probe_read_user(stack, BYTES, sp as *const _) != 0 {
            // Near the end of a stack there is less.
            bpf_probe_read_user(stack, BYTES / 4, sp as *const _);
        }
    }
    true
}

#[inline(always)]
unsafe fn count_freed(target: *mut HeapTarget, block: &HeapBlock) {
    // SAFETY: as in `entered`.
    unsafe {
        add(&raw mut (*target).freed, 1);
        add(&raw mut (*target).freed_bytes, block.size);
        let place = HeapPlace {
            id: (*target).id,
            ip: block.ip,
            depth: block.depth,
        };
        if let Some(sums) = HEAP_PLACES.get_ptr_mut(place) {
            add(&raw mut (*sums).freed, 1);
            add(&raw mut (*sums).freed_bytes, weight(block.size));
        }
    }
}

/// Whether a call is made by the one that the thread has under way. A function that ends with
/// a jump to another one has its stack pointer; one that is entered twice with the same has left
/// unseen.
#[inline(always)]
unsafe fn is_nested(call: *const Allocating, ip: u64, sp: u64) -> bool {
    // SAFETY: as in `entered`.
    let (outer, function) = unsafe { ((*call).sp, (*call).function) };
    outer != 0 && (sp < outer && outer - sp < DEEPEST || sp == outer && ip != function)
}

/// Whether a block of this size is tracked, by its size and by chance.
#[inline(always)]
fn is_tracked(size: u64) -> bool {
    let sample = setting(&HEAP.sample);
    if size < setting(&HEAP.min) {
        return false;
    }
    if size >= sample {
        return true;
    }
    // SAFETY: the helper takes nothing and cannot fail.
    let chance = u64::from(unsafe { bpf_get_prandom_u32() });
    (chance * sample) >> 32 < size
}

/// The bytes that a tracked block stands for.
#[inline(always)]
fn weight(size: u64) -> u64 {
    let sample = setting(&HEAP.sample);
    if size < sample { sample } else { size }
}

#[inline(always)]
fn setting(value: &'static u64) -> u64 {
    // SAFETY: a reference is readable; volatile because the loader replaces the value after the
    // compiler has seen the zeros above.
    unsafe { ptr::read_volatile(value) }
}

/// The place for this thread's call.
#[inline(always)]
fn call(id: u64) -> Option<*mut Allocating> {
    if let Some(call) = HEAP_CALLS.get_ptr_mut(id) {
        return Some(call);
    }
    let _ = HEAP_CALLS.insert(id, Allocating::NONE, 0);
    HEAP_CALLS.get_ptr_mut(id)
}

#[inline(always)]
fn arg(ctx: &ProbeContext, n: usize) -> u64 {
    ctx.arg(n).unwrap_or_default()
}

/// How much the stack pointer is above its value at a function's entry when that has returned.
#[cfg(bpf_target_arch = "x86_64")]
const RETURN_ADDRESS: u64 = 8;
#[cfg(not(bpf_target_arch = "x86_64"))]
const RETURN_ADDRESS: u64 = 0;

/// The instruction, the stack pointer and the frame pointer.
#[cfg(bpf_target_arch = "x86_64")]
#[inline(always)]
fn registers(regs: *const bpf_user_pt_regs_t) -> (u64, u64, u64) {
    // SAFETY: it is the program's context, all of which may be read.
    unsafe { ((*regs).rip, (*regs).rsp, (*regs).rbp) }
}

#[cfg(bpf_target_arch = "aarch64")]
#[inline(always)]
fn registers(regs: *const bpf_user_pt_regs_t) -> (u64, u64, u64) {
    // SAFETY: it is the program's context, all of which may be read.
    unsafe { ((*regs).pc, (*regs).sp, (*regs).regs[29]) }
}
