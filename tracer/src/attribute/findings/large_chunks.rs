//! `large-chunks-unmapped`: the counter-example. An allocator unmapped what was freed, and
//! VmSize fell.

use super::{sentence, settings_of};
use crate::{
    attribute::{
        allocators::{
            Allocator,
            glibc::{self, ARENA_HEAP, GLIBC, MMAP_THRESHOLD},
        },
        case::Case,
        explanation::{Confidence, Finding},
        text,
    },
    space::flow::{Flow, Source, SourceKind},
};

pub const REASON: &str = "large-chunks-unmapped";

/// Less than one part in so many of what was mapped is trimming at the edges.
const WORTH_NOTING: u64 = 8;

pub fn find(case: &Case<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (allocator, owner) in case.owning_allocators() {
        let flow = case.flow(&owner, |source, flow| is_chunks(allocator, source, flow));
        let slight = flow.unmapped.0 < flow.mapped.0 / WORTH_NOTING;
        if allocator.unmaps.is_empty() || flow.unmapped.0 == 0 || slight {
            continue;
        }
        let mut evidence = vec![format!(
            "{} since the attach, {} in all; {} of it was unmapped again",
            text::count(flow.calls, "mapping"),
            flow.mapped,
            flow.unmapped
        )];
        if allocator.name == GLIBC.name {
            evidence.push(match glibc::mmap_threshold(case.evidence.settings) {
                Some(set) => format!("the mmap threshold is set to {set}"),
                None => format!("the mmap threshold begins at {MMAP_THRESHOLD}"),
            });
        }
        evidence.extend(settings_of(case, allocator));
        findings.push(Finding {
            reason: REASON,
            bytes: flow.unmapped,
            confidence: Confidence::High,
            summary: sentence(&format!(
                "{} returned {} when it was freed: {}.",
                allocator.title, flow.unmapped, allocator.unmaps
            )),
            evidence,
            cannot_exclude: String::new(),
            remedy: "None needed: this is what a shrinking VmSize looks like.".to_owned(),
            owner,
        });
    }
    findings
}

/// Whether a flow is of memory handed out, not of the making of an arena, which maps
/// 128 MiB and cuts them to 64.
fn is_chunks(allocator: &Allocator, source: &Source, flow: &Flow) -> bool {
    let arenas = allocator.name == GLIBC.name && flow.mapped.0.is_multiple_of(ARENA_HEAP);
    source.kind == SourceKind::Anonymous && !arenas
}
