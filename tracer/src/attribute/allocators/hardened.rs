//! hardened_malloc: terabytes reserved, freed memory made inaccessible.

use super::{Allocator, PLAIN};

pub(super) static HARDENED: Allocator = Allocator {
    name: "hardened_malloc",
    title: "hardened_malloc",
    libraries: &["libhardened_malloc*"],
    symbols: &["malloc_object_size_fast"],
    vma_names: &["malloc *"],
    grows: "it reserves terabytes at its start and makes parts accessible",
    keeps: "it maps inaccessible memory over what was freed, so that use after free fails",
    ..PLAIN
};
