//! Flows by owner: what the space summed by call site, and whose that is.

use std::collections::{BTreeMap, HashMap};

use super::{Case, Part};
use crate::{
    attribute::{
        Owner,
        allocators::{self, Allocator},
        caller::Caller,
        explanation::Confidence,
        owner::{Basis, Registry},
        text,
    },
    event::Syscall,
    space::{
        flow::{Flow, Replacement, Source, SourceKind, Turnover},
        piece::{Provenance, SiteId},
    },
    units::{Bytes, Nanos},
};

/// Every flow with its owner.
pub fn by_owner(registry: &Registry<'_>, parts: &[Part]) -> Vec<(Source, Flow, Owner)> {
    // Parts that are still there name the owner of their source, if they agree.
    let mut known: HashMap<Source, Option<&Owner>> = HashMap::new();
    for part in parts {
        let agreed = known
            .entry(Source::of(&part.piece))
            .or_insert(Some(&part.owner));
        if *agreed != Some(&part.owner) {
            *agreed = None;
        }
    }
    let mut flows: Vec<(&Source, &Flow)> = registry.evidence.space.flows().iter().collect();
    flows.sort_by_key(|(source, _)| **source);
    flows
        .into_iter()
        .map(|(source, flow)| {
            let by_parts = known.get(source).copied().flatten();
            let owner = by_parts.filter(|owner| **owner != Owner::UNKNOWN);
            let owner = owner.map_or_else(|| owner_by_site(registry, source), Owner::clone);
            // Who took of it cannot be told; whose the rest is may be.
            let owner = if owner == Owner::UNKNOWN {
                of_the_rest(source, &known)
            } else {
                owner
            };
            (*source, settled(source, flow), owner)
        })
        .collect()
}

/// Of memory that was there before: whose all of it is that nobody handled.
fn of_the_rest(source: &Source, known: &HashMap<Source, Option<&Owner>>) -> Owner {
    let rest = Source {
        site: SiteId::default(),
        ..*source
    };
    let owner = known
        .get(&rest)
        .filter(|_| source.how == Provenance::PreExisting);
    owner.copied().flatten().cloned().unwrap_or(Owner::UNKNOWN)
}

/// What of a source's flow was only mapped over its owner's own.
#[derive(Clone, Copy, Default)]
pub struct Overlay {
    /// What it placed there.
    mapped: Bytes,
    /// What had to make room.
    unmapped: Bytes,
}

/// What owners mapped over memory of their own: VmSize neither rises nor falls by it. Older memory
/// whose owner is unknown is taken for theirs: nobody maps over what is not his.
pub fn overlays(
    registry: &Registry<'_>,
    flows: &[(Source, Flow, Owner)],
) -> BTreeMap<Source, Overlay> {
    let owner = |source: &Source| {
        let at = flows.binary_search_by_key(source, |(of, ..)| *of).ok()?;
        Some(&flows[at].2)
    };
    let mut overlays: BTreeMap<Source, Overlay> = BTreeMap::new();
    for (Replacement { old, new }, bytes) in registry.evidence.space.flows().replacements() {
        // A reading's find gives way to its own event: that is settled already.
        let is_find = old.how == Provenance::Found;
        let is_older = old.how == Provenance::PreExisting;
        let (whose, by) = (owner(&old), owner(&new));
        if !is_find && (whose == by || is_older && whose == Some(&Owner::UNKNOWN)) {
            overlays.entry(new).or_default().mapped += bytes;
            overlays.entry(old).or_default().unmapped += bytes;
        }
    }
    overlays
}

/// A flow as it may be told. What a reading of the kernel's map found ahead of its events
/// gives way to them when they arrive: that is neither growth nor release.
fn settled(source: &Source, flow: &Flow) -> Flow {
    match source.how {
        Provenance::Found => Flow {
            mapped: flow.mapped - flow.unmapped,
            unmapped: Bytes(0),
            ..*flow
        },
        _ => *flow,
    }
}

fn owner_by_site(registry: &Registry<'_>, source: &Source) -> Owner {
    match source.kind {
        SourceKind::ThreadStack | SourceKind::Stack => return Owner::STACKS,
        SourceKind::File if source.how == Provenance::Call(Syscall::Shmat) => {
            return Owner::APPLICATION;
        }
        SourceKind::File => return Owner::FILES,
        SourceKind::Anonymous | SourceKind::Heap => {}
    }
    let is_older = source.how == Provenance::PreExisting;
    match registry.caller(source.site) {
        Caller::Allocator(..) if is_older => {
            let handler = registry.handler(source.site);
            handler.map_or(Owner::UNKNOWN, |allocator| Owner::named(allocator.name))
        }
        Caller::Allocator(allocator, _) => Owner::named(allocator.name),
        Caller::Loader(_) => Owner::LOADER,
        Caller::Threads(_) => Owner::STACKS,
        Caller::Code(_) => Owner::APPLICATION,
        Caller::Undecided(_) | Caller::Unknown => Owner::UNKNOWN,
    }
}

