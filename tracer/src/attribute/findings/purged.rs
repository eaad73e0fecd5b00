//! `purged-not-unmapped`: somebody who is no known allocator gave pages back and did not
//! unmap them.

use super::{Draft, owning, whose};
use crate::attribute::{allocators, case::Case, explanation::Finding, tally::Kind};

pub const REASON: &str = "purged-not-unmapped";

pub fn find(case: &Case<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (owner, bytes) in owning(case, Kind::Discarded) {
        if allocators::by_name(&owner.0).is_some() {
            continue;
        }
        let draft = Draft::new(case, REASON, &owner, bytes)
            .of_kind(Kind::Discarded)
            .summary(&format!(
                "the pages of {bytes} of {} were given back by madvise, the address space was not \
                 unmapped.",
                whose(&owner)
            ))
            .released()
            .mapped_by()
            .places()
            .residency()
            .ranges()
            .sure_of_release()
            .cannot_exclude(
                "that some of it has been touched again since, or that an allocator that is not \
                 known here did it.",
            )
            .remedy(
                "Nothing, if the memory will be used again: it costs none. If not, munmap instead \
                 of madvise returns the address space too; price: a call to map it again.",
            )
            .verify_by_figure("VmSize");
        findings.push(draft.done());
    }
    findings
}
