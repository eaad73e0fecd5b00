//! A mapping as the kernel shows it: one line of `/proc/<pid>/maps`.

use super::piece::Prot;
use crate::units::Span;

/// One line of `/proc/<pid>/maps`.
#[derive(Clone, Debug, PartialEq, Eq)]
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
