//! What the heap view adds up, and the calls of allocators under way.

use core::arch::asm;

use aya_ebpf::{
    helpers::generated::bpf_ktime_get_ns,
    macros::map,
    maps::{Array, HashMap},
};
use tracer_ebpf::heap::{HeapBlock, HeapKey, HeapPlace, HeapSums, HeapTarget};

/// A call of an allocator that a thread has under way, the outermost one: what that calls in
/// turn is its own business. Kept between calls.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Allocating {
    /// The stack pointer at its entry; 0 if there is none.
    pub sp: u64,
    /// The function.
    pub function: u64,
    /// What it does: [`crate::allocator::Kind`].
    pub kind: u64,
    /// The bytes asked for.
    pub size: u64,
    /// The block to be resized, or where the result will be written.
    pub address: u64,
    /// What was known of the block to be resized, if it was tracked.
    pub old: HeapBlock,
    /// Whether it was.
    pub held: u64,
    /// The last block that was given back, and the stack pointer then.
    pub freed: u64,
    /// See `freed`.
    pub freed_sp: u64,
}

impl Allocating {
    /// None under way.
    pub const NONE: Self = Self {
        sp: 0,
        function: 0,
        kind: 0,
        size: 0,
        address: 0,
        old: HeapBlock {
            size: 0,
            ip: 0,
            depth: 0,
            at: 0,
        },
        held: 0,
        freed: 0,
        freed_sp: 0,
    };
}

// User space sets the sizes: next to nothing without the heap view.

/// The processes whose allocators are probed, by tgid.
#[map]
pub static HEAP_TARGETS: HashMap<u32, HeapTarget> = HashMap::with_max_entries(4096, 0);

/// The blocks that are handed out.
#[map]
pub static HEAP_BLOCKS: HashMap<HeapKey, HeapBlock> = HashMap::with_max_entries(1 << 20, 0);

/// The places that allocate.
#[map]
pub static HEAP_PLACES: HashMap<HeapPlace, HeapSums> = HashMap::with_max_entries(16_384, 0);

/// The calls under way, by pid and tgid.
#[map]
pub static HEAP_CALLS: HashMap<u64, Allocating> = HashMap::with_max_entries(16_384, 0);

/// Sums that are zero: what a new place begins with is too large for a program's stack.
#[map]
pub static HEAP_BLANK: Array<HeapSums> = Array::with_max_entries(1, 0);

/// A process executes another program: what it had is gone with its address space.
#[inline(always)]
pub fn executed(id: u64) {
    let tgid = (id >> 32) as u32;
    let _ = HEAP_CALLS.remove(id);
    if HEAP_TARGETS.get_ptr(tgid).is_some() {
        // SAFETY: the helper takes nothing and cannot fail.
        let now = unsafe { bpf_ktime_get_ns() };
        let target = HeapTarget {
            id: u64::from(tgid) << 32 | now >> 10 & 0xffff_ffff,
            allocated: 0,
            allocated_bytes: 0,
            failed: 0,
            freed: 0,
            freed_bytes: 0,
            unmatched: 0,
            untracked: 0,
            untracked_bytes: 0,
            lost: 0,
            lost_bytes: 0,
            reused: 0,
            abandoned: 0,
            unplaced: 0,
        };
        let _ = HEAP_TARGETS.insert(tgid, target, 0);
    }
}

/// A thread has ended, maybe within a call.
#[inline(always)]
pub fn thread_ended(id: u64) {
    let _ = HEAP_CALLS.remove(id);
}

/// Adds to a sum in a map. Other processors add to it too.
///
/// Written out: the compiler offers no addition for this machine, and Linux 5.10 knows only the
/// instruction that returns nothing.
///
/// # Safety
/// `sum` must be in a map's value, and aligned.
#[inline(always)]
pub unsafe fn add(sum: *mut u64, value: u64) {
    // SAFETY: by this function's contract.
    unsafe {
        asm!(
            "lock *(u64 *)({sum} + 0) += {value}",
            sum = in(reg) sum,
            value = in(reg) value,
            options(nostack, preserves_flags),
        );
    }
}
