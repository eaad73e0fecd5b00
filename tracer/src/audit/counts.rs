//! How often a process called, and what its calls asked for. Sums of the kernel side, typed.

use serde::Serialize;

use crate::units::{Bytes, Nanos};

/// Kinds of calls that are counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CallKind {
    /// `mmap`.
    Mmap,
    /// `munmap`.
    Munmap,
    /// `brk`.
    Brk,
    /// `mremap`.
    Mremap,
    /// `mprotect`, `pkey_mprotect`.
    Mprotect,
    /// `madvise`.
    Madvise,
    /// `process_madvise`, for who calls it.
    ProcessMadvise,
    /// `shmat`, `shmdt`.
    Shm,
}

impl CallKind {
    /// All of them, in the order of the kernel side's slots.
    pub const ALL: [Self; 8] = [
        Self::Mmap,
        Self::Munmap,
        Self::Brk,
        Self::Mremap,
        Self::Mprotect,
        Self::Madvise,
        Self::ProcessMadvise,
        Self::Shm,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mmap => "mmap",
            Self::Munmap => "munmap",
            Self::Brk => "brk",
            Self::Mremap => "mremap",
            Self::Mprotect => "mprotect",
            Self::Madvise => "madvise",
            Self::ProcessMadvise => "process_madvise",
            Self::Shm => "shm",
        }
    }
}

/// Sums over calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls by kind, in the order of [`CallKind::ALL`], failed ones included.
    pub calls: [u64; CallKind::ALL.len()],
    /// Failed ones, likewise.
    pub failed: [u64; CallKind::ALL.len()],
    /// What they asked for.
    pub sizes: Sizes,
    /// Calls that gave pages back at once.
    pub purges: u64,
    /// Calls that offered pages (`MADV_FREE`).
    pub lazy_frees: u64,
}

/// What calls asked for, failed ones left out. Asked for, not had: what `MAP_FIXED` replaces is in
/// none of them, a hole in what is unmapped or given back counts as if it were memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sizes {
    /// To map: `mmap`, a growing `brk` or `mremap`.
    pub mapped: Bytes,
    /// To unmap: `munmap`, a shrinking `brk` or `mremap`.
    pub unmapped: Bytes,
    /// To give back at once (`MADV_DONTNEED` and the like), counted each time.
    pub purged: Bytes,
    /// To give back when memory is short (`MADV_FREE`), likewise.
    pub lazily_freed: Bytes,
}

impl Counts {
    /// Nothing was counted.
    pub const NONE: Self = Self {
        calls: [0; CallKind::ALL.len()],
        failed: [0; CallKind::ALL.len()],
        sizes: Sizes {
            mapped: Bytes(0),
            unmapped: Bytes(0),
            purged: Bytes(0),
            lazily_freed: Bytes(0),
        },
        purges: 0,
        lazy_frees: 0,
    };

    /// All calls.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.calls.iter().sum()
    }

    /// All failed calls.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failed.iter().sum()
    }

    /// The larger of each sum: what only grows is not seen falling.
    #[must_use]
    pub fn max(mut self, other: Self) -> Self {
        let raise = |sum: &mut u64, other: u64| *sum = (*sum).max(other);
        self.calls
            .iter_mut()
            .zip(other.calls)
            .chain(self.failed.iter_mut().zip(other.failed))
            .for_each(|(sum, other)| raise(sum, other));
        raise(&mut self.sizes.mapped.0, other.sizes.mapped.0);
        raise(&mut self.sizes.unmapped.0, other.sizes.unmapped.0);
        raise(&mut self.sizes.purged.0, other.sizes.purged.0);
        raise(&mut self.sizes.lazily_freed.0, other.sizes.lazily_freed.0);
        raise(&mut self.purges, other.purges);
        raise(&mut self.lazy_frees, other.lazy_frees);
        self
    }

    /// Calls of a kind and how many of them failed.
    #[must_use]
    pub fn of(&self, kind: CallKind) -> (u64, u64) {
        (self.calls[kind as usize], self.failed[kind as usize])
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        let add = |to: &mut [u64], from: &[u64]| {
            to.iter_mut()
                .zip(from)
                .for_each(|(to, from)| *to = to.saturating_add(*from));
        };
        add(&mut self.calls, &other.calls);
        add(&mut self.failed, &other.failed);
        self.sizes.mapped += other.sizes.mapped;
        self.sizes.unmapped += other.sizes.unmapped;
        self.sizes.purged += other.sizes.purged;
        self.sizes.lazily_freed += other.sizes.lazily_freed;
        self.purges += other.purges;
        self.lazy_frees += other.lazy_frees;
    }
}

impl std::ops::Add for Counts {
    type Output = Self;
    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

/// Counts as the kernel side's table has them for one process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Since when.
    pub since: Nanos,
    /// Whether a new program began it, rather than a call.
    pub by_exec: bool,
    /// The sums.
    pub counts: Counts,
}

/// What came and went in that table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Turnover {
    /// Processes that it has room for.
    pub room: u64,
    /// Processes in it.
    pub present: u64,
    /// Processes that it let go of to make room for others: their counts began anew.
    pub evicted: u64,
    /// Calls that were not counted for want of room.
    pub refused: u64,
    /// Processes that ended since counting began.
    pub ended: u64,
    /// Programs that were executed.
    pub executed: u64,
    /// The sums of processes that ended, and of programs that were replaced.
    #[serde(skip)]
    pub gone: Counts,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_in_the_order_of_their_slots() {
        for (slot, kind) in CallKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, slot);
        }
    }

    #[test]
    fn sums_add_up() {
        let mut one = Counts::default();
        one.calls[CallKind::Brk as usize] = 2;
        one.failed[CallKind::Brk as usize] = 1;
        one.sizes.mapped = Bytes(4096);
        let two = one + one;
        assert_eq!((two.total(), two.failures()), (4, 2));
        assert_eq!(two.of(CallKind::Brk), (4, 2));
        assert_eq!(two.sizes.mapped, Bytes(8192));
    }
}
