//! `purged-not-unmapped`: somebody who is no known allocator gave pages back and did not
//! unmap them.

use super::{mapped_by, ranges, released, residency, sentence, whose};
use crate::attribute::{
    allocators,
    case::{Case, Part},
    explanation::Finding,
    tally::Kind,
};

pub const REASON: &str = "purged-not-unmapped";

pub fn find(case: &Case<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for owner in case.owners() {
        let bytes = case.tally.bytes(&owner, Kind::Discarded);
        if bytes.0 == 0 || allocators::by_name(&owner.0).is_some() {
            continue;
        }
        let sort = |part: &Part| part.owner == owner && part.kind == Kind::Discarded;
        let mut evidence = vec![released(case, &owner)];
        evidence.extend(mapped_by(case, sort));
        evidence.extend(residency(case, sort));
        evidence.extend(ranges(case, sort));
        findings.push(Finding {
            reason: REASON,
            bytes,
            confidence: case.confidence_of_release(&owner, sort),
            summary: sentence(&format!(
                "the pages of {bytes} of {} were given back by madvise, the address space \
                 was not unmapped.",
                whose(&owner)
            )),
            evidence,
            cannot_exclude: "that some of it has been touched again since, or that an \
                             allocator that is not known here did it."
                .to_owned(),
            remedy: "Nothing, if the memory will be used again: it costs none. If not, \
                     munmap instead of madvise returns the address space too; price: a call \
                     to map it again."
                .to_owned(),
            owner,
        });
    }
    findings
}
