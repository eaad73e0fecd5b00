//! A finding in the making: sums and facts of a detector in, a finding out.
//!
//! What detectors have in common, so that one only says what is its own: which parts it is
//! about, what it means, what it cannot exclude, what helps and how to check that it did.

use std::collections::BTreeMap;

use super::{LISTED, sentence};
use crate::{
    attribute::{
        Owner,
        allocators::{self, Allocator, Topic, settings},
        case::{Case, Pages, Part},
        explanation::{Confidence, Finding},
        tally::Kind,
        text,
    },
    space::piece::{Content, Provenance, SiteId},
    units::{Bytes, Nanos, Span},
};

/// A finding in the making.
pub struct Draft<'c> {
    case: &'c Case<'c>,
    allocator: Option<&'static Allocator>,
    sort: Box<dyn Fn(&Part) -> bool + 'c>,
    finding: Finding,
}

impl<'c> Draft<'c> {
    /// About so many bytes of an owner: all its parts, unless [`Draft::of`] says which.
    pub fn new(case: &'c Case<'c>, reason: &'static str, owner: &Owner, bytes: Bytes) -> Self {
        Self {
            case,
            allocator: allocators::by_name(&owner.0),
            sort: Box::new(|_| true),
            finding: Finding {
                reason,
                owner: owner.clone(),
                bytes,
                confidence: case.confidence(owner, |_| true),
                summary: String::new(),
                evidence: Vec::new(),
                cannot_exclude: String::new(),
                remedy: String::new(),
                verify: String::new(),
            },
        }
    }

    /// The parts it is about. As sure as it is that they are the owner's.
    pub fn of(mut self, sort: impl Fn(&Part) -> bool + 'c) -> Self {
        self.finding.confidence = self.case.confidence(&self.finding.owner, &sort);
        self.sort = Box::new(sort);
        self
    }

    /// The parts of a kind.
    pub fn of_kind(self, kind: Kind) -> Self {
        self.of(move |part| part.kind == kind)
    }

    fn parts(&self) -> impl Iterator<Item = &Part> {
        let parts = self.case.parts_of(&self.finding.owner);
        parts.filter(|part| (self.sort)(part))
    }

    /// What it means, in a sentence.
    pub fn summary(mut self, text: &str) -> Self {
        self.finding.summary = sentence(text);
        self
    }

    /// A fact it rests on.
    pub fn fact(mut self, fact: impl Into<String>) -> Self {
        self.finding.evidence.push(fact.into());
        self
    }

    /// Facts that are there or not.
    pub fn facts(mut self, facts: impl IntoIterator<Item = String>) -> Self {
        self.finding.evidence.extend(facts);
        self
    }

    /// The calls that mapped it, and when, unless they are older than the attach.
    pub fn mapped_by(self) -> Self {
        let owner = &self.finding.owner;
        let calls: Vec<String> = self
            .case
            .mappings(|part| part.owner == *owner && (self.sort)(part))
            .into_iter()
            .map(|(syscall, sizes)| text::series(&format!("{syscall} call"), &sizes))
            .collect();
        if calls.is_empty() {
            return self;
        }
        let came = self.parts().filter_map(|part| {
            let origin = &part.piece.origin;
            matches!(origin.how, Provenance::Call(_)).then_some(origin.at)
        });
        let when = moments(self.case, came);
        self.fact(format!("it came by {}{when}", text::join(&calls)))
    }

    /// What madvise gave back of the owner's memory and what was unmapped of it.
    pub fn released(self) -> Self {
        let flow = self.case.flow(&self.finding.owner, |_, _| true);
        let given_back = self.case.tally.bytes(&self.finding.owner, Kind::Discarded);
        if flow.discards == 0 && given_back.0 > 0 {
            return self.fact(format!(
                "madvise had the last word on {given_back}, which is older than the attach"
            ));
        }
        if (flow.discarded + flow.unmapped).0 == 0 {
            return self.fact("no call gave any of its memory back since the attach");
        }
        if flow.discards == 0 {
            return self.fact(format!(
                "no call gave pages back since the attach; {} was unmapped",
                flow.unmapped
            ));
        }
        let given = self.parts().filter_map(given_back_at);
        let when = moments(self.case, given);
        self.fact(format!(
            "{} by madvise gave back {} since the attach{when}; {} was unmapped",
            text::count(flow.discards, "release"),
            flow.discarded,
            flow.unmapped
        ))
    }

