//! What is known of a run of bytes: the value that the address-space model keeps.
//!
//! Pieces lie *below* the kernel's VMAs: the kernel merges neighbours of equal flags, a
//! piece keeps which call made its bytes. All fields survive a split unchanged.

use std::fmt;

use crate::{
    event::Syscall,
    units::{Bytes, Nanos, Tid},
};

/// The bytes of one origin with one state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// What may be done with them.
    pub prot: Prot,
    /// Whether writes are seen by others (`s` or `p` in `/proc/<pid>/maps`).
    pub shared: bool,
    /// What lies behind them.
    pub backing: Backing,
    /// What else the calls said of them.
    pub traits: Traits,
    /// Which call made them, when, and who asked.
    pub origin: Origin,
    /// When they got to this address: `origin.at`, or later if `mremap` moved them.
    /// A call that was entered earlier cannot be about them.
    pub placed: Nanos,
    /// What the calls tell of the pages behind them.
    pub content: Content,
    /// Their `PR_SET_VMA` name.
    pub name: Option<NameId>,
}

impl Piece {
    /// As a call of a site leaves it: who handles memory that was there before is taken down with it.
    #[must_use]
    pub(super) const fn handled_by(mut self, site: SiteId) -> Self {
        if self.is_unclaimed() {
            self.origin.site = site;
        }
        self
    }

    /// Whether it is memory that was there before, and nobody was seen to handle it.
    #[must_use]
    pub const fn is_unclaimed(&self) -> bool {
        matches!(self.origin.how, Provenance::PreExisting)
            && matches!(self.backing, Backing::Anonymous | Backing::Heap)
            && self.origin.site.0 == 0
    }

    /// Whether they are private memory of no file: the process's own to fill and to lose.
    #[must_use]
    pub const fn is_anonymous(&self) -> bool {
        !self.shared
            && matches!(
                self.backing,
                Backing::Anonymous | Backing::Heap | Backing::Stack
            )
    }
}

/// Protection, as the `rwx` of `/proc/<pid>/maps`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct Prot {
    /// `PROT_READ`.
    pub read: bool,
    /// `PROT_WRITE`.
    pub write: bool,
    /// `PROT_EXEC`.
    pub exec: bool,
}

impl Prot {
    /// `PROT_NONE`: address space only.
    pub const NONE: Self = Self {
        read: false,
        write: false,
        exec: false,
    };

    /// From the `PROT_*` bits of a call.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self {
            read: bits & 1 != 0,
            write: bits & 2 != 0,
            exec: bits & 4 != 0,
        }
    }

    /// Whether nothing may be done with the bytes.
    #[must_use]
    pub const fn is_none(self) -> bool {
        !self.read && !self.write && !self.exec
    }
}

impl fmt::Display for Prot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flag = |set, letter| if set { letter } else { '-' };
        write!(
            f,
            "{}{}{}",
            flag(self.read, 'r'),
            flag(self.write, 'w'),
            flag(self.exec, 'x')
        )
    }
}

/// What lies behind a run of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Backing {
    /// Zero pages of its own.
    Anonymous,
    /// The brk heap, anonymous too.
    Heap,
    /// A stack that the kernel grows downwards (the main thread's), anonymous too.
    Stack,
    /// A file (shared memory of `shmat` and `MAP_SHARED | MAP_ANONYMOUS`, devices and
    /// kernel rings too: the kernel backs them by files).
    File {
        /// Which one.
        file: FileId,
        /// Offset in the file minus address, wrapping: equal for all parts of a mapping.
        bias: u64,
    },
    /// What the kernel maps by itself: `[vdso]`, `[vvar]`.
    Special(FileId),
}

/// A file or special mapping, by its place in [`super::names::Names`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u32);

/// A `PR_SET_VMA` name, by its place in [`super::names::Names`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NameId(pub u32);

/// A call site, by its place in [`super::sites::Sites`]. 0 is "unknown".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SiteId(pub u32);

/// Which call made a run of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// By what they came.
    pub how: Provenance,
    /// Who called, [`SiteId`] 0 if unknown. Of memory that was there before, who was first seen to
    /// take it, to give pages of it back, or to protect it.
    pub site: SiteId,
    /// The thread.
    pub tid: Tid,
    /// When the call was left; the time of the reading for what was read from the kernel.
    pub at: Nanos,
    /// The length of the whole mapping that the call made, whatever became of the rest.
    pub mapped: Bytes,
}

/// By what a run of bytes came into the address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Provenance {
    /// It was there when the tracer attached.
    PreExisting,
    /// The kernel mapped it at `execve` (or before the first map could be read after it).
    Exec,
    /// A call.
    Call(Syscall),
    /// The kernel grew a stack.
    StackGrowth,
    /// Found in the kernel's map at a later reading: no event told of it.
    Found,
}

/// What the calls said of a run of bytes, beyond protection. `MAP_*` and `MADV_*` bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Traits {
    /// `MAP_NORESERVE`.
    pub no_reserve: bool,
    /// `MAP_STACK`: a thread's stack, by the word of its maker.
    pub stack: bool,
    /// `MAP_GROWSDOWN`.
    pub grows_down: bool,
    /// `MAP_HUGETLB`.
    pub huge_tlb: bool,
    /// `mlock`, `MAP_LOCKED`.
    pub locked: bool,
    /// `MADV_HUGEPAGE`.
    pub huge: bool,
    /// `MADV_NOHUGEPAGE`.
    pub no_huge: bool,
    /// `MADV_DONTFORK`: a child does not get them.
    pub dont_fork: bool,
    /// `MADV_WIPEONFORK`: a child gets them empty.
    pub wipe_on_fork: bool,
    /// `MADV_DONTDUMP`.
    pub dont_dump: bool,
}

/// What the calls tell of the pages behind a run of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    /// May have been touched, or not: calls cannot tell.
    Unknown,
    /// Never accessible so far: a reservation.
    NeverAccessible,
    /// Was accessible and was mapped over with `PROT_NONE`: pages gone, address space kept.
    Overlaid {
        /// When.
        at: Nanos,
    },
    /// Given back by advice; whether touched since, calls cannot tell.
    Discarded {
        /// When, last.
        at: Nanos,
    },
    /// Offered by `MADV_FREE`: counted as resident until the kernel takes it.
    LazilyFreed {
        /// When, last.
        at: Nanos,
    },
}

impl Content {
    /// Whether there are no pages and, as long as protection stays, can be none.
    #[must_use]
    pub const fn is_barren(self) -> bool {
        matches!(self, Self::NeverAccessible | Self::Overlaid { .. })
    }
}
