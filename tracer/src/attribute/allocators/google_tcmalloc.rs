//! Google's tcmalloc: regions of 1 GiB far from other mappings.

use super::{Allocator, Decay, PLAIN, Shape};

const REGION: u64 = 1 << 30;

pub(super) static GOOGLE_TCMALLOC: Allocator = Allocator {
    name: "google-tcmalloc",
    title: "Google's tcmalloc",
    functions: &[
        "TCMallocInternal*",
        "_ZN8tcmalloc17tcmalloc_internal*",
        "tcmalloc::tcmalloc_internal::*",
    ],
    symbols: &["TCMallocInternal*", "MallocExtension_Internal_*"],
    strings: &["tcmalloc_region_"],
    vma_names: &["tcmalloc_region_*"],
    fits,
    maps_ahead: true,
    grows: "it reserves regions of 1 GiB and makes them accessible by 2 MiB",
    keeps: "it takes memory in regions of 1 GiB and never unmaps one",
    experiment: "MallocExtension::ReleaseMemoryToSystem() in the process: what RSS falls by \
                 was free",
    decay: |_| {
        Some(Decay::ByCalls(
            "free pages go back only when the program calls ReleaseMemoryToSystem() or runs \
             ProcessBackgroundActions() in a thread"
                .to_owned(),
        ))
    },
    ..PLAIN
};

fn fits(shape: &Shape) -> bool {
    !shape.heap
        && shape.span.start.0.is_multiple_of(1 << 21)
        && shape.mapped.is_some_and(|mapped| mapped.0 == REGION)
        && !shape.no_reserve
}