    /// How much of it can be in memory, if anything bounds that.
    pub fn residency(self) -> Self {
        let owner = self.finding.owner.clone();
        let sort = |part: &Part| part.owner == owner && (self.sort)(part);
        if let Some(pages) = self.case.pages(sort) {
            return self.fact(in_memory(&pages));
        }
        let Some(bound) = self.case.at_most_resident(sort) else {
            return self;
        };
        let bound = match bound {
            Bytes(0) => "none".to_owned(),
            bound => format!("at most {bound}"),
        };
        let fact = match self.case.evidence.residency {
            Some(_) => format!("{bound} of it is in memory (Rss and Swap of its mappings)"),
            None => format!("{bound} of it was in memory at the end (RSS of the process)"),
        };
        self.fact(fact)
    }

    /// The largest ranges, neighbours joined.
    pub fn ranges(self) -> Self {
        let fact = ranges(self.parts());
        self.facts(fact)
    }

    /// Which code mapped the most of it, unless none is known.
    pub fn places(self) -> Self {
        let facts = places(self.case, self.parts());
        self.facts(facts)
    }

    /// The settings in force that the owner obeys, if it is an allocator.
    pub fn settings(self) -> Self {
        match self.allocator {
            Some(allocator) => self.settings_of(allocator),
            None => self,
        }
    }

    /// The settings in force that an allocator obeys.
    pub fn settings_of(self, allocator: &Allocator) -> Self {
        let lines = settings::in_force(allocator, self.case.evidence.settings);
        self.facts(lines)
    }

    /// As sure as that.
    pub const fn sure(mut self, confidence: Confidence) -> Self {
        self.finding.confidence = confidence;
        self
    }

    /// No surer than that.
    pub fn at_most(mut self, confidence: Confidence) -> Self {
        self.finding.confidence = self.finding.confidence.min(confidence);
        self
    }

    /// Less sure if much of what was given back can be in memory again, or nothing tells.
    pub fn sure_of_release(mut self) -> Self {
        let owner = &self.finding.owner;
        self.finding.confidence = self.case.confidence_of_release(owner, &self.sort);
        self
    }

    /// What it cannot exclude: `that …`.
    pub fn cannot_exclude(mut self, what: impl Into<String>) -> Self {
        self.finding.cannot_exclude = what.into();
        self
    }

    /// What would change it, and at what price.
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.finding.remedy = remedy.into();
        self
    }

    /// The allocator's advice, or something else if the owner is none.
    pub fn advice(self, topic: Topic, otherwise: &str) -> Self {
        let remedy = match self.allocator {
            Some(allocator) => (allocator.advice)(self.case.evidence, topic),
            None => otherwise.to_owned(),
        };
        self.remedy(remedy)
    }

    /// How to check that the remedy helped.
    pub fn verify(mut self, how: impl Into<String>) -> Self {
        self.finding.verify = how.into();
        self
    }

    /// Checked by tracing the same load again: this finding goes, and a figure falls by as
    /// much as it explains.
    pub fn verify_by_figure(self, figure: &str) -> Self {
        let (reason, bytes) = (self.finding.reason, self.finding.bytes);
        self.verify(format!(
            "Trace the same load again with it: `{reason}` must be gone, or explain less, and \
             {figure} at the end be lower by as much (here up to {bytes})."
        ))
    }

    /// The finding.
    pub fn done(self) -> Finding {
        self.finding
    }
}

