//! One process prepared for judgement: evidence in; parts with owner and kind, sums and
//! flows by owner out. The ledger, the findings and the verdict all read from here.

mod flows;
mod fresh;
mod holding;
mod pages;

use std::collections::{BTreeMap, BTreeSet};

use flows::Overlay;
pub use holding::Holding;
pub use pages::Pages;

use super::{
    Owner,
    allocators::{self, Allocator, Roster},
    caller::{self, Caller, Judge},
    evidence::{Evidence, PageSum, Resident},
    explanation::Confidence,
    landmarks::Landmarks,
    owner::{Basis, Registry, is_shared_memory},
    tally::{Cell, Kind, Tally, cut},
};
use crate::{
    event::Syscall,
    space::{
        flow::{Flow, Source},
        piece::{Backing, Content, Piece, Provenance, SiteId},
    },
    units::{Bytes, Nanos, Span, Tid},
};

/// One part in so many of what was given back may be in memory without being doubted.
const MAY_BE_RESIDENT: u64 = 10;

/// A piece with its owner.
pub struct Part {
    /// Where.
    pub span: Span,
    /// What is known of it.
    pub piece: Piece,
    /// Whose.
    pub owner: Owner,
    /// Why.
    pub basis: Basis,
    /// In what state.
    pub kind: Kind,
    /// Whether it came since the attach.
    pub fresh: bool,
    /// Live, in a mapping made ahead of use of which another part has been given back.
    pub ahead: bool,
    /// What the program holds of it, as far as that is known.
    pub holding: Option<Holding>,
    /// Which of its pages are there, if they were looked at.
    pub pages: Option<PageSum>,
    /// Given back or offered, and for the most part in memory again.
    pub again: bool,
    /// Unreserved, by the call that mapped it or by `/proc/<pid>/smaps`.
    pub unreserved: bool,
}

impl Part {
    /// Its state at the end: what is in memory again is not given back.
    pub const fn kind_now(&self) -> Kind {
        if self.again { Kind::Live } else { self.kind }
    }
}

impl Part {
    /// Whether all that the program holds of it is known.
    pub fn is_settled(&self) -> bool {
        self.holding.is_some_and(|holding| holding.whole)
    }

    /// What is not known to be handed out of it.
    pub fn unheld(&self) -> Bytes {
        let held = self.holding.map_or(Bytes(0), |holding| holding.bytes);
        self.span.len() - held
    }
}

/// One process prepared for judgement.
pub struct Case<'a> {
    /// What is known.
    pub evidence: &'a Evidence<'a>,
    /// The allocators it contains.
    pub roster: Roster,
    /// Who asked, by call site.
    pub callers: Vec<Caller>,
    /// Its pieces in order of address.
    pub parts: Vec<Part>,
    /// The same, cut at VMAs.
    pub cells: Vec<Cell>,
    /// What is in memory, in order of address.
    pub vmas: Vec<Resident>,
    /// The sums.
    pub tally: Tally,
    /// What came and went, and whose that is.
    pub flows: Vec<(Source, Flow, Owner)>,
    /// What of that only changed its kind.
    pub overlays: BTreeMap<Source, Overlay>,
}

impl<'a> Case<'a> {
    /// Prepares it.
    pub fn open(evidence: &'a Evidence<'a>) -> Self {
        let roster = Roster::of(evidence);
        let judge = Judge::new(evidence);
        let callers: Vec<Caller> = evidence
            .sites
            .iter()
            .map(|site| judge.caller(site))
            .collect();
        let landmarks = Landmarks::survey(evidence, &callers);
        let registry = Registry {
            evidence,
            roster: &roster,
            callers: &callers,
            landmarks: &landmarks,
        };
        let mut parts = parts(&registry);
        let flows = flows::by_owner(&registry, &parts);
        let overlays = flows::overlays(&registry, &flows);
        let mut vmas = evidence.residency.unwrap_or_default().to_vec();
        vmas.sort_by_key(|vma| vma.span);
        let cells = cut(&parts, &vmas);
        pages::mark_again(&mut parts, &cells, &vmas);
        let tally = Tally::of(evidence, &parts, &cells, &vmas);
        Self {
            evidence,
            roster,
            callers,
            parts,
            cells,
            vmas,
            tally,
            flows,
            overlays,
        }
    }

    /// Every owner of something, in order of name.
    pub fn owners(&self) -> BTreeSet<Owner> {
        let of_parts = self.parts.iter().map(|part| &part.owner);
        let of_flows = self.flows.iter().map(|(_, _, owner)| owner);
        of_parts.chain(of_flows).cloned().collect()
    }

    /// Allocators that own something, in order of name.
    pub fn owning_allocators(&self) -> Vec<(&'static Allocator, Owner)> {
        self.owners()
            .into_iter()
            .filter_map(|owner| Some((allocators::by_name(&owner.0)?, owner)))
            .collect()
    }

    /// The parts of an owner.
    pub fn parts_of<'c>(&'c self, owner: &'c Owner) -> impl Iterator<Item = &'c Part> {
        self.parts.iter().filter(move |part| part.owner == *owner)
    }

