//! `not-yet-decayed` and `purge-disabled`: memory in memory that an allocator would give back
//! if it was free, but later, or never.
//!
//! Whether it is free calls cannot tell: these say what would become of it if it were.

use super::Draft;
use crate::{
    attribute::{
        Owner,
        allocators::{Allocator, Decay, Topic},
        case::Case,
        explanation::{Confidence, Finding},
        tally::Kind,
        text,
    },
    space::piece::Content,
    units::{Bytes, Nanos},
};

pub const REASON: &str = "not-yet-decayed";
pub const DISABLED: &str = "purge-disabled";

/// Without a call that changes the address space for this long, a process is taken for idle,
/// nanoseconds.
const IDLE: u64 = 1_000_000_000;

pub fn find(case: &Case<'_>) -> Vec<Finding> {
    by_rule(case, |decay| match decay {
        Decay::ByCalls(rule) | Decay::ByThread(rule) => Some(rule),
        Decay::Never(_) => None,
    })
    .filter_map(|(allocator, owner, rule, held)| {
        // Memory that it gave back before is the evidence that it does, and when it last did.
        let last = last_release(case, &owner)?;
        let idle = case.evidence.observed.1.since(last_call(case));
        let silent = (idle >= IDLE).then(|| {
            format!(
                "no call changed the address space in the last {}: if the program idles, nothing \
                 drives that",
                text::seconds(idle)
            )
        });
        let since = text::seconds(case.evidence.observed.1.since(last));
        let by_calls = matches!((allocator.decay)(case.evidence), Some(Decay::ByCalls(_)));
        Some(
            Draft::new(case, REASON, &owner, held)
                .of_kind(Kind::Live)
                .summary(&format!(
                    "up to {held} that {} has in memory may be free and wait to be given back: \
                     {rule}.",
                    allocator.title
                ))
                .residency()
                .released()
                .fact(format!("it last gave memory back {since} before the end"))
                .facts(silent.filter(|_| by_calls))
                .settings()
                .sure(Confidence::Low)
                .cannot_exclude(format!(
                    "that the program uses all of it: calls cannot tell. What would: {}.",
                    allocator.experiment
                ))
                .advice(Topic::NotReleased, "")
                .verify(
                    "With the remedy RSS must fall within the decay time after the load ends, \
                     without any further call of the program; VmSize stays.",
                )
                .done(),
        )
    })
    .collect()
}

/// The same, where a setting forbids it.
pub fn find_disabled(case: &Case<'_>) -> Vec<Finding> {
    by_rule(case, |decay| match decay {
        Decay::Never(setting) => Some(setting),
        Decay::ByCalls(_) | Decay::ByThread(_) => None,
    })
    .filter(|(_, owner, ..)| case.flow(owner, |_, _| true).discards == 0)
    .map(|(allocator, owner, setting, held)| {
        Draft::new(case, DISABLED, &owner, held)
            .of_kind(Kind::Live)
            .summary(&format!(
                "{} never gives pages back: {setting} is set. Of its {held} in memory whatever is \
                 free stays.",
                allocator.title
            ))
            .residency()
            .released()
            .settings()
            .at_most(Confidence::Medium)
            .cannot_exclude("that all of it is in use, so that the setting makes no difference.")
            .advice(Topic::NotReleased, "")
            .verify(
                "Trace the same load without the setting: what RSS at the end is lower by was \
                     free.",
            )
            .done()
    })
    .collect()
}

/// Allocators whose way of giving back is known and of the wanted sort, with the rule in words
/// and what they have in memory.
fn by_rule<'c>(
    case: &'c Case<'_>,
    wanted: impl Fn(Decay) -> Option<String> + 'c,
) -> impl Iterator<Item = (&'static Allocator, Owner, String, Bytes)> + 'c {
    let owning = case.owning_allocators().into_iter();
    owning.filter_map(move |(allocator, owner)| {
        let rule = wanted((allocator.decay)(case.evidence)?)?;
        let live = case.tally.bytes(&owner, Kind::Live) + case.tally.bytes(&owner, Kind::Cached);
        let there = case.at_most_resident(|part| part.owner == owner && part.kind == Kind::Live)?;
        Some((allocator, owner, rule, there.min(live)))
    })
}

/// When an owner's memory was given back last, as far as it is still there.
fn last_release(case: &Case<'_>, owner: &Owner) -> Option<Nanos> {
    let of_parts = case
        .parts_of(owner)
        .filter_map(|part| match part.piece.content {
            Content::Discarded { at } | Content::LazilyFreed { at } => Some(at),
            _ => None,
        });
    of_parts.max()
}

/// When a call last mapped, unmapped or gave back something.
fn last_call(case: &Case<'_>) -> Nanos {
    case.evidence.space.latest()
}
