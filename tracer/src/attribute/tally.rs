//! Sums by owner and kind: parts and residency in, a split of VmSize out that is exact to
//! the byte whatever the evidence.
//!
//! What `/proc/<pid>/smaps` says of a VMA is used only where it must hold of the parts
//! inside: as a bound, or where the VMA is of one sort throughout.

use std::collections::BTreeMap;

use super::{
    Owner,
    case::Part,
    evidence::{Evidence, PageSum, Resident},
    explanation::State,
};
use crate::units::{Bytes, Span};

/// The state of bytes, finer than [`State`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// In use, or freed and cached.
    Live,
    /// In use: handed out and not given back, by the allocator's own functions.
    Held,
    /// The allocator's: freed, never handed out, or its own.
    Cached,
    /// Given back by `MADV_DONTNEED` and the like.
    Discarded,
    /// Given back by mapping inaccessible memory over it.
    Overlaid,
    /// Offered by `MADV_FREE`.
    LazilyFreed,
    /// Never accessible.
    Reserved,
    /// Mapped ahead by an allocator and not in memory.
    OverMapped,
    /// A file's.
    File,
    /// A stack's.
    Stack,
    /// None of these.
    Other,
}

impl Kind {
    /// As the ledger calls it.
    pub const fn state(self) -> State {
        match self {
            Self::Live => State::LiveOrCached,
            Self::Held => State::Live,
            Self::Cached => State::Cached,
            Self::Discarded | Self::Overlaid => State::ReleasedButRetained,
            Self::LazilyFreed => State::LazilyFreed,
            Self::Reserved => State::Reserved,
            Self::OverMapped => State::OverMapped,
            Self::File => State::File,
            Self::Stack => State::Stack,
            Self::Other => State::Other,
        }
    }
}

/// A part, or what of it lies in one VMA.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    /// The part's place in [`super::case::Case::parts`].
    pub part: usize,
    /// Where.
    pub span: Span,
    /// The VMA's place in the residency; `None` if it has none.
    pub vma: Option<usize>,
}

/// Cuts parts at the borders of VMAs; both in order of address.
pub fn cut(parts: &[Part], residency: &[Resident]) -> Vec<Cell> {
    let mut cells = Vec::with_capacity(parts.len());
    let mut first = 0;
    for (part, Part { span, .. }) in parts.iter().enumerate() {
        while residency
            .get(first)
            .is_some_and(|vma| vma.span.end <= span.start)
        {
            first += 1;
        }
        let mut cursor = span.start;
        let mut push = |end, vma| {
            if cursor < end {
                let span = Span::between(cursor, end);
                cells.push(Cell { part, span, vma });
                cursor = end;
            }
        };
        for (index, vma) in residency.iter().enumerate().skip(first) {
            let Some(common) = vma.span.intersect(*span) else {
                break;
            };
            push(common.start, None);
            push(common.end, Some(index));
        }
        push(span.end, None);
    }
    cells
}

/// What is summed apart: whose, of what kind, and whether it came since the attach.
type Key = (Owner, Kind, bool);

/// VmSize, split.
#[derive(Default)]
pub struct Tally {
    sums: BTreeMap<Key, Bytes>,
    resident: BTreeMap<(Owner, State), Option<Bytes>>,
}

impl Tally {
    /// Sums the cells.
    pub fn of(evidence: &Evidence<'_>, parts: &[Part], cells: &[Cell], vmas: &[Resident]) -> Self {
        let mut tally = Self::default();
        for (part, pages) in parts.iter().filter_map(|part| Some((part, seen(part)?))) {
            tally.add_seen(part, pages);
        }
        for group in cells.chunk_by(|a, b| a.vma == b.vma) {
            let (known, rest): (Vec<Cell>, Vec<Cell>) = group
                .iter()
                .partition(|cell| seen(&parts[cell.part]).is_some());
            if rest.is_empty() {
                continue;
            }
            let vma = group[0].vma.and_then(|index| vmas.get(index));
            let vma = vma.map(|vma| without(vma, parts, &known));
            let bound = match (&vma, evidence.residency) {
                (Some(vma), _) => Some(vma.rss + vma.swap),
                (None, Some(_)) => None,
                (None, None) => evidence.rss_anon_at_end.or(evidence.rss.at_end),
            };
            tally.add(parts, &rest, vma.as_ref(), bound);
        }
        tally.settle(parts);
        tally
    }

