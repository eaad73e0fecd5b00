//! Which kinds of records a program can write, known when it is compiled: the rest is left
//! out of it.

use tracer_ebpf::kind;

/// A set of [`kind`]s.
#[derive(Clone, Copy)]
pub struct Kinds(u32);

impl Kinds {
    /// All of them.
    pub const ALL: Self = Self(u32::MAX);
    /// Calls that place nothing.
    pub const CALL: Self = Self(1 << kind::CALL);
    /// Calls that place memory.
    pub const PLACING: Self = Self(1 << kind::PLACING);
    /// `mmap`, which may map a file.
    pub const MAPPING: Self = Self(1 << kind::PLACING | 1 << kind::FILE);
    /// `process_madvise`.
    pub const RANGES: Self = Self(1 << kind::RANGES);
    /// `prctl`.
    pub const NAMING: Self = Self(1 << kind::NAMING);

    /// Whether a kind is among them.
    #[inline(always)]
    pub const fn have(self, kind: u32) -> bool {
        self.0 & 1 << kind != 0
    }
}
