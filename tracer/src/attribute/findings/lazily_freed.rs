//! `lazily-freed`: pages offered to the kernel by `MADV_FREE`.

use super::{ranges, sentence, settings_of, title};
use crate::{
    attribute::{
        allocators::{self, Topic},
        case::{Case, Part},
        explanation::Finding,
        tally::Kind,
    },
    units::Bytes,
};

pub const REASON: &str = "lazily-freed";

pub fn find(case: &Case<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let lazy_free: Bytes = case.vmas.iter().map(|vma| vma.lazy_free).sum();
    for owner in case.owners() {
        let bytes = case.tally.bytes(&owner, Kind::LazilyFreed);
        if bytes.0 == 0 {
            continue;
        }
        let allocator = allocators::by_name(&owner.0);
        let sort = |part: &Part| part.owner == owner && part.kind == Kind::LazilyFreed;
        let mut evidence = vec![format!("madvise(MADV_FREE) was the last word on {bytes}")];
        if case.evidence.residency.is_some() {
            evidence.push(format!(
                "LazyFree of the whole process is {lazy_free}: counted in RSS, free for the \
                 taking"
            ));
        }
        evidence.extend(ranges(case, sort));
        evidence.extend(allocator.iter().flat_map(|a| settings_of(case, a)));
        findings.push(Finding {
            reason: REASON,
            bytes,
            confidence: case.confidence(&owner, sort),
            summary: sentence(&format!(
                "{} offered the pages of {bytes} to the kernel, which takes them only when \
                 memory runs short: until then RSS counts them.",
                title(&owner)
            )),
            evidence,
            cannot_exclude: "that some of it has been written to again, which takes it out \
                             of the offer without a call."
                .to_owned(),
            remedy: match allocator {
                Some(allocator) => (allocator.advice)(case.evidence, Topic::LazilyFreed),
                None => "MADV_DONTNEED instead of MADV_FREE gives pages back at once; price: \
                         pages used again fault anew."
                    .to_owned(),
            },
            owner,
        });
    }
    findings
}
