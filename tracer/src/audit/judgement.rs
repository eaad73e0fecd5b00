//! What is said of a process: an explanation of its address space in, one reason out.
//!
//! The explanation is of a snapshot, made without a call having been seen, or of a process that is
//! traced. A snapshot knows what is mapped and what is in memory, not how that came about: its
//! reasons are bounds.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{reason, sample::Rollup};
use crate::{
    attribute::{
        Owner, RETURNED,
        explanation::{AllocatorFound, Confidence, Explanation, LedgerRow, State},
    },
    units::Bytes,
};

/// What a judgement rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Basis {
    /// The map and what is in memory, at a moment.
    Snapshot,
    /// The calls that changed the address space since the process was picked, and the snapshot
    /// it was picked with.
    Events,
}

/// What is said of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// What it rests on.
    pub basis: Basis,
    /// Allocators in the process.
    pub allocators: Vec<AllocatorFound>,
    /// Address space of each allocator.
    pub owned: Vec<Owned>,
    /// Address space that was given back and kept; `None` where no call was seen.
    pub retained: Option<Bytes>,
    /// In memory, offered by `MADV_FREE`.
    pub lazy_free: Option<Bytes>,
    /// Address space that is not accessible.
    pub reserved: Bytes,
    /// Why VmSize is what it is: the largest part of an answer.
    pub reason: &'static str,
    /// Bytes that the reason accounts for.
    pub bytes: Bytes,
    /// How sure the reason is.
    pub confidence: Confidence,
    /// The reason in a sentence.
    pub summary: String,
    /// What to do, in a line.
    pub advice: &'static str,
}

/// What an allocator has of an address space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned {
    /// Which.
    pub allocator: String,
    /// All of it.
    pub bytes: Bytes,
    /// What of it is not accessible.
    pub reserved: Bytes,
    /// What of it was given back, where calls were seen.
    pub retained: Option<Bytes>,
}

/// Something that VmSize consists of.
struct Part {
    reason: &'static str,
    owner: Owner,
    bytes: Bytes,
    confidence: Confidence,
}

impl Judgement {
    /// Of a snapshot.
    #[must_use]
    pub fn of_snapshot(explanation: Explanation, rollup: Option<Rollup>) -> Self {
        let part = of_snapshot(&explanation, rollup);
        Self {
            lazy_free: rollup.map(|rollup| rollup.lazy_free),
            reason: part.reason,
            bytes: part.bytes,
            confidence: part.confidence,
            summary: reason::sentence(part.reason, &part.owner, part.bytes),
            advice: reason::advice(part.reason, &part.owner),
            ..Self::of(explanation, Basis::Snapshot)
        }
    }

    /// Of a process that is traced.
    #[must_use]
    pub fn of_events(explanation: Explanation, rollup: Option<Rollup>) -> Self {
        // What went does not explain what is there.
        let mut findings = explanation.findings.iter();
        let Some(first) = findings.find(|finding| !RETURNED.contains(&finding.reason)) else {
            let snapshot = Self::of_snapshot(explanation.clone(), rollup);
            let Self {
                reason,
                bytes,
                confidence,
                summary,
                advice,
                lazy_free,
                ..
            } = snapshot;
            return Self {
                reason,
                bytes,
                confidence,
                summary,
                advice,
                lazy_free,
                ..Self::of(explanation, Basis::Events)
            };
        };
        let (reason, bytes, confidence) = (first.reason, first.bytes, first.confidence);
        let (summary, advice) = (first.summary.clone(), reason::advice_of(first));
        Self {
            reason,
            bytes,
            confidence,
            summary,
            advice,
            lazy_free: rollup.map(|rollup| rollup.lazy_free),
            ..Self::of(explanation, Basis::Events)
        }
    }

    fn of(explanation: Explanation, basis: Basis) -> Self {
        let sum = |state: State| sum(&explanation.ledger, |row| row.state == state);
        Self {
            retained: (basis == Basis::Events).then(|| sum(State::ReleasedButRetained)),
            reserved: sum(State::Reserved),
            owned: owned(&explanation, basis),
            basis,
            allocators: explanation.allocators,
            lazy_free: None,
            reason: reason::NOT_LOOKED_AT,
            bytes: Bytes(0),
            confidence: Confidence::Low,
            summary: String::new(),
            advice: "",
        }
    }
}

fn sum(ledger: &[LedgerRow], fits: impl Fn(&LedgerRow) -> bool) -> Bytes {
    let rows = ledger.iter().filter(|row| fits(row));
    rows.map(|row| row.bytes).sum()
}

