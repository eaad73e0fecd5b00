//! `over-mapped`: an allocator mapped more than it used.

use super::{mapped_by, released, residency, sentence, settings_of};
use crate::attribute::{
    allocators::Topic,
    case::{Case, Part},
    explanation::{Confidence, Finding},
    tally::Kind,
};

pub const REASON: &str = "over-mapped";

pub fn find(case: &Case<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (allocator, owner) in case.owning_allocators() {
        let bytes = case.tally.bytes(&owner, Kind::OverMapped);
        if bytes.0 == 0 {
            continue;
        }
        let sort = |part: &Part| part.owner == owner && part.ahead;
        let mut evidence = Vec::new();
        evidence.extend(mapped_by(case, sort));
        evidence.push(released(case, &owner));
        evidence.push(format!(
            "{bytes} of these mappings was never given back and cannot be in memory"
        ));
        evidence.extend(residency(case, sort));
        evidence.extend(settings_of(case, allocator));
        findings.push(Finding {
            reason: REASON,
            bytes,
            confidence: case.confidence(&owner, sort).min(Confidence::Medium),
            summary: sentence(&format!(
                "{} mapped {bytes} more than was ever given back or is in memory: it maps in \
                 larger steps than it is asked for, to use the rest later.",
                allocator.title
            )),
            evidence,
            cannot_exclude: "that the program was handed some of it and has not touched it, \
                             or that it was touched and is swapped out."
                .to_owned(),
            remedy: (allocator.advice)(case.evidence, Topic::OverMapped),
            owner,
        });
    }
    findings
}
