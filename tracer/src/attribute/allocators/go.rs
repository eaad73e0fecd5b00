//! The Go runtime: arenas of 64 MiB, given back page by page by its scavenger.

use super::{Allocator, Decay, PLAIN, Shape, Topic, settings};
use crate::attribute::evidence::Evidence;

/// Where its heap begins unless built with a randomised base.
const HEAP: std::ops::Range<u64> = 0xc0_0000_0000..0xd0_0000_0000;

pub(super) static GO: Allocator = Allocator {
    name: "go",
    title: "the Go runtime",
    functions: &[
        "runtime.sys*",
        "runtime.mmap*",
        "runtime.(*mheap)*",
        "runtime.persistentalloc*",
    ],
    common_functions: &["runtime.*"],
    symbols: &["runtime.mallocgc"],
    strings: &["Go buildinf:"],
    vma_names: &[" Go: *", "Go: *"],
    fits,
    maps_ahead: true,
    grows: "it reserves arenas of 64 MiB and makes them accessible as its heap grows",
    keeps: "it keeps its arenas for the objects to come",
    variables: &["GOGC", "GOMEMLIMIT", "GODEBUG"],
    experiment: "debug.FreeOSMemory() in the process: what RSS falls by was garbage",
    advice,
    options: |evidence| settings::rows(evidence.settings, "Go", &OPTIONS),
    decay: |_| {
        Some(Decay::ByThread(
            "its scavenger gives back what is free after a collection, step by step".to_owned(),
        ))
    },
    ..PLAIN
};

fn fits(shape: &Shape) -> bool {
    !shape.heap && HEAP.contains(&shape.span.start.0)
}

fn advice(evidence: &Evidence<'_>, topic: Topic) -> String {
    let debug = settings::variable(evidence.settings, "GODEBUG").unwrap_or_default();
    match topic {
        Topic::LazilyFreed if debug.contains("madvdontneed=0") => {
            "GODEBUG=madvdontneed=0 is set: remove it, and pages are given back at once.".to_owned()
        }
        Topic::NotReleased => "GOMEMLIMIT makes the runtime collect and give back sooner; \
                               price: more collections. debug.FreeOSMemory() does so once. \
                               Either lowers RSS, not VmSize."
            .to_owned(),
        _ => super::general_advice(topic).to_owned(),
    }
}

/// Variables that bear on memory (the documentation of Go's package `runtime`).
const OPTIONS: [settings::Known; 3] = [
    (
        &["GOGC"],
        "100",
        "the heap may grow by this share of what is alive, percent, before it is collected",
    ),
    (
        &["GOMEMLIMIT"],
        "off",
        "from this size on it collects and gives back sooner",
    ),
    (
        &["GODEBUG"],
        "",
        "madvdontneed=0: pages are given back by MADV_FREE",
    ),
];
