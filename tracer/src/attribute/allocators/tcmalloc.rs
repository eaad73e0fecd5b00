//! tcmalloc of gperftools: takes memory by brk, never returns address space.

use super::{Allocator, Decay, PLAIN, Shape, Topic, settings};
use crate::attribute::evidence::Evidence;

pub(super) static TCMALLOC: Allocator = Allocator {
    name: "tcmalloc",
    title: "tcmalloc (gperftools)",
    libraries: &["libtcmalloc*"],
    functions: &["TCMalloc*", "_ZN8tcmalloc*", "tcmalloc::*", "tcmalloc_*"],
    common_functions: &[
        "tc_*",
        "_ZN16SbrkSysAllocator*",
        "_ZN16MmapSysAllocator*",
        "SbrkSysAllocator::*",
        "MmapSysAllocator::*",
    ],
    symbols: &[
        "tc_malloc",
        "tc_version",
        "MallocExtension_ReleaseFreeMemory",
    ],
    strings: &["TCMALLOC_RELEASE_RATE", "TCMALLOC_SKIP_SBRK"],
    fits,
    grows: "it moves the end of the heap up by 1 MiB or more at a time",
    keeps: "it never moves the end of the heap down and never unmaps",
    variables: &["TCMALLOC_*"],
    experiment: "MallocExtension::instance()->ReleaseFreeMemory() in the process: what RSS \
                 falls by was free",
    advice,
    options: |evidence| settings::rows(evidence.settings, "gperftools", &OPTIONS),
    decay,
    ..PLAIN
};

fn fits(shape: &Shape) -> bool {
    shape.heap
}

fn advice(evidence: &Evidence<'_>, topic: Topic) -> String {
    match topic {
        Topic::NotReleased => {
            let never = settings::variable(evidence.settings, "TCMALLOC_RELEASE_RATE");
            let rate = if never.and_then(|rate| rate.parse().ok()) == Some(0.0) {
                "TCMALLOC_RELEASE_RATE=0 is set: tcmalloc never gives pages back. Remove it. "
            } else {
                ""
            };
            format!(
                "{rate}tcmalloc gives pages back only after 2 GiB went through its page heap. \
                 TCMALLOC_AGGRESSIVE_DECOMMIT=1 gives free spans back at once (price: a call \
                 and page faults for most of them); ReleaseFreeMemory() does so once. Either \
                 lowers RSS, not VmSize."
            )
        }
        Topic::LazilyFreed => super::general_advice(topic).to_owned(),
        _ => format!(
            "Usually nothing: it costs no memory. No setting of tcmalloc returns address \
             space; if VmSize itself is limited or watched, use another allocator.{}",
            settings::limit_remark(evidence.settings)
        ),
    }
}

/// Variables that bear on address space and memory (gperftools' `docs/tcmalloc.html`), their
/// defaults and what they do.
const OPTIONS: [settings::Known; 5] = [
    (
        &["TCMALLOC_RELEASE_RATE"],
        "1",
        "how eagerly free pages are given back as memory passes through the page heap; 0: never",
    ),
    (
        &["TCMALLOC_AGGRESSIVE_DECOMMIT"],
        "false",
        "true: free pages are given back at once",
    ),
    (
        &["TCMALLOC_SKIP_SBRK"],
        "false",
        "true: it takes memory by mmap only",
    ),
    (
        &["TCMALLOC_HEAP_LIMIT_MB"],
        "0",
        "beyond this many MiB it gives free pages back before it takes more",
    ),
    (
        &["TCMALLOC_MAX_TOTAL_THREAD_CACHE_BYTES"],
        "33554432",
        "what the caches of all threads may keep",
    ),
];

fn decay(evidence: &Evidence<'_>) -> Option<Decay> {
    let rate = settings::variable(evidence.settings, "TCMALLOC_RELEASE_RATE");
    if rate.and_then(|rate| rate.parse().ok()) == Some(0.0) {
        return Some(Decay::Never("TCMALLOC_RELEASE_RATE=0".to_owned()));
    }
    Some(Decay::ByCalls(
        "free pages go back only after 2 GiB went through its page heap, and never by themselves"
            .to_owned(),
    ))
}