    /// How sure it is that an owner's parts of some sort are its own: as sure as of most of
    /// the bytes.
    pub fn confidence(&self, owner: &Owner, sort: impl Fn(&Part) -> bool) -> Confidence {
        let mut sure: Vec<_> = self
            .parts_of(owner)
            .filter(|part| sort(part))
            .map(|part| (part.basis.confidence(), part.span.len()))
            .collect();
        sure.sort();
        let total: Bytes = sure.iter().map(|(_, bytes)| *bytes).sum();
        let mut seen = Bytes(0);
        for (confidence, bytes) in sure {
            seen += bytes;
            if seen.0 >= total.0.div_ceil(2) {
                return confidence;
            }
        }
        Confidence::Low
    }

    /// The same for pages that were given back: less sure if much of them can be in memory
    /// again, or nothing tells.
    pub fn confidence_of_release(&self, owner: &Owner, sort: impl Fn(&Part) -> bool) -> Confidence {
        let sure = self.confidence(owner, &sort);
        let bytes: Bytes = self
            .parts_of(owner)
            .filter(|part| sort(part))
            .map(|part| part.span.len())
            .sum();
        match self.at_most_resident(|part| part.owner == *owner && sort(part)) {
            Some(resident) if resident.0 <= bytes.0 / MAY_BE_RESIDENT => sure,
            _ => sure.min(Confidence::Medium),
        }
    }

    /// The calls that made parts of some sort: for each kind of call the sizes of the whole
    /// mappings, oldest first.
    pub fn mappings(&self, sort: impl Fn(&Part) -> bool) -> BTreeMap<Syscall, Vec<Bytes>> {
        let mut calls: BTreeMap<Syscall, BTreeSet<(Nanos, Tid, Bytes)>> = BTreeMap::new();
        for part in self.parts.iter().filter(|part| sort(part)) {
            let origin = &part.piece.origin;
            if let Provenance::Call(syscall) = origin.how {
                let call = (origin.at, origin.tid, origin.mapped);
                calls.entry(syscall).or_default().insert(call);
            }
        }
        let sizes = |calls: BTreeSet<(Nanos, Tid, Bytes)>| {
            calls.into_iter().map(|(_, _, mapped)| mapped).collect()
        };
        calls
            .into_iter()
            .map(|(syscall, calls)| (syscall, sizes(calls)))
            .collect()
    }

    /// The code that decided at a call site, in words.
    pub fn place(&self, site: SiteId) -> Option<String> {
        let frame = self.callers.get(site.0 as usize)?.frame()?;
        let frames = &self.evidence.sites.get(site.0 as usize)?.frames;
        frames.get(frame).map(caller::in_words)
    }
}

fn parts(registry: &Registry<'_>) -> Vec<Part> {
    let mut parts: Vec<Part> = registry
        .evidence
        .space
        .pieces()
        .map(|(span, piece)| part(registry, span, piece))
        .collect();
    fresh::mark(&mut parts, registry.evidence.space.flows());
    pages::note(&mut parts, registry.evidence.pages);
    // A mapping is known by its call: the moment and the thread.
    let call = |part: &Part| (part.piece.origin.at, part.piece.origin.tid);
    let released: BTreeSet<(Nanos, Tid)> = parts
        .iter()
        .filter(|part| {
            matches!(
                part.kind,
                Kind::Discarded | Kind::Overlaid | Kind::LazilyFreed
            )
        })
        .map(call)
        .collect();
    for part in &mut parts {
        let maps_ahead = allocators::by_name(&part.owner.0).is_some_and(|a| a.maps_ahead);
        part.ahead = maps_ahead
            && part.kind == Kind::Live
            && matches!(part.piece.origin.how, Provenance::Call(_))
            && released.contains(&call(part));
    }
    holding::note(&mut parts, registry.evidence);
    parts
}

fn part(registry: &Registry<'_>, span: Span, piece: &Piece) -> Part {
    let (owner, basis) = registry.owner(span, piece);
    let kind = kind(registry, &owner, piece);
    Part {
        span,
        piece: *piece,
        owner,
        basis,
        kind,
        fresh: false,
        ahead: false,
        holding: None,
        pages: None,
        again: false,
        unreserved: piece.traits.no_reserve || registry.landmarks.is_unreserved(span),
    }
}

fn kind(registry: &Registry<'_>, owner: &Owner, piece: &Piece) -> Kind {
    let names = registry.evidence.space.names();
    match piece.backing {
        _ if *owner == Owner::STACKS => Kind::Stack,
        _ if *owner == Owner::KERNEL || *owner == Owner::LOADER => Kind::Other,
        Backing::Special(_) => Kind::Other,
        Backing::Stack => Kind::Stack,
        Backing::File { file, .. } => {
            if is_shared_memory(names.file(file).name.as_deref(), piece) {
                Kind::Other
            } else {
                Kind::File
            }
        }
        Backing::Anonymous | Backing::Heap => match piece.content {
            Content::Unknown => Kind::Live,
            Content::NeverAccessible => Kind::Reserved,
            Content::Overlaid { .. } => Kind::Overlaid,
            Content::Discarded { .. } => Kind::Discarded,
            Content::LazilyFreed { .. } => Kind::LazilyFreed,
        },
    }
}
