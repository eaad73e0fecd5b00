//! `over-mapped`: an allocator mapped more than it used.

use super::Draft;
use crate::{
    attribute::{
        allocators::Topic,
        case::Case,
        explanation::{Confidence, Finding},
        tally::Kind,
    },
    units::Bytes,
};

pub const REASON: &str = "over-mapped";

/// So many mappings in a row, none smaller than the one before, make a series that grows.
const SERIES: usize = 4;

pub fn find(case: &Case<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (allocator, owner) in case.owning_allocators() {
        let bytes = case.tally.bytes(&owner, Kind::OverMapped);
        if bytes.0 == 0 {
            continue;
        }
        let series = growing(&case.mappings(|part| part.owner == owner && part.ahead));
        let draft = Draft::new(case, REASON, &owner, bytes)
            .of(|part| part.ahead)
            .summary(&format!(
                "{} mapped {bytes} more than was ever given back or is in memory: {}.",
                allocator.title, allocator.grows
            ))
            .mapped_by()
            .facts(series)
            .released()
            .fact(format!(
                "{bytes} of these mappings was never given back and cannot be in memory"
            ))
            .residency()
            .settings()
            .at_most(Confidence::Medium)
            .cannot_exclude(
                "that the program was handed some of it and has not touched it, or that it was \
                 touched and is swapped out.",
            )
            .advice(Topic::OverMapped, "")
            .verify_by_figure("VmSize");
        findings.push(draft.done());
    }
    findings
}

/// That each mapping is larger than those before, if it is so: the allocator maps by a series
/// that grows (jemalloc's `exp_grow`), so the last is much larger than what was asked for.
fn growing<K>(mappings: &std::collections::BTreeMap<K, Vec<Bytes>>) -> Option<String> {
    let sizes = mappings.values().max_by_key(|sizes| sizes.len())?;
    let (first, last) = (sizes.first()?, sizes.last()?);
    let rises = sizes.windows(2).all(|pair| pair[0] <= pair[1]) && first < last;
    (rises && sizes.len() >= SERIES)
        .then(|| format!("each mapping was larger than the one before: from {first} to {last}"))
}
