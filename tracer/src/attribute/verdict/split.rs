//! What came since the attach and is still there, split by cause; each byte once.

use std::collections::BTreeMap;

use crate::{
    attribute::{
        Owner, allocators,
        allocators::glibc::GLIBC,
        case::{Case, Part},
        explanation::Confidence,
        findings::heap_pinned,
        tally::Kind,
    },
    space::piece::Backing,
    units::Bytes,
};

/// Why bytes are still there. Of equal ones the first counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// An allocator gave pages back, or mapped ahead, and keeps the address space.
    Retained,
    /// Somebody else gave pages back and did not unmap.
    Purged,
    /// Free in the heap, below a chunk in use.
    Pinned,
    /// Reserved for arenas of glibc.
    Arenas,
    /// The program holds it.
    Held,
    /// The allocator keeps it, and the program does not hold it.
    Cached,
    /// No call gave it back.
    NotReleased,
}

/// The split.
pub struct Split {
    /// All that came since the attach and is still there.
    pub total: Bytes,
    by_cause: BTreeMap<(Cause, Owner, Kind), Bytes>,
}

impl Split {
    /// Splits what a case holds.
    pub fn of(case: &Case<'_>) -> Self {
        let mut by_cause: BTreeMap<(Cause, Owner, Kind), Bytes> = BTreeMap::new();
        let mut total = Bytes(0);
        for (owner, kind, fresh, bytes) in case.tally.iter() {
            if fresh {
                let key = (cause(owner, kind), owner.clone(), kind);
                *by_cause.entry(key).or_default() += bytes;
                total += bytes;
            }
        }
        let mut split = Self { total, by_cause };
        split.take_pinned(case);
        split
    }

    /// Charges what the heap walk proved free to the pin, whatever else it looked like.
    fn take_pinned(&mut self, case: &Case<'_>) {
        let mut left = heap_pinned::proven_free(case);
        for kind in [Kind::Discarded, Kind::Cached, Kind::Live] {
            for owner in [Owner::named(GLIBC.name), Owner::UNKNOWN] {
                let in_heap: Bytes = case
                    .parts_of(&owner)
                    .filter(|part| part.fresh && part.piece.backing == Backing::Heap)
                    .filter(|part| unheld_kind(part) == kind)
                    .map(Part::unheld)
                    .sum();
                let from = (cause(&owner, kind), owner, kind);
                let Some(source) = self.by_cause.get_mut(&from) else {
                    continue;
                };
                let moved = left.min(in_heap).min(*source);
                *source = *source - moved;
                left = left - moved;
                let to = (Cause::Pinned, Owner::named(GLIBC.name), Kind::Live);
                *self.by_cause.entry(to).or_default() += moved;
            }
        }
        self.by_cause.retain(|_, bytes| bytes.0 > 0);
    }

    /// What one cause explains.
    pub fn of_cause(&self, cause: Cause) -> Bytes {
        self.shares(cause).map(|(_, _, bytes)| bytes).sum()
    }

    /// The cause that explains the most.
    pub fn largest(&self) -> Option<Cause> {
        self.causes().into_iter().next()
    }

    /// The causes there are, the one that explains the most first.
    pub fn causes(&self) -> Vec<Cause> {
        let mut causes: Vec<Cause> = self.by_cause.keys().map(|(cause, ..)| *cause).collect();
        causes.dedup();
        causes.sort_by_key(|cause| (std::cmp::Reverse(self.of_cause(*cause)), *cause));
        causes
    }

    /// What one cause explains, by owner and kind.
    pub fn shares(&self, cause: Cause) -> impl Iterator<Item = (&Owner, Kind, Bytes)> {
        self.by_cause
            .iter()
            .filter(move |((of, ..), _)| *of == cause)
            .map(|((_, owner, kind), bytes)| (owner, *kind, *bytes))
    }

    /// What one cause explains of one owner and kind.
    pub fn share(&self, cause: Cause, owner: &Owner, kind: Kind) -> Bytes {
        let share = self.by_cause.get(&(cause, owner.clone(), kind));
        share.copied().unwrap_or_default()
    }

    /// The owners concerned by one cause, with what it explains of each, largest first.
    pub fn owners(&self, cause: Cause) -> Vec<(Owner, Bytes)> {
        let mut sums: BTreeMap<&Owner, Bytes> = BTreeMap::new();
        for (owner, _, bytes) in self.shares(cause) {
            *sums.entry(owner).or_default() += bytes;
        }
        let mut owners: Vec<(Owner, Bytes)> = sums
            .into_iter()
            .map(|(owner, bytes)| (owner.clone(), bytes))
            .collect();
        owners.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        owners
    }

    /// How sure it is that the largest owner of a cause is the owner.
    pub fn confidence(&self, case: &Case<'_>, of: Cause) -> Confidence {
        let Some((owner, _)) = self.owners(of).into_iter().next() else {
            return Confidence::Low;
        };
        if of == Cause::Pinned {
            return Confidence::High;
        }
        let sort = |part: &Part| {
            let same = cause(&owner, part.kind_now()) == of;
            part.fresh && (same || of == Cause::Retained && part.ahead)
        };
        match of {
            // Counted, whatever is known of the mapping.
            Cause::Held => Confidence::High,
            Cause::Cached => case.confidence(&owner, |part| part.fresh && part.is_settled()),
            Cause::Retained | Cause::Purged => case.confidence_of_release(&owner, sort),
            _ => case.confidence(&owner, sort),
        }
    }
}

/// Of what kind that of a part is which nobody is known to hold.
fn unheld_kind(part: &Part) -> Kind {
    match part.kind {
        Kind::Live if part.is_settled() => Kind::Cached,
        kind => kind,
    }
}

fn cause(owner: &Owner, kind: Kind) -> Cause {
    let allocator = allocators::by_name(&owner.0);
    match kind {
        Kind::Discarded | Kind::Overlaid | Kind::LazilyFreed => match allocator {
            Some(_) => Cause::Retained,
            None => Cause::Purged,
        },
        Kind::OverMapped => Cause::Retained,
        Kind::Held => Cause::Held,
        Kind::Cached => Cause::Cached,
        Kind::Reserved if owner.0 == GLIBC.name => Cause::Arenas,
        Kind::Live | Kind::Reserved | Kind::File | Kind::Stack | Kind::Other => Cause::NotReleased,
    }
}
