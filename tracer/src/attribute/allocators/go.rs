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
    keeps: "it keeps its arenas for the objects to come",
    variables: &["GOGC", "GOMEMLIMIT", "GODEBUG"],
    experiment: "debug.FreeOSMemory() in the process: what RSS falls by was garbage",
    advice,
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