    /// Tells what is held from what is cached, as far as the allocators' functions were watched.
    fn settle(&mut self, parts: &[Part]) {
        // Bytes that were given back and are live again, by owner and age: what no part that is
        // live accounts for. Whether all parts that can account for it are settled.
        let mut again: BTreeMap<(&Owner, bool), (Bytes, bool)> = BTreeMap::new();
        for part in parts {
            if part.kind == Kind::Live {
                if let Some(holding) = part.holding {
                    self.turn(part, Kind::Live, Kind::Held, holding.bytes);
                }
                if part.is_settled() {
                    self.turn(part, Kind::Live, Kind::Cached, part.unheld());
                }
            }
            again.insert((&part.owner, part.fresh), (Bytes(0), true));
        }
        for ((owner, fresh), (bytes, settled)) in &mut again {
            let live = parts.iter().filter(|part| {
                part.kind == Kind::Live && part.owner == **owner && part.fresh == *fresh
            });
            let open: Bytes = live
                .filter(|part| !part.is_settled())
                .map(Part::unheld)
                .sum();
            *bytes = self.sum(owner, Kind::Live, *fresh) - open;
            *settled = open == Bytes(0);
        }
        for part in parts.iter().filter(|part| part.kind != Kind::Live) {
            let Some((left, settled)) = again.get_mut(&(&part.owner, part.fresh)) else {
                continue;
            };
            if let Some(holding) = part.holding {
                let touched = holding.bytes.min(*left);
                self.turn(part, Kind::Live, Kind::Held, touched);
                self.turn(part, part.kind, Kind::Held, holding.bytes - touched);
                *left = *left - touched;
            }
            let counts = matches!(part.kind, Kind::Discarded | Kind::LazilyFreed);
            *settled &= part.is_settled() || !counts;
        }
        for ((owner, fresh), (left, settled)) in again {
            if settled && left.0 > 0 {
                self.turn_of(owner, fresh, Kind::Live, Kind::Cached, left);
            }
        }
        self.sums.retain(|_, bytes| bytes.0 > 0);
    }

    fn turn(&mut self, part: &Part, from: Kind, to: Kind, bytes: Bytes) {
        self.turn_of(&part.owner, part.fresh, from, to, bytes);
    }

    /// Moves up to `bytes` from one kind to another. How much of either is in memory is not known
    /// any more, unless none was.
    fn turn_of(&mut self, owner: &Owner, fresh: bool, from: Kind, to: Kind, bytes: Bytes) {
        let Some(source) = self.sums.get_mut(&(owner.clone(), from, fresh)) else {
            return;
        };
        let moved = bytes.min(*source);
        if moved.0 == 0 {
            return;
        }
        *source = *source - moved;
        *self.sums.entry((owner.clone(), to, fresh)).or_default() += moved;
        let row = |kind: Kind| (owner.clone(), kind.state());
        let known = |resident: Option<Bytes>| resident.filter(|resident| resident.0 == 0);
        let before = self.resident.get(&row(from)).copied().flatten();
        self.resident.insert(row(from), known(before));
        let there = self.resident.entry(row(to)).or_insert(Some(Bytes(0)));
        *there = there.zip(known(before)).map(|(there, more)| there + more);
    }

    /// Adds a part whose pages were looked at.
    fn add_seen(&mut self, part: &Part, pages: &PageSum) {
        let bytes = part.span.len();
        let there = (pages.resident + pages.swapped).min(bytes);
        // Given back, and there again: touched since. Mapped ahead, and not there: not used.
        let (kind, rest) = match part.kind {
            Kind::Discarded => (Kind::Live, Some(Kind::Discarded)),
            Kind::Live if part.ahead => (Kind::Live, Some(Kind::OverMapped)),
            kind => (kind, None),
        };
        let held = if rest.is_some() { there } else { bytes };
        let mut add = |kind: Kind, bytes: Bytes, resident: Bytes| {
            if bytes.0 > 0 {
                let key = (part.owner.clone(), kind, part.fresh);
                *self.sums.entry(key).or_default() += bytes;
                let row = (part.owner.clone(), kind.state());
                let sum = self.resident.entry(row).or_insert(Some(Bytes(0)));
                *sum = sum.map(|sum| sum + resident);
            }
        };
        add(kind, held, pages.resident);
        if let Some(rest) = rest {
            add(rest, bytes - there, Bytes(0));
        }
    }

    /// Adds the cells of one VMA, of which at most `bound` can be in memory or swapped.
    fn add(
        &mut self,
        parts: &[Part],
        cells: &[Cell],
        vma: Option<&Resident>,
        bound: Option<Bytes>,
    ) {
        let mut sums: BTreeMap<Key, Bytes> = BTreeMap::new();
        let mut ahead: BTreeMap<Owner, Bytes> = BTreeMap::new();
        for cell in cells {
            let part = &parts[cell.part];
            let key = (part.owner.clone(), part.kind, part.fresh);
            *sums.entry(key).or_default() += cell.span.len();
            if part.ahead {
                *ahead.entry(part.owner.clone()).or_default() += cell.span.len();
            }
        }
        for (owner, bytes) in ahead {
            let over = bytes - bound.unwrap_or(bytes);
            shift(&mut sums, &owner, Kind::Live, Kind::OverMapped, over);
        }
        if let Some(vma) = vma {
            use_again(&mut sums, vma, Kind::Discarded, vma.rss + vma.swap);
            let held = vma.rss + vma.swap - vma.lazy_free;
            use_again(&mut sums, vma, Kind::LazilyFreed, held);
        }
        sums.retain(|_, bytes| bytes.0 > 0);
        self.note_resident(&sums, vma);
        for (key, bytes) in sums {
            *self.sums.entry(key).or_default() += bytes;
        }
    }

