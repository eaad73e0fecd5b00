//! `map-unmap-thrash`: mappings of about one size that come and go all the time. They leave
//! nothing behind in VmSize; each costs two calls, and a page fault for every page.

use std::collections::BTreeMap;

use super::{Draft, LISTED, title};
use crate::{
    attribute::{
        Owner,
        allocators::glibc::{GLIBC, Thresholds},
        case::Case,
        explanation::{Confidence, Finding},
        text,
    },
    space::flow::{Source, SourceKind, Turnover},
    units::Bytes,
};

pub const REASON: &str = "map-unmap-thrash";

/// Fewer than this prove no habit.
const MANY: u64 = 200;
/// Slower than this costs nothing, mappings in a second.
const FAST: u64 = 20;
/// Longer than this on average they were used, nanoseconds.
const SHORT_LIFE: u64 = 1_000_000_000;
const SECOND: u64 = 1_000_000_000;

pub fn find(case: &Case<'_>) -> Vec<Finding> {
    let mut by_owner: BTreeMap<&Owner, Vec<(&Source, &Turnover)>> = BTreeMap::new();
    for (source, turnover, owner) in case.turnover() {
        if is_thrash(source, turnover) {
            by_owner.entry(owner).or_default().push((source, turnover));
        }
    }
    let findings = by_owner.into_iter();
    findings
        .map(|(owner, habits)| finding(case, owner, habits))
        .collect()
}

fn is_thrash(source: &Source, turnover: &Turnover) -> bool {
    let own = matches!(source.kind, SourceKind::Anonymous | SourceKind::ThreadStack);
    let short = turnover.lived / turnover.mappings.max(1) <= SHORT_LIFE;
    own && turnover.mappings >= MANY && short && rate(turnover) >= FAST
}

/// Mappings in a second, while they came and went.
const fn rate(turnover: &Turnover) -> u64 {
    let lasted = turnover.last.since(turnover.first);
    let lasted = if lasted == 0 { 1 } else { lasted };
    turnover.mappings.saturating_mul(SECOND) / lasted
}

fn finding(case: &Case<'_>, owner: &Owner, mut habits: Vec<(&Source, &Turnover)>) -> Finding {
    habits.sort_by_key(|(_, turnover)| std::cmp::Reverse(turnover.mappings));
    let bytes: Bytes = habits.iter().map(|(_, turnover)| turnover.bytes).sum();
    let mappings: u64 = habits.iter().map(|(_, turnover)| turnover.mappings).sum();
    let facts = habits.iter().take(LISTED).map(|(source, turnover)| {
        let place = case.place(source.site);
        format!(
            "{} of up to {}, {} a second from {} to {} after the beginning, each there for {} µs \
             on average{}",
            text::count(turnover.mappings, "mapping"),
            turnover.largest,
            text::grouped(rate(turnover)),
            text::seconds(turnover.first.since(case.evidence.observed.0)),
            text::seconds(turnover.last.since(case.evidence.observed.0)),
            text::grouped(turnover.lived / turnover.mappings.max(1) / 1_000),
            place.map_or_else(String::new, |place| format!(", by {place}"))
        )
    });
    let glibc = owner.0 == GLIBC.name;
    let threshold = glibc.then(|| Thresholds::of(case).mmap_in_words());
    Draft::new(case, REASON, owner, bytes)
        .summary(&format!(
            "{} mapped and unmapped {} again and again, {bytes} in all: each time two calls, and a \
             page fault for every page touched.",
            title(owner),
            text::count(mappings, "mapping")
        ))
        .facts(facts.collect::<Vec<_>>())
        .facts(threshold)
        .settings()
        .sure(Confidence::High)
        .cannot_exclude("that the blocks are in use for so short a time that this is as well.")
        .remedy(remedy(owner))
        .verify(
            "Trace the same load again: the calls of mmap and munmap must be fewer (`-v` counts \
             them), and the time in the kernel lower (`perf stat -e page-faults`).",
        )
        .done()
}

fn remedy(owner: &Owner) -> &'static str {
    match owner.0.as_ref() {
        "glibc" => {
            "Raise the mmap threshold above this size with MALLOC_MMAP_THRESHOLD_ (at most 32 MiB \
             work), or keep the block and use it again. Left to itself the threshold rises to the \
             largest block freed, up to 32 MiB: if these are smaller, a setting holds it down. \
             Price: such blocks then lie in the heap, which shrinks only from its end."
        }
        "jemalloc" => {
            "Leave retain:true (the default), which keeps these mappings for the next block. \
             Price: VmSize stays."
        }
        "stacks" => {
            "Use a pool of threads, or let the C library keep more stacks \
             (glibc.pthread.stack_cache_size). Price: the stacks stay."
        }
        _ => "Keep the mapping and use it again. Price: VmSize stays.",
    }
}