fn owned(explanation: &Explanation, basis: Basis) -> Vec<Owned> {
    let found = explanation.allocators.iter();
    found
        .map(|found| {
            let of = |fits: &dyn Fn(State) -> bool| {
                sum(&explanation.ledger, |row| {
                    row.owner.0 == found.name && fits(row.state)
                })
            };
            Owned {
                allocator: found.name.clone(),
                bytes: of(&|_| true),
                reserved: of(&|state| state == State::Reserved),
                retained: (basis == Basis::Events)
                    .then(|| of(&|state| state == State::ReleasedButRetained)),
            }
        })
        .collect()
}

/// The largest part of VmSize that a snapshot tells of.
fn of_snapshot(explanation: &Explanation, rollup: Option<Rollup>) -> Part {
    let mut parts = reserved(&explanation.ledger);
    if let Some(rollup) = rollup {
        parts.extend(without_pages(explanation, rollup));
        parts.push(Part {
            reason: reason::IN_MEMORY,
            owner: main_owner(explanation),
            bytes: rollup.rss - rollup.lazy_free,
            confidence: Confidence::High,
        });
        parts.push(Part {
            reason: reason::LAZILY_FREED,
            owner: main_owner(explanation),
            bytes: rollup.lazy_free,
            confidence: Confidence::High,
        });
    }
    let largest = parts.into_iter().max_by_key(|part| part.bytes);
    largest
        .filter(|part| part.bytes > Bytes(0))
        .unwrap_or(Part {
            reason: reason::NOT_LOOKED_AT,
            owner: Owner::UNKNOWN,
            bytes: Bytes(0),
            confidence: Confidence::Low,
        })
}

/// What is not accessible, by owner.
fn reserved(ledger: &[LedgerRow]) -> Vec<Part> {
    let rows = ledger.iter().filter(|row| row.state == State::Reserved);
    rows.map(|row| {
        let arenas = row.owner.0 == "glibc";
        Part {
            reason: match arenas {
                true => reason::ARENA_RESERVE,
                false => reason::RESERVED,
            },
            owner: row.owner.clone(),
            bytes: row.bytes,
            // Of windows only the looks are known; that memory is not accessible is a fact.
            confidence: match arenas {
                true => Confidence::Medium,
                false => Confidence::High,
            },
        }
    })
    .collect()
}