impl Case<'_> {
    /// Whole mappings that were unmapped again, with their owner.
    pub fn turnover(&self) -> impl Iterator<Item = (&Source, &Turnover, &Owner)> {
        let each = self.evidence.space.flows().turnover();
        let mut each: Vec<_> = each.collect();
        each.sort_by_key(|(source, class, _)| (**source, *class));
        each.into_iter().filter_map(|(source, _, turnover)| {
            let at = self.flows.binary_search_by_key(source, |(of, ..)| *of);
            let (.., owner) = &self.flows[at.ok()?];
            Some((source, turnover, owner))
        })
    }

    /// The largest mapping of an owner of at most some size that was unmapped whole, and when.
    pub fn largest_unmapped(&self, owner: &Owner, at_most: Bytes) -> Option<(Bytes, Nanos)> {
        self.turnover()
            .filter(|(source, turnover, whose)| {
                let fits = turnover.largest <= at_most;
                *whose == owner && source.kind == SourceKind::Anonymous && fits
            })
            .map(|(_, turnover, _)| (turnover.largest, turnover.largest_at))
            .max()
    }

    /// A flow without what its owner mapped over its own.
    pub fn beyond_own(&self, source: &Source, flow: &Flow) -> Flow {
        let overlay = self.overlays.get(source).copied().unwrap_or_default();
        Flow {
            mapped: flow.mapped - overlay.mapped,
            unmapped: flow.unmapped - overlay.unmapped,
            ..*flow
        }
    }

    /// The sum of an owner's flows of some sort, without what it mapped over its own.
    pub fn flow(&self, owner: &Owner, sort: impl Fn(&Source, &Flow) -> bool) -> Flow {
        let mut sum = Flow::default();
        for (source, flow, whose) in &self.flows {
            if whose == owner && sort(source, flow) {
                let flow = self.beyond_own(source, flow);
                sum.calls += flow.calls;
                sum.mapped += flow.mapped;
                sum.unmapped += flow.unmapped;
                sum.discarded += flow.discarded;
                sum.discards += flow.discards;
            }
        }
        sum
    }

    /// Signs of each allocator's use: its calls, and memory that is or looks like its own.
    pub fn uses(&self) -> Vec<allocators::Use> {
        self.owning_allocators()
            .into_iter()
            .map(|(allocator, owner)| self.uses_of(allocator, &owner))
            .collect()
    }

    fn uses_of(&self, allocator: &'static Allocator, owner: &Owner) -> allocators::Use {
        let mut evidence = Vec::new();
        let mut confidence = Confidence::Low;
        for syscall in [Syscall::Mmap, Syscall::Brk, Syscall::Mremap] {
            let seen = |source: &Source, flow: &Flow| {
                let by_site = matches!(
                    self.callers.get(source.site.0 as usize),
                    Some(Caller::Allocator(..))
                );
                source.how == Provenance::Call(syscall) && by_site && flow.calls > 0
            };
            let flow = self.flow(owner, seen);
            if flow.calls == 0 {
                continue;
            }
            confidence = Confidence::High;
            let place = self
                .flows
                .iter()
                .find(|(source, flow, whose)| whose == owner && seen(source, flow))
                .and_then(|(source, ..)| self.place(source.site));
            evidence.push(format!(
                "{} ({}) from its code{}",
                text::count(flow.calls, &format!("{syscall} call")),
                flow.mapped,
                place.map_or_else(String::new, |place| format!(", e.g. {place}"))
            ));
        }
        let mut named = Bytes(0);
        let mut alike = Bytes(0);
        let mut handled = Bytes(0);
        for part in self.parts_of(owner) {
            match part.basis {
                Basis::Name => named += part.span.len(),
                Basis::Looks(_) => alike += part.span.len(),
                Basis::Handled => handled += part.span.len(),
                Basis::Kind | Basis::Site | Basis::Nothing => continue,
            }
            confidence = confidence.max(part.basis.confidence());
        }
        if named.0 > 0 {
            evidence.push(format!("{named} bears a name that it gives to its memory"));
        }
        if handled.0 > 0 {
            evidence.push(format!(
                "{handled} that is older than the attach was given back or protected by its code"
            ));
        }
        if alike.0 > 0 {
            evidence.push(format!("{alike} of unseen origin looks like its memory"));
        }
        allocators::Use {
            allocator,
            bytes: self.parts_of(owner).map(|part| part.span.len()).sum(),
            confidence,
            evidence,
        }
    }
}
