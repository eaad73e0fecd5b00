//! Reasons why bytes are still there: a prepared case in, findings out. One detector each,
//! in a file of its own; all are listed in `docs/reasons.md`.
//!
//! A detector fires on evidence, never on its absence; what it cannot exclude it says.

mod application_mmap;
mod arena_reserve;
mod cached;
mod churn;
mod decay;
mod draft;
pub mod heap_pinned;
mod heap_top;
pub mod heap_trimmed;
mod held;
mod huge_pages;
pub mod large_chunks;
mod lazily_freed;
mod leak;
mod limits;
mod mappings;
mod not_released;
mod over_mapped;
mod overlay;
mod purged;
mod ratchet;
mod reserved;
mod retained;
mod scattered;
mod shared_or_file;
mod stack_cache;
mod stack_growth;

use super::{Owner, allocators, case::Case, explanation::Finding};
use crate::units::Bytes;
use draft::{Draft, owning};

/// Less than this is not worth a finding.
pub const WORTH_TELLING: Bytes = Bytes(1 << 20);
/// Reasons that tell of bytes that went: why VmSize fell.
pub const RETURNED: [&str; 3] = [large_chunks::REASON, heap_trimmed::REASON, churn::REASON];
/// Reasons that tell of something else than why bytes are still there.
const ASIDE: [&str; 3] = [huge_pages::REASON, mappings::REASON, limits::REASON];
/// How many ranges or call sites are listed.
const LISTED: usize = 3;

/// A detector.
type Detector = fn(&Case<'_>) -> Vec<Finding>;

/// Every detector, with the reason it finds.
pub(super) const DETECTORS: &[(&str, Detector)] = &[
    (held::REASON, held::find),
    (cached::REASON, cached::find),
    (retained::REASON, retained::find),
    (over_mapped::REASON, over_mapped::find),
    (overlay::REASON, overlay::find),
    (purged::REASON, purged::find),
    (lazily_freed::REASON, lazily_freed::find),
    (arena_reserve::REASON, arena_reserve::find),
    (reserved::REASON, reserved::find),
    (heap_pinned::REASON, heap_pinned::find),
    (heap_top::REASON, heap_top::find),
    (stack_cache::REASON, stack_cache::find),
    (stack_growth::REASON, stack_growth::find),
    (application_mmap::REASON, application_mmap::find),
    (shared_or_file::REASON, shared_or_file::find),
    (not_released::REASON, not_released::find),
    (leak::REASON, leak::find),
    (ratchet::REASON, ratchet::find),
    (scattered::REASON, scattered::find),
    (huge_pages::REASON, huge_pages::find),
    (huge_pages::REGROWN, huge_pages::find_regrown),
    (mappings::REASON, mappings::find),
    (limits::REASON, limits::find),
    (decay::REASON, decay::find),
    (decay::DISABLED, decay::find_disabled),
    (large_chunks::REASON, large_chunks::find),
    (heap_trimmed::REASON, heap_trimmed::find),
    (churn::REASON, churn::find),
];

/// Every finding: first why bytes are still there, then what else is to be told, then what did
/// go; each largest first.
pub fn all(case: &Case<'_>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = DETECTORS
        .iter()
        .flat_map(|(_, detector)| detector(case))
        .filter(|finding| finding.bytes >= WORTH_TELLING)
        .collect();
    let rank = |finding: &Finding| {
        let aside = ASIDE.contains(&finding.reason);
        (RETURNED.contains(&finding.reason), aside)
    };
    findings.sort_by_key(|finding| (rank(finding), std::cmp::Reverse(finding.bytes)));
    findings
}

/// The owner as people write it.
pub fn title(owner: &Owner) -> &str {
    match allocators::by_name(&owner.0) {
        Some(allocator) => allocator.title,
        None if *owner == Owner::APPLICATION => "the program",
        None if *owner == Owner::UNKNOWN => "an unknown owner",
        None => &owner.0,
    }
}

/// An owner's memory, in words.
pub fn whose(owner: &Owner) -> String {
    match allocators::by_name(&owner.0) {
        Some(allocator) => format!("what {} mapped", allocator.title),
        None if *owner == Owner::APPLICATION => "the program's own mappings".to_owned(),
        None if *owner == Owner::UNKNOWN => "memory of unknown owner".to_owned(),
        None => format!("the {}", owner.0),
    }
}

/// The beginning of a sentence, in upper case where it is an article.
pub fn sentence(text: &str) -> String {
    let article = ["the ", "an ", "a ", "it "];
    if article.iter().any(|word| text.starts_with(word)) {
        let mut letters = text.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        first.into_iter().chain(letters).collect()
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests;
