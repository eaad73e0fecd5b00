//! `heap-below-trim-threshold`: the free end of glibc's heap, which free() cuts off only
//! when it is large enough. Fires only on a walk through the heap.

use super::{Draft, heap_pinned::walk};
use crate::attribute::{
    Owner,
    allocators::glibc::{GLIBC, Thresholds},
    case::Case,
    explanation::{Confidence, Finding},
};

pub const REASON: &str = "heap-below-trim-threshold";

pub fn find(case: &Case<'_>) -> Vec<Finding> {
    let Some(walk) = walk(case) else {
        return Vec::new();
    };
    let thresholds = Thresholds::of(case);
    let below = walk.top <= thresholds.trim;
    let (confidence, doubt) = match (below, thresholds.is_set) {
        (true, _) => (
            Confidence::High,
            "thresholds set by mallopt(), which are not seen.",
        ),
        (false, _) => (
            Confidence::Medium,
            "thresholds set by mallopt() or raised before the attach, which are not seen, and \
             that no free() came by since the end became free.",
        ),
    };
    let why = if below {
        format!(
            "free() cuts the end off only when more than the trim threshold, {} here, is free \
             there",
            thresholds.trim
        )
    } else {
        "free() cuts the end off only when more than the trim threshold is free there, and only \
         when it is called"
            .to_owned()
    };
    let draft = Draft::new(case, REASON, &Owner::named(GLIBC.name), walk.top)
        .summary(&format!(
            "{} at the end of the heap is free and not returned: {why}.",
            walk.top
        ))
        .fact(format!(
            "walk through the heap {}-{}: its top chunk, which is free, has {}",
            walk.span.start, walk.span.end, walk.top
        ))
        .fact(thresholds.in_words(case))
        .settings()
        .sure(confidence)
        .cannot_exclude(doubt)
        .remedy(
            "MALLOC_TRIM_THRESHOLD_=131072 keeps the threshold low (setting it also stops it from \
             rising by itself), or let the process call malloc_trim(0). Price: more brk calls.",
        )
        .verify_by_figure("VmSize");
    vec![draft.done()]
}
