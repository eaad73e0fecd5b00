//! `cached-by-allocator`: the program holds none of these bytes, by probes in the allocator's own
//! functions, and no call gave them back.

use super::{Draft, heap_pinned, owning, title};
use crate::{
    attribute::{
        Owner,
        allocators::{Topic, glibc::GLIBC},
        case::{Case, Part},
        explanation::Finding,
        tally::Kind,
    },
    space::piece::Backing,
    units::Bytes,
};

pub const REASON: &str = "cached-by-allocator";

pub fn find(case: &Case<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (owner, bytes) in owning(case, Kind::Cached) {
        let bytes = bytes - told_elsewhere(case, &owner);
        if bytes.0 == 0 {
            continue;
        }
        findings.push(
            Draft::new(case, REASON, &owner, bytes)
                .of(|part| part.kind == Kind::Live && part.is_settled())
                .summary(&format!(
                    "{} keeps {bytes} that the program does not hold: it was freed and is cached, \
                     or was not handed out.",
                    title(&owner)
                ))
                .fact(
                    "every block handed out and given back there was seen, from the first on: \
                     none of these bytes is in one",
                )
                .released()
                .mapped_by()
                .residency()
                .ranges()
                .settings()
                .cannot_exclude(
                    "which of it the allocator needs for itself: rounding up of sizes and its own \
                     tables are in it.",
                )
                .advice(Topic::NotReleased, "")
                .verify(
                    "Trace the same load with the remedy and with --heap: the state `cached` must \
                     be smaller, `live` the same.",
                )
                .done(),
        );
    }
    findings
}

/// What the findings about glibc's heap say already, after a walk through it.
fn told_elsewhere(case: &Case<'_>, owner: &Owner) -> Bytes {
    let Some(walk) = heap_pinned::walk(case).filter(|_| owner.0 == GLIBC.name) else {
        return Bytes(0);
    };
    let in_heap = |part: &&Part| part.piece.backing == Backing::Heap && part.is_settled();
    let cached = case
        .parts_of(owner)
        .filter(in_heap)
        .filter(|part| part.kind == Kind::Live);
    let cached: Bytes = cached.map(Part::unheld).sum();
    cached.min(walk.free + walk.top)
}
