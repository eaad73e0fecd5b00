//! snmalloc: 256 GiB of address space up front, `MADV_FREE` only.
//!
//! Version 0.7, by its source and as measured: a table of 256 GiB, of which it touches some pages,
//! and memory by powers of two from 16 MiB on, both unreserved. What is free is offered to the
//! kernel when 2 MiB of it come together. It never unmaps, obeys no environment variable and has no
//! function that gives memory back.

use super::{Allocator, Decay, PLAIN, Shape};

/// Its table; the kernel has it in parts, as some pages are to be in core dumps.
const TABLE_PART: u64 = 64 << 30;
const CHUNK: u64 = 16 << 20;

pub(super) static SNMALLOC: Allocator = Allocator {
    name: "snmalloc",
    title: "snmalloc",
    libraries: &["libsnmalloc*"],
    functions: &[
        "_ZN8snmalloc*",
        "_ZNK8snmalloc*",
        "snmalloc::*",
        "sn_rust_*",
    ],
    common_functions: &["sn_*"],
    symbols: &["sn_rust_alloc", "sn_malloc", "_ZN8snmalloc*"],
    vma_names: &["snmalloc"],
    fits,
    maps_ahead: true,
    grows: "it maps by powers of two, from 16 MiB on",
    keeps: "it never unmaps what it once mapped",
    experiment: "its own statistics (sn_rust_statistics, get_malloc_info_v1): what it has \
                 committed beyond what the program holds is cached",
    decay: |_| {
        Some(Decay::ByCalls(
            "what is free is offered to the kernel (MADV_FREE) when 2 MiB of it come together, \
             which takes calls to it"
                .to_owned(),
        ))
    },
    ..PLAIN
};

fn fits(shape: &Shape) -> bool {
    shape.is_unreserved()
        && match shape.mapped {
            Some(mapped) => mapped.0 >= CHUNK && mapped.0.is_power_of_two(),
            None => shape.span.len().0 >= TABLE_PART,
        }
}
