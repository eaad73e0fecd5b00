//! musl's malloc: small groups mapped and unmapped one by one.

use super::{Allocator, PLAIN};

pub(in crate::attribute) static MUSL: Allocator = Allocator {
    name: "musl",
    title: "musl's malloc",
    libraries: &["ld-musl-*", "libc.musl-*"],
    functions: &[
        "__libc_malloc_impl",
        "__malloc_alloc_meta",
        "__malloc_allzerop",
        "__simple_malloc",
        "__expand_heap",
    ],
    common_functions: &[
        "alloc_group",
        "alloc_slot",
        "__libc_malloc",
        "__libc_realloc",
    ],
    symbols: &[
        "__libc_malloc_impl",
        "__malloc_alloc_meta",
        "__simple_malloc",
    ],
    grows: "it maps groups of equal blocks, and blocks above 128 KiB one by one",
    keeps: "a group of blocks stays mapped while one block of it is in use",
    unmaps: "musl unmaps a group of blocks as soon as none of it is in use, and large blocks \
             at once",
    experiment: "a heap profiler: musl caches next to nothing, so what is mapped is nearly \
                 all in use or shares a group with it",
    ..PLAIN
};
