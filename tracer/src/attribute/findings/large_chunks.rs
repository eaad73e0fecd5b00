//! `large-chunks-unmapped`: the counter-example. An allocator unmapped what was freed, and
//! VmSize fell.

use super::Draft;
use crate::{
    attribute::{
        allocators::{
            Allocator,
            glibc::{ARENA_HEAP, GLIBC, Thresholds},
        },
        case::Case,
        explanation::{Confidence, Finding},
        text,
    },
    space::{
        flow::{Flow, Source, SourceKind},
        piece::Provenance,
    },
};

pub const REASON: &str = "large-chunks-unmapped";

/// Less than one part in so many of what was mapped is trimming at the edges.
const WORTH_NOTING: u64 = 8;

pub fn find(case: &Case<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (allocator, owner) in case.owning_allocators() {
        let chunks = |older: bool| {
            case.flow(&owner, |source, flow| {
                let is_older = source.how == Provenance::PreExisting;
                is_older == older && is_chunks(allocator, source, flow)
            })
        };
        let (flow, older) = (chunks(false), chunks(true));
        let unmapped = flow.unmapped + older.unmapped;
        let slight = unmapped.0 < flow.mapped.0 / WORTH_NOTING;
        if allocator.unmaps.is_empty() || unmapped.0 == 0 || slight {
            continue;
        }
        let of_new = format!(
            "{} since the attach, {} in all; {} of it was unmapped again",
            text::count(flow.calls, "mapping"),
            flow.mapped,
            flow.unmapped
        );
        let of_older = format!(
            "{} that is older than the attach was unmapped",
            older.unmapped
        );
        let threshold =
            (allocator.name == GLIBC.name).then(|| Thresholds::of(case).mmap_in_words());
        let draft = Draft::new(case, REASON, &owner, unmapped)
            .summary(&format!(
                "{} returned {unmapped} when it was freed: {}.",
                allocator.title, allocator.unmaps
            ))
            .facts((flow.calls > 0).then_some(of_new))
            .facts((older.unmapped.0 > 0).then_some(of_older))
            .facts(threshold)
            .settings()
            // Of older memory nobody saw how it had been mapped.
            .sure(if older.unmapped > flow.unmapped {
                Confidence::Medium
            } else {
                Confidence::High
            })
            .remedy("None needed: this is what a shrinking VmSize looks like.");
        findings.push(draft.done());
    }
    findings
}

/// Whether a flow is of memory handed out, not of the making of an arena, which maps
/// 128 MiB and cuts them to 64.
fn is_chunks(allocator: &Allocator, source: &Source, flow: &Flow) -> bool {
    let arenas = allocator.name == GLIBC.name
        && flow.mapped.0 > 0
        && flow.mapped.0.is_multiple_of(ARENA_HEAP);
    source.kind == SourceKind::Anonymous && !arenas
}
