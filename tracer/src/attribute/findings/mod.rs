//! Reasons why bytes are still there: a prepared case in, findings out. One detector each,
//! in a file of its own; all are listed in `docs/reasons.md`.
//!
//! A detector fires on evidence, never on its absence; what it cannot exclude it says.

mod application_mmap;
mod arena_reserve;
pub mod heap_pinned;
mod heap_top;
pub mod heap_trimmed;
pub mod large_chunks;
mod lazily_freed;
mod not_released;
mod over_mapped;
mod overlay;
mod purged;
mod reserved;
mod retained;
mod shared_or_file;
mod stack_cache;
mod stack_growth;

use super::{
    Owner,
    allocators::{self, Allocator, settings},
    case::{Case, Part},
    explanation::Finding,
    tally::Kind,
    text,
};
use crate::units::{Bytes, Span};

/// Less than this is not worth a finding.
pub const WORTH_TELLING: Bytes = Bytes(1 << 20);
/// Reasons that tell of bytes that went: why VmSize fell.
pub const RETURNED: [&str; 2] = [large_chunks::REASON, heap_trimmed::REASON];
/// How many ranges or call sites are listed.
const LISTED: usize = 3;

/// A detector.
type Detector = fn(&Case<'_>) -> Vec<Finding>;

/// Every detector, with the reason it finds.
pub(super) const DETECTORS: &[(&str, Detector)] = &[
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
    (large_chunks::REASON, large_chunks::find),
    (heap_trimmed::REASON, heap_trimmed::find),
];

/// Every finding: first why bytes are still there, then what did go; each largest first.
pub fn all(case: &Case<'_>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = DETECTORS
        .iter()
        .flat_map(|(_, detector)| detector(case))
        .filter(|finding| finding.bytes >= WORTH_TELLING)
        .collect();
    let gone = |finding: &Finding| RETURNED.contains(&finding.reason);
    findings.sort_by(|a, b| gone(a).cmp(&gone(b)).then(b.bytes.cmp(&a.bytes)));
    findings
}

/// What madvise gave back of an owner's memory and what was unmapped of it.
fn released(case: &Case<'_>, owner: &Owner) -> String {
    let flow = case.flow(owner, |_, _| true);
    let given_back = case.tally.bytes(owner, Kind::Discarded);
    if flow.discards == 0 && given_back.0 > 0 {
        return format!(
            "madvise had the last word on {given_back}, which is older than the attach"
        );
    }
    if (flow.discarded + flow.unmapped).0 == 0 {
        return "no call gave any of its memory back since the attach".to_owned();
    }
    format!(
        "{} by madvise gave back {} since the attach; {} was unmapped",
        text::count(flow.discards, "release"),
        flow.discarded,
        flow.unmapped
    )
}

/// The calls that mapped parts of some sort; `None` if they are older than the attach.
fn mapped_by(case: &Case<'_>, sort: impl Fn(&Part) -> bool) -> Option<String> {
    let calls: Vec<String> = case
        .mappings(sort)
        .into_iter()
        .map(|(syscall, sizes)| text::series(&format!("{syscall} call"), &sizes))
        .collect();
    (!calls.is_empty()).then(|| format!("it came by {}", text::join(&calls)))
}

/// How much of some sort can be in memory, if anything bounds it.
fn residency(case: &Case<'_>, sort: impl Fn(&Part) -> bool) -> Option<String> {
    let bound = match case.at_most_resident(sort)? {
        Bytes(0) => "none".to_owned(),
        bound => format!("at most {bound}"),
    };
    Some(match case.evidence.residency {
        Some(_) => format!("{bound} of it is in memory (Rss and Swap of its mappings)"),
        None => format!("{bound} of it was in memory at the end (RSS of the process)"),
    })
}

/// The largest ranges of some sort, neighbours joined.
fn ranges(case: &Case<'_>, sort: impl Fn(&Part) -> bool) -> Option<String> {
    let mut joined: Vec<Span> = Vec::new();
    for part in case.parts.iter().filter(|part| sort(part)) {
        match joined.last_mut() {
            Some(last) if last.end == part.span.start => last.end = part.span.end,
            _ => joined.push(part.span),
        }
    }
    let total = joined.len();
    joined.sort_by_key(|span| std::cmp::Reverse(span.len()));
    let shown: Vec<String> = joined
        .iter()
        .take(LISTED)
        .map(|span| format!("{}-{} ({})", span.start, span.end, span.len()))
        .collect();
    let head = match total {
        0 => return None,
        1 => "range".to_owned(),
        _ if total <= LISTED => format!("{total} ranges:"),
        _ => format!("{total} ranges, the largest:"),
    };
    Some(format!("{head} {}", shown.join(", ")))
}

/// The settings in force that an allocator obeys.
fn settings_of(case: &Case<'_>, allocator: &Allocator) -> Vec<String> {
    settings::in_force(allocator, case.evidence.settings)
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
