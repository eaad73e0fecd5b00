//! Flows by owner: what the space summed by call site, and whose that is.

use std::collections::HashMap;

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
        flow::{Flow, Source, SourceKind, Turnover},
        piece::Provenance,
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
            let owner = match known.get(source) {
                Some(Some(owner)) => (*owner).clone(),
                _ => owner_by_site(registry, source),
            };
            (*source, settled(source, flow), owner)
        })
        .collect()
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
    match registry.caller(source.site) {
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

    /// The sum of an owner's flows of some sort.
    pub fn flow(&self, owner: &Owner, sort: impl Fn(&Source, &Flow) -> bool) -> Flow {
        let mut sum = Flow::default();
        for (source, flow, whose) in &self.flows {
            if whose == owner && sort(source, flow) {
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
        for part in self.parts_of(owner) {
            match part.basis {
                Basis::Name => named += part.span.len(),
                Basis::Looks(_) => alike += part.span.len(),
                Basis::Kind | Basis::Site | Basis::Nothing => continue,
            }
            confidence = confidence.max(part.basis.confidence());
        }
        if named.0 > 0 {
            evidence.push(format!("{named} bears a name that it gives to its memory"));
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
