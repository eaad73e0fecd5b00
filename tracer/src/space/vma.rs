//! A mapping as the kernel shows it: one line of `/proc/<pid>/maps`.

use super::{agree::Line, piece::Prot};
use crate::units::Span;

/// One line of `/proc/<pid>/maps`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Vma {
    /// The addresses.
    pub span: Span,
    /// `rwx`.
    pub prot: Prot,
    /// `s` rather than `p`.
    pub shared: bool,
    /// Offset in the file, bytes; 0 for anonymous memory.
    pub offset: u64,
    /// The device, `major << 32 | minor`.
    pub device: u64,
    /// The inode; 0 for anonymous memory and what the kernel maps.
    pub inode: u64,
    /// The last column: a path, `[heap]`, `[anon:…]`, or empty.
    pub name: String,
}

impl Vma {
    /// What stands in the last column for a file whose name has not been learnt. The
    /// kernel shows nothing of the kind.
    pub const UNNAMED_FILE: &str = "(unnamed file)";

    /// Whether another line continues this one: nothing differs but the addresses.
    #[must_use]
    pub fn is_continued_by(&self, next: &Self) -> bool {
        self.span.end == next.span.start
            && self.prot == next.prot
            && self.shared == next.shared
            && self.device == next.device
            && self.inode == next.inode
            && self.name == next.name
            && if Line::of(self).is_file() {
                self.offset.wrapping_add(self.span.len().0) == next.offset
            } else {
                self.offset == next.offset
            }
    }

    /// The part of it in a span. Only a file's offset goes on with the addresses.
    #[must_use]
    pub(super) fn clipped(&self, span: Span) -> Self {
        let mut vma = self.clone();
        vma.span = self.span.intersect(span).unwrap_or_default();
        if Line::of(self).is_file() {
            let distance = vma.span.start.0.wrapping_sub(self.span.start.0);
            vma.offset = self.offset.wrapping_add(distance);
        }
        vma
    }
}
