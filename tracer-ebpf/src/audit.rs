//! The wire of counting: what the kernel side sums up for every process of the host.
//!
//! Values of maps, read now and then; nothing of it goes through the ring. All fields are 64 bits
//! wide, so that they can be added to atomically.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Kinds of calls that are counted apart: the length of [`Counts::calls`]. A power of two.
pub const CALL_KINDS: usize = 8;

/// What is counted of a call: its slot in [`Counts::calls`], plus one; 0 where nothing is.
pub mod count {
    /// `mmap`.
    pub const MMAP: u8 = 1;
    /// `munmap`.
    pub const MUNMAP: u8 = 2;
    /// `brk`.
    pub const BRK: u8 = 3;
    /// `mremap`.
    pub const MREMAP: u8 = 4;
    /// `mprotect`, `pkey_mprotect`.
    pub const MPROTECT: u8 = 5;
    /// `madvise`.
    pub const MADVISE: u8 = 6;
    /// `process_madvise`, counted for who calls it.
    pub const PROCESS_MADVISE: u8 = 7;
    /// `shmat`, `shmdt`.
    pub const SHM: u8 = 8;
}

/// Sums over calls.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Counts {
    /// Calls by kind, failed ones included.
    pub calls: [u64; CALL_KINDS],
    /// Failed calls by kind.
    pub failed: [u64; CALL_KINDS],
    /// Bytes that calls asked to map: `mmap`, a growing `brk` or `mremap`.
    pub mapped: u64,
    /// Bytes that calls asked to unmap: `munmap`, a shrinking `brk` or `mremap`. What `MAP_FIXED`
    /// replaces is not among them.
    pub unmapped: u64,
    /// Bytes given back by advice (`MADV_DONTNEED` and the like), counted each time.
    pub purged: u64,
    /// Bytes offered by `MADV_FREE`, likewise.
    pub lazily_freed: u64,
    /// Calls that gave back.
    pub purges: u64,
    /// Calls that offered.
    pub lazy_frees: u64,
}

/// How a process came to be in the table.
pub mod origin {
    /// By its first call since counting began, since its birth, or since it was evicted.
    pub const CALL: u64 = 0;
    /// It executed a program: the counts are of the new image.
    pub const EXEC: u64 = 1;
}

/// The counts of one process: the value of the table, by tgid.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Tally {
    /// Since when it is counted, nanoseconds of `CLOCK_MONOTONIC`.
    pub since: u64,
    /// One of [`origin`].
    pub origin: u64,
    /// `mm->brk` after the last `brk`, 0 before the first: what that one moved is not known.
    pub brk: u64,
    /// The sums.
    pub counts: Counts,
}

/// What came and went in the table, on one processor.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Turnover {
    /// Processes that were put into the table. Those that neither left it nor are in it were
    /// evicted.
    pub entered: u64,
    /// Processes that were taken out of it, because they ended.
    pub left: u64,
    /// Calls that were not counted because there was no room.
    pub refused: u64,
    /// Processes that ended.
    pub ended: u64,
    /// Programs that were executed.
    pub executed: u64,
    /// The sums of processes that ended, and of images that were replaced.
    pub counts: Counts,
}