    fn note_resident(&mut self, sums: &BTreeMap<Key, Bytes>, vma: Option<&Resident>) {
        let mut rows: Vec<(Owner, State)> = sums
            .keys()
            .map(|(owner, kind, _)| (owner.clone(), kind.state()))
            .collect();
        rows.dedup();
        rows.sort();
        rows.dedup();
        let known = match (vma, rows.len()) {
            (Some(vma), _) if vma.rss.0 == 0 => Some(Bytes(0)),
            (Some(vma), 1) => Some(vma.rss),
            _ => None,
        };
        for row in rows {
            let resident = self.resident.entry(row).or_insert(Some(Bytes(0)));
            *resident = resident.zip(known).map(|(sum, rss)| sum + rss);
        }
    }

    /// Rows of the ledger: owner, state, bytes and what of them is in memory.
    pub fn rows(&self) -> impl Iterator<Item = (&Owner, State, Bytes, Option<Bytes>)> {
        let mut rows: BTreeMap<(&Owner, State), Bytes> = BTreeMap::new();
        for ((owner, kind, _), bytes) in &self.sums {
            *rows.entry((owner, kind.state())).or_default() += *bytes;
        }
        rows.into_iter().map(|((owner, state), bytes)| {
            let resident = self.resident.get(&(owner.clone(), state)).copied();
            (owner, state, bytes, resident.flatten())
        })
    }

    /// Everything: owner, kind, whether it came since the attach, bytes.
    pub fn iter(&self) -> impl Iterator<Item = (&Owner, Kind, bool, Bytes)> {
        self.sums
            .iter()
            .map(|((owner, kind, fresh), bytes)| (owner, *kind, *fresh, *bytes))
    }

    /// What an owner has of a kind.
    pub fn bytes(&self, owner: &Owner, kind: Kind) -> Bytes {
        self.fresh_bytes(owner, kind) + self.sum(owner, kind, false)
    }

    /// What of it came since the attach.
    pub fn fresh_bytes(&self, owner: &Owner, kind: Kind) -> Bytes {
        self.sum(owner, kind, true)
    }

    fn sum(&self, owner: &Owner, kind: Kind, fresh: bool) -> Bytes {
        let sum = self.sums.get(&(owner.clone(), kind, fresh));
        sum.copied().unwrap_or_default()
    }
}

/// The pages of a part, if they were looked at and tell its state. What was offered lazily can
/// have been written to again: only `LazyFree` of smaps bounds that.
const fn seen(part: &Part) -> Option<&PageSum> {
    match (part.kind, &part.pages) {
        (Kind::LazilyFreed, _) => None,
        (_, pages) => pages.as_ref(),
    }
}

/// What a VMA has in memory besides what is known of some of its bytes.
fn without(vma: &Resident, parts: &[Part], known: &[Cell]) -> Resident {
    let mut rest = *vma;
    for cell in known {
        let part = &parts[cell.part];
        if let Some(pages) = seen(part).filter(|_| part.span == cell.span) {
            rest.rss = rest.rss - pages.resident;
            rest.swap = rest.swap - pages.swapped;
        }
    }
    rest
}

/// Counts as live again what must have been touched since it was given back: more is in
/// memory than the rest of the VMA can hold. Only where the bytes have one owner.
fn use_again(sums: &mut BTreeMap<Key, Bytes>, vma: &Resident, kind: Kind, held: Bytes) {
    let mut owners: Vec<Owner> = Vec::new();
    let mut given_back = Bytes(0);
    for ((owner, of, _), bytes) in sums.iter() {
        if *of == kind {
            given_back += *bytes;
            owners.push(owner.clone());
        }
    }
    owners.dedup();
    if let [owner] = owners.as_slice() {
        let elsewhere = vma.span.len() - given_back;
        shift(sums, owner, kind, Kind::Live, held - elsewhere);
    }
}

/// Moves up to `bytes` of an owner from one kind to another, newest first.
fn shift(sums: &mut BTreeMap<Key, Bytes>, owner: &Owner, from: Kind, to: Kind, bytes: Bytes) {
    let mut left = bytes;
    for fresh in [true, false] {
        let Some(source) = sums.get_mut(&(owner.clone(), from, fresh)) else {
            continue;
        };
        let moved = left.min(*source);
        *source = *source - moved;
        left = left - moved;
        *sums.entry((owner.clone(), to, fresh)).or_default() += moved;
    }
}
