//! mimalloc: segments of 32 MiB (2.0) or arenas of 1 GiB (2.3, 3).

use super::{Allocator, Decay, PLAIN, Shape, Topic, settings};
use crate::attribute::evidence::Evidence;

const ARENA: u64 = 1 << 30;
const SEGMENT: u64 = 32 << 20;
/// What is its own besides arenas and segments is smaller.
const SMALL: u64 = 64 << 20;

pub(super) static MIMALLOC: Allocator = Allocator {
    name: "mimalloc",
    title: "mimalloc",
    libraries: &["libmimalloc*"],
    functions: &["mimalloc*"],
    common_functions: &["mi_*", "_mi_*", "unix_mmap*"],
    symbols: &["mi_malloc", "mi_collect", "mi_version", "_mi_os_alloc"],
    strings: &["mimalloc: warning", "mimalloc: error"],
    vma_names: &["mimalloc*"],
    fits,
    maps_ahead: true,
    grows: "it takes arenas of 1 GiB at a time (segments of 32 MiB in version 2.0), of which it \
            uses what it needs",
    keeps: "it takes memory in arenas of 1 GiB, of which it gives free pages back but never \
            unmaps one",
    unmaps: "what does not come from an arena (over 16 MiB in version 2.0, or with arenas \
             switched off) is unmapped when it is freed",
    variables: &["MIMALLOC_*", "mimalloc_*"],
    experiment: "mi_collect(true) in the process: what RSS falls by was free",
    advice,
    options: |evidence| settings::rows(evidence.settings, "mimalloc", &OPTIONS),
    decay,
    ..PLAIN
};

fn fits(shape: &Shape) -> bool {
    let size = shape.mapped.unwrap_or(shape.span.len()).0;
    if shape.is_hinted() {
        // A region of Google's tcmalloc may lie there by chance; mimalloc uses its own from the
        // beginning on.
        return shape.writable && size.is_multiple_of(SEGMENT) && !shape.region_window;
    }
    // Besides arenas it maps a few small pieces of its own, which the kernel may have
    // merged with others.
    let small = shape.mapped.is_none() && size < SMALL;
    shape.is_unreserved() && (small || size > 0 && size.is_multiple_of(ARENA))
}

fn advice(evidence: &Evidence<'_>, topic: Topic) -> String {
    let set = |name| settings::variable(evidence.settings, name);
    match topic {
        Topic::LazilyFreed => super::general_advice(topic).to_owned(),
        Topic::NotReleased => {
            let never = set("MIMALLOC_PURGE_DELAY") == Some("-1");
            let delay = if never {
                "MIMALLOC_PURGE_DELAY=-1 is set: mimalloc never gives pages back. Remove it."
            } else {
                "mimalloc gives pages back only while the program goes on allocating; \
                 MIMALLOC_PURGE_DELAY=0 (version 2.0: MIMALLOC_DECOMMIT_DELAY=0) does so at \
                 each free. Price: many calls and page faults."
            };
            format!("{delay} To know what is free: {}.", MIMALLOC.experiment)
        }
        _ if set("MIMALLOC_DISALLOW_ARENA_ALLOC") == Some("1")
            || set("MIMALLOC_ARENA_RESERVE") == Some("0") =>
        {
            "Arenas are switched off already; what is left is in segments that are partly in \
             use."
                .to_owned()
        }
        _ => format!(
            "Usually nothing: it costs no memory. If VmSize itself is limited or watched: \
             MIMALLOC_DISALLOW_ARENA_ALLOC=1 makes mimalloc map what it needs and unmap it \
             again, a smaller MIMALLOC_ARENA_RESERVE makes arenas smaller. Price: many more \
             calls.{}",
            settings::limit_remark(evidence.settings)
        ),
    }
}

/// Options that bear on address space and memory (`src/options.c` of versions 2 and 3).
const OPTIONS: [settings::Known; 6] = [
    (
        &[
            "MIMALLOC_PURGE_DELAY",
            "MIMALLOC_RESET_DELAY",
            "MIMALLOC_DECOMMIT_DELAY",
        ],
        "1000 (version 3), 10 (version 2)",
        "milliseconds after which free pages are given back; 0: at once; -1: never",
    ),
    (
        &["MIMALLOC_ARENA_PURGE_MULT"],
        "1 (version 3), 10 (version 2)",
        "the delay of arenas is this many times as long",
    ),
    (
        &["MIMALLOC_PURGE_DECOMMITS", "MIMALLOC_RESET_DECOMMITS"],
        "1",
        "0: pages are given back by MADV_FREE rather than MADV_DONTNEED",
    ),
    (
        &["MIMALLOC_ARENA_RESERVE"],
        "1048576",
        "KiB of address space that it takes at a time",
    ),
    (
        &["MIMALLOC_DISALLOW_ARENA_ALLOC"],
        "0",
        "1: it maps what it needs and unmaps it again",
    ),
    (
        &["MIMALLOC_ALLOW_LARGE_OS_PAGES", "MIMALLOC_LARGE_OS_PAGES"],
        "0",
        "1: it asks for huge pages",
    ),
];

fn decay(evidence: &Evidence<'_>) -> Option<Decay> {
    let names = ["MIMALLOC_PURGE_DELAY", "MIMALLOC_DECOMMIT_DELAY"];
    let set = names
        .into_iter()
        .find_map(|name| Some((name, settings::variable(evidence.settings, name)?)));
    if let Some((name, "-1")) = set {
        return Some(Decay::Never(format!("{name}=-1")));
    }
    let delay = set.map_or("its purge delay".to_owned(), |(_, delay)| {
        format!("{delay} ms")
    });
    Some(Decay::ByCalls(format!(
        "free pages go back after {delay}, but only when the program calls mimalloc"
    )))
}
