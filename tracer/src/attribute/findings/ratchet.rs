//! `mmap-threshold-raised`: glibc's mmap threshold rose by itself, so that blocks below it come
//! from the heap, which shrinks only from its end.

use super::Draft;
use crate::{
    attribute::{
        Owner,
        allocators::glibc::{GLIBC, MMAP_THRESHOLD, Thresholds},
        case::{Case, Part},
        explanation::{Confidence, Finding},
        text,
    },
    space::piece::Backing,
    units::Bytes,
};

pub const REASON: &str = "mmap-threshold-raised";

pub fn find(case: &Case<'_>) -> Vec<Finding> {
    let owner = Owner::named(GLIBC.name);
    let thresholds = Thresholds::of(case);
    let Some((chunk, at)) = thresholds.raised else {
        return Vec::new();
    };
    let is_later = move |part: &Part| {
        part.piece.backing == Backing::Heap && part.fresh && part.piece.origin.at > at
    };
    let bytes: Bytes = case
        .parts_of(&owner)
        .filter(|part| is_later(part))
        .map(|part| part.span.len())
        .sum();
    if bytes.0 == 0 {
        return Vec::new();
    }
    let draft = Draft::new(case, REASON, &owner, bytes)
        .of(is_later)
        .summary(&format!(
            "The heap grew by {bytes} that is still there after glibc's mmap threshold had risen to \
             {chunk}: blocks from {MMAP_THRESHOLD} up to that come from the heap since, instead of \
             mappings of their own."
        ))
        .fact(format!(
            "a chunk of {chunk} with a mapping of its own was freed {} after the beginning, which \
             raised the mmap threshold to its size and the trim threshold to {}",
            text::seconds(at.since(case.evidence.observed.0)),
            thresholds.trim
        ))
        .mapped_by()
        .residency()
        .settings()
        .at_most(Confidence::Medium)
        .cannot_exclude(
            "that blocks below 128 KiB made the heap grow, which would have come from it anyway.",
        )
        .remedy(
            "MALLOC_MMAP_THRESHOLD_=131072 keeps the threshold where it begins (any set value keeps \
             it from moving). Price: two system calls and page faults for each block above it.",
        )
        .verify_by_figure("the heap");
    vec![draft.done()]
}
