//! `decommitted-by-overlay`: inaccessible memory mapped over what had pages.

use super::{Draft, owning, title};
use crate::attribute::{allocators::Topic, case::Case, explanation::Finding, tally::Kind};

pub const REASON: &str = "decommitted-by-overlay";

pub fn find(case: &Case<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (owner, bytes) in owning(case, Kind::Overlaid) {
        let draft = Draft::new(case, REASON, &owner, bytes)
            .of_kind(Kind::Overlaid)
            .summary(&format!(
                "{} mapped inaccessible memory over {bytes} that had been accessible: the pages \
                 went back to the kernel, the address space stays.",
                title(&owner)
            ))
            .mapped_by()
            .ranges()
            .settings()
            .advice(
                Topic::Retained,
                "Usually nothing: it costs no memory. munmap instead of mmap with PROT_NONE would \
                 return the address space too.",
            )
            .verify_by_figure("VmSize");
        findings.push(draft.done());
    }
    findings
}
