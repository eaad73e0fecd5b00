//! rpmalloc: spans of 64 KiB, mapped by the 64.

use super::{Allocator, PLAIN};

pub(super) static RPMALLOC: Allocator = Allocator {
    name: "rpmalloc",
    title: "rpmalloc",
    libraries: &["librpmalloc*"],
    functions: &["rpmalloc*", "_rpmalloc_*", "rp_mmap*"],
    symbols: &["rpmalloc", "rpmalloc_*", "_rpmalloc_*"],
    grows: "it maps spans of 64 KiB, 64 of them at a time",
    keeps: "it unmaps a group of spans only when all of them are free",
    unmaps: "it unmaps a group of spans when all of them are free, and large blocks at once",
    ..PLAIN
};
