//! `heap-trimmed`: the end of the brk heap moved down, and VmSize fell.

use super::{sentence, settings_of, title};
use crate::{
    attribute::{
        allocators::{self, glibc::GLIBC},
        case::Case,
        explanation::{Confidence, Finding},
    },
    space::flow::SourceKind,
};

pub const REASON: &str = "heap-trimmed";

pub fn find(case: &Case<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for owner in case.owners() {
        let flow = case.flow(&owner, |source, _| source.kind == SourceKind::Heap);
        if flow.unmapped.0 == 0 {
            continue;
        }
        let why = if owner.0 == GLIBC.name {
            ": free() gives back what is free at its end beyond the trim threshold"
        } else {
            ""
        };
        let mut evidence = vec![format!(
            "the heap grew by {} and shrank by {} since the attach",
            flow.mapped, flow.unmapped
        )];
        let allocator = allocators::by_name(&owner.0);
        evidence.extend(allocator.iter().flat_map(|a| settings_of(case, a)));
        findings.push(Finding {
            reason: REASON,
            bytes: flow.unmapped,
            confidence: Confidence::High,
            summary: sentence(&format!(
                "{} moved the end of the heap down by {}{why}.",
                title(&owner),
                flow.unmapped
            )),
            evidence,
            cannot_exclude: String::new(),
            remedy: "None needed: this is what a shrinking VmSize looks like.".to_owned(),
            owner,
        });
    }
    findings
}
