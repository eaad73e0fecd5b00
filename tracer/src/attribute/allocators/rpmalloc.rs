//! rpmalloc: spans of 64 KiB, mapped by the 64.
//!
//! Version 1.4, by its source and as measured: 64 spans at a time with 64 KiB more to align them; a
//! block over 3.9 MiB by a mapping of its own. A span that is free and does not fit into the caches
//! is given back by `MADV_DONTNEED`, the mapping when all its spans are. It reads no environment
//! variables: how many spans it maps at a time is an argument of `rpmalloc_initialize_config`.

use super::{Allocator, Decay, PLAIN};

pub(super) static RPMALLOC: Allocator = Allocator {
    name: "rpmalloc",
    title: "rpmalloc",
    libraries: &["librpmalloc*"],
    functions: &["rpmalloc*", "_rpmalloc_*", "rp_mmap*"],
    common_functions: &[
        "rpfree",
        "rpcalloc",
        "rprealloc",
        "rpaligned_*",
        "rpmemalign",
        "rpposix_memalign",
    ],
    symbols: &["rpmalloc", "rpmalloc_*", "_rpmalloc_*"],
    maps_ahead: true,
    grows: "it maps spans of 64 KiB, 64 of them at a time",
    keeps: "it unmaps a group of spans only when all of them are free",
    unmaps: "it unmaps a group of spans when all of them are free, and blocks over 3.9 MiB at once",
    experiment: "rpmalloc_thread_finalize(1) as each thread ends: what stays then is in use or in \
                 the cache that all threads share",
    decay: |_| {
        Some(Decay::ByCalls(
            "free spans are cached, and go back only when the caches are full or a thread ends"
                .to_owned(),
        ))
    },
    ..PLAIN
};
