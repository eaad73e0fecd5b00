//! snmalloc: 256 GiB of address space up front, `MADV_FREE` only.

use super::{Allocator, PLAIN, Shape};

const RESERVE: u64 = 256 << 30;
const CHUNK: u64 = 16 << 20;

pub(super) static SNMALLOC: Allocator = Allocator {
    name: "snmalloc",
    title: "snmalloc",
    libraries: &["libsnmalloc*"],
    functions: &["_ZN8snmalloc*", "snmalloc::*", "sn_rust_*"],
    symbols: &["sn_rust_alloc", "_ZN8snmalloc*"],
    fits,
    maps_ahead: true,
    grows: "it maps by powers of two, from 16 MiB on",
    keeps: "it never unmaps what it once mapped",
    ..PLAIN
};

fn fits(shape: &Shape) -> bool {
    shape.is_unreserved()
        && match shape.mapped {
            Some(mapped) => mapped.0 >= CHUNK && mapped.0.is_power_of_two(),
            None => shape.span.len().0 >= RESERVE / 2,
        }
}
