//! The wire of the heap view: settings, keys and sums of its maps.
//!
//! No record leaves the kernel for a call of an allocator: it adds up here, and user space
//! reads the sums.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Words of the user's stack kept of a place that allocates, lowest address first: they are
/// copied once a place, so there may be more than of a system call.
pub const HEAP_STACK_WORDS: usize = 64;

/// What is tracked. Set by user space before loading.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct HeapSettings {
    /// Smaller blocks are only counted, bytes.
    pub min: u64,
    /// 0, or: a block of `size` bytes is tracked with the probability `size / sample`, at most 1.
    /// Below 2^32.
    pub sample: u64,
}

/// A process whose allocator is probed, by its tgid, and what it did in all.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct HeapTarget {
    /// One image of one process: the first part of the keys below. Another one after an exec.
    pub id: u64,
    /// Blocks handed out, all of them.
    pub allocated: u64,
    /// The bytes that were asked for them.
    pub allocated_bytes: u64,
    /// Calls that returned no block.
    pub failed: u64,
    /// Tracked blocks that were given back.
    pub freed: u64,
    /// Their bytes.
    pub freed_bytes: u64,
    /// Blocks given back that are not tracked: too small, not sampled, or older than the probes.
    pub unmatched: u64,
    /// Blocks that are only counted, because they are too small or were not sampled.
    pub untracked: u64,
    /// Their bytes.
    pub untracked_bytes: u64,
    /// Blocks that should be tracked and are not, because the table was full.
    pub lost: u64,
    /// Their bytes.
    pub lost_bytes: u64,
    /// Tracked blocks that were handed out again although nobody was seen giving them back.
    pub reused: u64,
    /// Calls that were entered and never seen returning.
    pub abandoned: u64,
    /// Blocks tracked without a place, because the table of places was full.
    pub unplaced: u64,
}

/// A block that is handed out.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct HeapKey {
    /// [`HeapTarget::id`].
    pub id: u64,
    /// Where it begins.
    pub address: u64,
}

/// What is known of a block.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct HeapBlock {
    /// The bytes that were asked for.
    pub size: u64,
    /// [`HeapPlace::ip`] of who asked.
    pub ip: u64,
    /// [`HeapPlace::depth`] of who asked.
    pub depth: u64,
    /// When.
    pub at: u64,
}

/// A place in a program that allocates: the caller, and how deep the stack was. The same
/// function called from elsewhere is most often called at another depth.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct HeapPlace {
    /// [`HeapTarget::id`].
    pub id: u64,
    /// The instruction behind the call. 0 for all places that did not fit the table.
    pub ip: u64,
    /// The stack pointer's offset in its page there, which is the same in all threads.
    pub depth: u64,
}

/// What was allocated at a place. Bytes of sampled blocks are estimates: a block smaller than
/// [`HeapSettings::sample`] stands for that much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct HeapSums {
    /// Tracked blocks handed out.
    pub allocated: u64,
    /// Their bytes.
    pub allocated_bytes: u64,
    /// Those given back.
    pub freed: u64,
    /// Their bytes.
    pub freed_bytes: u64,
    /// The stack pointer behind the call, the first time.
    pub sp: u64,
    /// The frame pointer then, or whatever its register had.
    pub fp: u64,
    /// The top of the stack then; zeros if unreadable.
    pub stack: [u64; HEAP_STACK_WORDS],
}