/// What has no pages, by owner: where only sums are known, as if all pages were its own.
fn without_pages(explanation: &Explanation, rollup: Rollup) -> Vec<Part> {
    let mut amounts: BTreeMap<(&'static str, &Owner), (Bytes, Option<Bytes>)> = BTreeMap::new();
    for row in &explanation.ledger {
        let reason = match row.state {
            State::File => reason::FILES,
            State::Stack => reason::STACKS,
            State::Reserved | State::Other => continue,
            _ => reason::WITHOUT_PAGES,
        };
        let (bytes, resident) = amounts
            .entry((reason, &row.owner))
            .or_insert((Bytes(0), Some(Bytes(0))));
        *bytes += row.bytes;
        *resident = resident.zip(row.resident).map(|(sum, more)| sum + more);
    }
    let parts = amounts.into_iter().map(|((reason, owner), amount)| {
        let (bytes, resident) = amount;
        let most = match reason {
            reason::FILES => rollup.rss - rollup.anonymous,
            _ => rollup.anonymous + rollup.swap,
        };
        Part {
            reason,
            owner: owner.clone(),
            bytes: bytes - resident.unwrap_or(most),
            confidence: confidence_of(explanation, owner),
        }
    });
    parts.collect()
}

/// That there are no pages is a fact; whose they would be is as sure as the allocator is.
fn confidence_of(explanation: &Explanation, owner: &Owner) -> Confidence {
    let found = explanation.allocators.iter();
    let mut found = found.filter(|found| found.name == owner.0);
    found
        .next()
        .map_or(Confidence::High, |found| found.confidence)
}

/// Whose most of the anonymous memory is.
fn main_owner(explanation: &Explanation) -> Owner {
    let mut by_owner: BTreeMap<&Owner, Bytes> = BTreeMap::new();
    for row in &explanation.ledger {
        if !matches!(row.state, State::File | State::Reserved | State::Stack) {
            *by_owner.entry(&row.owner).or_default() += row.bytes;
        }
    }
    let largest = by_owner.into_iter().max_by_key(|(_, bytes)| *bytes);
    largest.map_or(Owner::UNKNOWN, |(owner, _)| owner.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribute::explanation::{Residency, StackCoverage, Verdict, VerdictCode};

    const MIB: u64 = 1 << 20;

    fn row(owner: &'static str, state: State, mib: u64) -> LedgerRow {
        LedgerRow {
            owner: Owner::named(owner),
            state,
            bytes: Bytes(mib * MIB),
            resident: None,
        }
    }

    fn explanation(ledger: Vec<LedgerRow>, allocators: &[(&str, Confidence)]) -> Explanation {
        let allocators = allocators.iter().map(|(name, confidence)| AllocatorFound {
            name: (*name).to_owned(),
            confidence: *confidence,
            evidence: vec!["its library is mapped".to_owned()],
        });
        Explanation {
            ledger,
            allocators: allocators.collect(),
            residency: Residency::default(),
            settings: Vec::new(),
            growth: Vec::new(),
            findings: Vec::new(),
            verdict: Verdict {
                code: VerdictCode::NoGrowth,
                summary: String::new(),
                confidence: Confidence::High,
            },
            paths: Vec::new(),
            stacks: StackCoverage::default(),
            owners: Vec::new(),
        }
    }

    fn rollup(rss: u64, anonymous: u64) -> Option<Rollup> {
        Some(Rollup {
            rss: Bytes(rss * MIB),
            anonymous: Bytes(anonymous * MIB),
            ..Rollup::default()
        })
    }

    #[test]
    fn arenas_are_told_by_their_looks() {
        let ledger = vec![
            row("glibc", State::Reserved, 960),
            row("glibc", State::LiveOrCached, 4),
            row("files", State::File, 20),
        ];
        let found = [("glibc", Confidence::Medium)];
        let judgement = Judgement::of_snapshot(explanation(ledger, &found), rollup(10, 5));
        assert_eq!(judgement.reason, reason::ARENA_RESERVE);
        assert_eq!(judgement.bytes, Bytes(960 * MIB));
        assert_eq!(judgement.confidence, Confidence::Medium);
        assert_eq!(judgement.retained, None);
        assert_eq!(judgement.owned[0].reserved, Bytes(960 * MIB));
    }

    #[test]
    fn memory_without_pages_is_a_lower_bound() {
        let ledger = || {
            vec![
                row("jemalloc", State::LiveOrCached, 1600),
                row("files", State::File, 20),
            ]
        };
        let found = [("jemalloc", Confidence::Medium)];
        let judged = |rollup| Judgement::of_snapshot(explanation(ledger(), &found), rollup);
        let idle = judged(rollup(40, 30));
        assert_eq!(
            (idle.reason, idle.bytes.0),
            (reason::WITHOUT_PAGES, 1570 * MIB)
        );
        assert_eq!(idle.confidence, Confidence::Medium);
        let busy = judged(rollup(1500, 1490));
        assert_eq!((busy.reason, busy.bytes.0), (reason::IN_MEMORY, 1500 * MIB));
        // What is in memory per mapping makes it exact.
        let mut ledger = ledger();
        ledger[0].resident = Some(Bytes(0));
        let exact = Judgement::of_snapshot(explanation(ledger, &found), rollup(40, 30));
        assert_eq!(exact.bytes.0, 1600 * MIB);
        // Without any word on what is in memory there is nothing to say of it.
        assert_eq!(judged(None).reason, reason::NOT_LOOKED_AT);
    }

    #[test]
    fn lazily_freed_memory_is_in_rss() {
        let ledger = vec![row("snmalloc", State::LiveOrCached, 1000)];
        let rollup = rollup(900, 900).map(|rollup| Rollup {
            lazy_free: Bytes(800 * MIB),
            ..rollup
        });
        let judgement = Judgement::of_snapshot(explanation(ledger, &[]), rollup);
        assert_eq!(judgement.reason, reason::LAZILY_FREED);
        assert_eq!(judgement.lazy_free, Some(Bytes(800 * MIB)));
    }

    #[test]
    fn a_traced_process_knows_what_it_gave_back() {
        let ledger = vec![
            row("jemalloc", State::ReleasedButRetained, 500),
            row("jemalloc", State::LiveOrCached, 10),
        ];
        let found = [("jemalloc", Confidence::High)];
        let judgement = Judgement::of_events(explanation(ledger, &found), rollup(20, 10));
        assert_eq!(judgement.basis, Basis::Events);
        assert_eq!(judgement.retained, Some(Bytes(500 * MIB)));
        assert_eq!(judgement.owned[0].retained, Some(Bytes(500 * MIB)));
    }
}
