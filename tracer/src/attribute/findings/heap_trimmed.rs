//! `heap-trimmed`: the end of the brk heap moved down, and VmSize fell.

use super::{Draft, title};
use crate::{
    attribute::{
        allocators::glibc::GLIBC,
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
        let draft = Draft::new(case, REASON, &owner, flow.unmapped)
            .summary(&format!(
                "{} moved the end of the heap down by {}{why}.",
                title(&owner),
                flow.unmapped
            ))
            .fact(format!(
                "the heap grew by {} and shrank by {} since the attach",
                flow.mapped, flow.unmapped
            ))
            .settings()
            .sure(Confidence::High)
            .remedy("None needed: this is what a shrinking VmSize looks like.");
        findings.push(draft.done());
    }
    findings
}
