//! What can be seen of memory whose origin is unknown.

use crate::units::{Bytes, Span};

/// Where mimalloc asks its mappings to be placed: far below where the kernel places them
/// by itself.
const HINTED: std::ops::Range<u64> = 2 << 40..30 << 40;

/// Memory without a usable call site, as far as it can be recognised.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shape {
    /// Where it lies.
    pub span: Span,
    /// The whole of the call's mapping; `None` if no call was seen.
    pub mapped: Option<Bytes>,
    /// The brk heap.
    pub heap: bool,
    /// Readable and writable.
    pub writable: bool,
    /// `MAP_NORESERVE`.
    pub no_reserve: bool,
    /// In a window of 64 MiB, accessible at its beginning and reserved behind.
    pub arena_window: bool,
    /// In a window of 1 GiB, reserved at its beginning and accessible behind.
    pub region_window: bool,
    /// All the anonymous memory that lies there without a gap.
    pub run: Bytes,
}

impl Shape {
    /// Readable, writable, unreserved, neither the heap nor an arena of glibc's.
    pub const fn is_unreserved(&self) -> bool {
        self.writable && self.no_reserve && !self.heap && !self.arena_window
    }

    /// Whether it lies where only a hint places mappings.
    pub fn is_hinted(&self) -> bool {
        HINTED.contains(&self.span.start.0)
    }

    /// Whether it is, or was mapped as, at least this much.
    pub fn is_reservation_of(&self, size: u64) -> bool {
        self.mapped.unwrap_or(self.span.len()).0 >= size
    }
}
