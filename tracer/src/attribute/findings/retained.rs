//! `retained-after-purge`: an allocator gave pages back and keeps their addresses.

use super::{mapped_by, ranges, released, residency, sentence, settings_of};
use crate::attribute::{
    allocators::Topic,
    case::{Case, Part},
    explanation::Finding,
    tally::Kind,
};

pub const REASON: &str = "retained-after-purge";

pub fn find(case: &Case<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (allocator, owner) in case.owning_allocators() {
        let bytes = case.tally.bytes(&owner, Kind::Discarded);
        if bytes.0 == 0 {
            continue;
        }
        let sort = |part: &Part| part.owner == owner && part.kind == Kind::Discarded;
        let mut evidence = vec![released(case, &owner)];
        evidence.extend(mapped_by(case, sort));
        evidence.extend(residency(case, sort));
        evidence.extend(ranges(case, sort));
        evidence.extend(settings_of(case, allocator));
        findings.push(Finding {
            reason: REASON,
            bytes,
            confidence: case.confidence_of_release(&owner, sort),
            summary: sentence(&format!(
                "{} gave the pages of {bytes} back to the kernel but keeps the address \
                 space: {}.",
                allocator.title, allocator.keeps
            )),
            evidence,
            cannot_exclude: "that some of it has been handed out again since: that takes no \
                             call. What was touched again would show in RSS, what was not \
                             looks the same."
                .to_owned(),
            remedy: (allocator.advice)(case.evidence, Topic::Retained),
            owner,
        });
    }
    findings
}
