//! What can be seen of memory whose origin is unknown.

use crate::units::{Bytes, Span};

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
}

impl Shape {
    /// Readable, writable, unreserved, not the heap.
    pub const fn is_unreserved(&self) -> bool {
        self.writable && self.no_reserve && !self.heap
    }

    /// Whether it is, or was mapped as, at least this much.
    pub fn is_reservation_of(&self, size: u64) -> bool {
        self.mapped.unwrap_or(self.span.len()).0 >= size
    }
}
