//! `heap-below-trim-threshold`: the free end of glibc's heap, which free() cuts off only
//! when it is large enough. Fires only on a walk through the heap.

use super::{heap_pinned::walk, settings_of};
use crate::attribute::{
    Owner,
    allocators::glibc::{self, GLIBC, MMAP_THRESHOLD_MAX},
    case::Case,
    evidence::Settings,
    explanation::{Confidence, Finding},
};

pub const REASON: &str = "heap-below-trim-threshold";

pub fn find(case: &Case<'_>) -> Vec<Finding> {
    let Some(walk) = walk(case) else {
        return Vec::new();
    };
    let mut evidence = vec![format!(
        "walk through the heap {}-{}: its top chunk, which is free, has {}",
        walk.span.start, walk.span.end, walk.top
    )];
    evidence.push(threshold(case.evidence.settings));
    evidence.extend(settings_of(case, &GLIBC));
    vec![Finding {
        reason: REASON,
        owner: Owner::named(GLIBC.name),
        bytes: walk.top,
        confidence: Confidence::Medium,
        summary: format!(
            "{} at the end of the heap is free and not returned: free() cuts the end off only \
             when more than the trim threshold is free there.",
            walk.top
        ),
        evidence,
        cannot_exclude: "thresholds set by mallopt(), which are not seen, and that no free() \
                         came by since the end became free."
            .to_owned(),
        remedy: "MALLOC_TRIM_THRESHOLD_=131072 keeps the threshold low (setting it also stops \
                 it from rising by itself), or let the process call malloc_trim(0). Price: \
                 more brk calls."
            .to_owned(),
    }]
}

fn threshold(settings: &Settings) -> String {
    match (
        glibc::trim_threshold(settings),
        glibc::mmap_threshold(settings),
    ) {
        (Some(set), _) => format!("the trim threshold is set to {set}"),
        (None, Some(_)) => "a set mmap threshold keeps the trim threshold at 128 KiB".to_owned(),
        (None, None) => format!(
            "the trim threshold begins at 128 KiB and rises to twice the largest unmapped \
             chunk, at most twice {MMAP_THRESHOLD_MAX}"
        ),
    }
}
