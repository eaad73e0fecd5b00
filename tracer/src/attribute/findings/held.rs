//! `held-by-program`: the allocator handed these bytes out and did not get them back, by probes in
//! its own functions.

use super::{Draft, owning, whose};
use crate::attribute::{
    case::{Case, Part},
    explanation::{Confidence, Finding},
    tally::Kind,
    text,
};

pub const REASON: &str = "held-by-program";

pub fn find(case: &Case<'_>) -> Vec<Finding> {
    let Some(held) = case.evidence.held else {
        return Vec::new();
    };
    let places = held.places.iter();
    let places: Vec<String> = places
        .map(|(place, bytes)| format!("{bytes} of all that is held was asked for by {place}"))
        .collect();
    let doubt = "that it is needed: who holds it need not leak it. Growth at one place over time \
                 would tell.";
    let mut findings = Vec::new();
    for (owner, bytes) in owning(case, Kind::Held) {
        let is_held = |part: &Part| part.holding.is_some_and(|holding| holding.bytes.0 > 0);
        let parts = case.parts_of(&owner).filter(|part| is_held(part)).count();
        findings.push(
            Draft::new(case, REASON, &owner, bytes)
                .of(is_held)
                .sure(Confidence::High)
                .summary(&format!(
                    "{bytes} of {} is in use: it was handed out and not given back.",
                    whose(&owner)
                ))
                .fact(format!(
                    "it lies in {} of the address space; calls of the allocator were counted, \
                     block by block",
                    text::count(parts as u64, "piece")
                ))
                .facts(places.clone())
                .mapped_by()
                .cannot_exclude(doubt)
                .remedy("Let those who asked for it give it back, or ask for less.")
                .verify(
                    "Trace the same load with --heap again: what that place holds at the end must \
                     be lower.",
                )
                .done(),
        );
    }
    findings
}
