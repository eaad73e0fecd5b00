//! `retained-after-purge`: an allocator gave pages back and keeps their addresses.

use super::{Draft, owning};
use crate::attribute::{
    allocators::{self, Topic},
    case::Case,
    explanation::Finding,
    tally::Kind,
};

pub const REASON: &str = "retained-after-purge";
const DOUBT: &str = "that some of it has been handed out again since: that takes no call. What was \
                     touched again would show in RSS, what was not looks the same.";

pub fn find(case: &Case<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (owner, bytes) in owning(case, Kind::Discarded) {
        let Some(allocator) = allocators::by_name(&owner.0) else {
            continue;
        };
        let mut parts = case.parts_of(&owner);
        let settled = parts.all(|part| part.kind != Kind::Discarded || part.is_settled());
        let (known, doubt) = if settled {
            let known = "the program freed these, the allocator holds them: by the allocator's own \
                         functions no block in them is handed out";
            (Some(known.to_owned()), "")
        } else {
            (None, DOUBT)
        };
        let draft = Draft::new(case, REASON, &owner, bytes)
            .of_kind(Kind::Discarded)
            .summary(&format!(
                "{} gave the pages of {bytes} back to the kernel but keeps the address space: {}.",
                allocator.title, allocator.keeps
            ))
            .facts(known)
            .released()
            .mapped_by()
            .residency()
            .ranges()
            .settings()
            .sure_of_release()
            .cannot_exclude(doubt)
            .advice(Topic::Retained, "")
            .verify_by_figure("VmSize");
        findings.push(draft.done());
    }
    findings
}