/// Owners that have bytes of a kind, and how many.
pub fn owning(case: &Case<'_>, kind: Kind) -> Vec<(Owner, Bytes)> {
    let owners = case.owners().into_iter();
    owners
        .map(|owner| {
            let bytes = case.tally.bytes(&owner, kind);
            (owner, bytes)
        })
        .filter(|(_, bytes)| bytes.0 > 0)
        .collect()
}

/// What is in memory, page by page.
fn in_memory(pages: &Pages) -> String {
    let mut words = format!(
        "page by page: of {} {} is in memory",
        pages.bytes, pages.resident
    );
    for (bytes, what) in [
        (pages.huge, "in huge pages"),
        (pages.swapped, "swapped out"),
        (pages.zero, "read but never written"),
    ] {
        if bytes.0 > 0 {
            words.push_str(&format!(", {bytes} {what}"));
        }
    }
    words
}

/// When the last word of a release on a part was.
const fn given_back_at(part: &Part) -> Option<Nanos> {
    match part.piece.content {
        Content::Discarded { at } | Content::LazilyFreed { at } | Content::Overlaid { at } => {
            Some(at)
        }
        Content::Unknown | Content::NeverAccessible => None,
    }
}

/// ` (0.10 s to 2.00 s after the beginning)`; empty for none, or if they are older.
fn moments(case: &Case<'_>, at: impl Iterator<Item = Nanos>) -> String {
    let begun = case.evidence.observed.0;
    let (mut first, mut last) = (None::<Nanos>, Nanos(0));
    for at in at.filter(|at| *at >= begun) {
        first = Some(first.map_or(at, |first| first.min(at)));
        last = last.max(at);
    }
    let Some(first) = first else {
        return String::new();
    };
    let [first, last] = [first, last].map(|at| text::seconds(at.since(begun)));
    if first == last {
        format!(" ({first} after the beginning)")
    } else {
        format!(" ({first} to {last} after the beginning)")
    }
}

fn ranges<'p>(parts: impl Iterator<Item = &'p Part>) -> Option<String> {
    // With what is in memory of each, if all of its pages were looked at.
    let mut joined: Vec<(Span, Option<Bytes>)> = Vec::new();
    for part in parts {
        let there = part.pages.map(|pages| pages.resident + pages.swapped);
        match joined.last_mut() {
            Some((last, sum)) if last.end == part.span.start => {
                last.end = part.span.end;
                *sum = sum.zip(there).map(|(sum, there)| sum + there);
            }
            _ => joined.push((part.span, there)),
        }
    }
    let total = joined.len();
    joined.sort_by_key(|(span, _)| std::cmp::Reverse(span.len()));
    let shown: Vec<String> = joined
        .iter()
        .take(LISTED)
        .map(|(span, there)| {
            let there = there.map_or_else(String::new, |there| format!(", {there} in memory"));
            format!("{}-{} ({}{there})", span.start, span.end, span.len())
        })
        .collect();
    let head = match total {
        0 => return None,
        1 => "range".to_owned(),
        _ if total <= LISTED => format!("{total} ranges:"),
        _ => format!("{total} ranges, the largest:"),
    };
    Some(format!("{head} {}", shown.join(", ")))
}

fn places<'p>(case: &Case<'_>, parts: impl Iterator<Item = &'p Part>) -> Vec<String> {
    let mut by_site: BTreeMap<SiteId, Bytes> = BTreeMap::new();
    let is_seen = |part: &&Part| part.piece.origin.how != Provenance::PreExisting;
    for part in parts.filter(is_seen) {
        *by_site.entry(part.piece.origin.site).or_default() += part.span.len();
    }
    let mut by_place: BTreeMap<String, Bytes> = BTreeMap::new();
    for (site, bytes) in by_site {
        if let Some(place) = case.place(site) {
            *by_place.entry(place).or_default() += bytes;
        }
    }
    let mut places: Vec<(String, Bytes)> = by_place.into_iter().collect();
    places.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    places
        .into_iter()
        .take(LISTED)
        .map(|(place, bytes)| format!("{bytes} by {place}"))
        .collect()
}
