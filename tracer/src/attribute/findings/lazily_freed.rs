//! `lazily-freed`: pages offered to the kernel by `MADV_FREE`.

use super::{Draft, owning, title};
use crate::{
    attribute::{allocators::Topic, case::Case, explanation::Finding, tally::Kind},
    units::Bytes,
};

pub const REASON: &str = "lazily-freed";

pub fn find(case: &Case<'_>) -> Vec<Finding> {
    let lazy_free: Bytes = case.vmas.iter().map(|vma| vma.lazy_free).sum();
    let counted = case.evidence.residency.map(|_| {
        format!("LazyFree of the whole process is {lazy_free}: counted in RSS, free for the taking")
    });
    let mut findings = Vec::new();
    for (owner, bytes) in owning(case, Kind::LazilyFreed) {
        let draft = Draft::new(case, REASON, &owner, bytes)
            .of_kind(Kind::LazilyFreed)
            .summary(&format!(
                "{} offered the pages of {bytes} to the kernel, which takes them only when \
                 memory runs short: until then RSS counts them.",
                title(&owner)
            ))
            .fact(format!("madvise(MADV_FREE) was the last word on {bytes}"))
            .facts(counted.clone())
            .ranges()
            .settings()
            .cannot_exclude(
                "that some of it has been written to again, which takes it out of the offer \
                 without a call.",
            )
            .advice(
                Topic::LazilyFreed,
                "MADV_DONTNEED instead of MADV_FREE gives pages back at once; price: pages used \
                 again fault anew.",
            )
            .verify(
                "LazyFree in /proc/<pid>/smaps_rollup must be near zero with it, and RSS lower by \
                 what it is now, at the same load.",
            );
        findings.push(draft.done());
    }
    findings
}
