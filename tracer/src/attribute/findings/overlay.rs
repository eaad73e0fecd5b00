//! `decommitted-by-overlay`: inaccessible memory mapped over what had pages.

use super::{mapped_by, ranges, sentence, settings_of, title};
use crate::attribute::{
    allocators::{self, Topic},
    case::{Case, Part},
    explanation::Finding,
    tally::Kind,
};

pub const REASON: &str = "decommitted-by-overlay";

pub fn find(case: &Case<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for owner in case.owners() {
        let bytes = case.tally.bytes(&owner, Kind::Overlaid);
        if bytes.0 == 0 {
            continue;
        }
        let allocator = allocators::by_name(&owner.0);
        let sort = |part: &Part| part.owner == owner && part.kind == Kind::Overlaid;
        let mut evidence = Vec::new();
        evidence.extend(mapped_by(case, sort));
        evidence.extend(ranges(case, sort));
        evidence.extend(allocator.iter().flat_map(|a| settings_of(case, a)));
        findings.push(Finding {
            reason: REASON,
            bytes,
            confidence: case.confidence(&owner, sort),
            summary: sentence(&format!(
                "{} mapped inaccessible memory over {bytes} that had been accessible: the \
                 pages went back to the kernel, the address space stays.",
                title(&owner)
            )),
            evidence,
            cannot_exclude: String::new(),
            remedy: match allocator {
                Some(allocator) => (allocator.advice)(case.evidence, Topic::Retained),
                None => "Usually nothing: it costs no memory. munmap instead of mmap with \
                         PROT_NONE would return the address space too."
                    .to_owned(),
            },
            owner,
        });
    }
    findings
}
