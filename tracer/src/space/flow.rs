//! What came and went, summed by source: who mapped how much by which call, and how much
//! of that was unmapped or given back, and what only took the place of something else. Bounded by the
//! number of call sites.

use rustc_hash::FxHashMap;

use super::{
    pace::Pace,
    piece::{Backing, Piece, Provenance, SiteId},
};
use crate::{
    event::Syscall,
    units::{Bytes, Nanos, Span},
};

/// What bytes have in common that are summed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source {
    /// By what they came.
    pub how: Provenance,
    /// Who asked.
    pub site: SiteId,
    /// What lies behind them.
    pub kind: SourceKind,
}

/// What lies behind bytes, as far as summing keeps it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SourceKind {
    /// Anonymous memory.
    Anonymous,
    /// Anonymous memory placed with `MAP_STACK`.
    ThreadStack,
    /// The brk heap.
    Heap,
    /// The main stack.
    Stack,
    /// Files and what the kernel maps.
    File,
}

/// Sums of one source since the attach. Bytes that were moved keep their source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Calls that mapped.
    pub calls: u64,
    /// Bytes they mapped.
    pub mapped: Bytes,
    /// Bytes of this source unmapped again, by whatever call.
    pub unmapped: Bytes,
    /// Bytes of this source given back by advice (each time counted).
    pub discarded: Bytes,
    /// Calls that gave back.
    pub discards: u64,
    /// When they mapped how much.
    pub pace: Pace,
}

/// Whole mappings of one source and about one size that were unmapped as they had been mapped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turnover {
    /// How many.
    pub mappings: u64,
    /// Their bytes.
    pub bytes: Bytes,
    /// When the first was unmapped.
    pub first: Nanos,
    /// When the last was.
    pub last: Nanos,
    /// The largest.
    pub largest: Bytes,
    /// When that was unmapped.
    pub largest_at: Nanos,
    /// How long they were there, all together, nanoseconds.
    pub lived: u64,
}

/// Sizes up to a power of two that are above half of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SizeClass(u32);

impl SizeClass {
    /// The class of a size.
    #[must_use]
    pub const fn of(size: Bytes) -> Self {
        Self(match size.0.saturating_sub(1).checked_ilog2() {
            Some(log) => log + 1,
            None => 0,
        })
    }
}

/// All flows of one address space.
#[derive(Clone, Debug, Default)]
pub struct Flows {
    by_source: FxHashMap<Source, Flow>,
    turnover: FxHashMap<(Source, SizeClass), Turnover>,
    releases: FxHashMap<SiteId, Released>,
    splits: FxHashMap<(Syscall, SiteId), u64>,
    replaced: FxHashMap<Replacement, Bytes>,
}

/// Whose bytes others took the place of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Replacement {
    /// Of what was there.
    pub old: Source,
    /// Of what was mapped over it.
    pub new: Source,
}

/// How many replacements are kept apart: any two call sites can make one.
const MOST_REPLACEMENTS: usize = 1 << 14;

/// What the calls of one site gave back, whoever had mapped it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Released {
    /// Calls that took bytes away or gave pages back.
    pub calls: u64,
    /// Bytes by which they shrank the address space.
    pub unmapped: Bytes,
    /// Bytes given back by advice (each time counted).
    pub discarded: Bytes,
}

impl Flows {
    /// Every source and its sums, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&Source, &Flow)> {
        self.by_source.iter()
    }

    /// The sums of one source.
    #[must_use]
    pub fn get(&self, source: &Source) -> Flow {
        self.by_source.get(source).copied().unwrap_or_default()
    }

    /// Whole mappings that were unmapped again, by source and size, in no particular order.
    pub fn turnover(&self) -> impl Iterator<Item = (&Source, SizeClass, &Turnover)> {
        let each = self.turnover.iter();
        each.map(|((source, class), turnover)| (source, *class, turnover))
    }

    /// Counts bytes that came.
    pub(super) fn mapped(&mut self, piece: &Piece, bytes: Bytes) {
        let flow = self.of(piece);
        flow.mapped += bytes;
        flow.pace.add(bytes, piece.origin.at);
    }

    /// Counts bytes that went.
    pub(super) fn unmapped(&mut self, piece: &Piece, span: Span, at: Nanos) {
        self.of(piece).unmapped += span.len();
        let is_whole = span.len() == piece.origin.mapped;
        if !is_whole || !matches!(piece.origin.how, Provenance::Call(_)) {
            return;
        }
        let class = SizeClass::of(span.len());
        let sum = self.turnover.entry((Source::of(piece), class)).or_default();
        if sum.mappings == 0 {
            sum.first = at;
        }
        sum.mappings += 1;
        sum.bytes += span.len();
        sum.last = sum.last.max(at);
        sum.lived = sum.lived.saturating_add(at.since(piece.origin.at));
        if span.len() > sum.largest {
            (sum.largest, sum.largest_at) = (span.len(), at);
        }
    }

    /// A mapping took the place of a part of another, which counts as unmapped by then.
    pub(super) fn replaced(&mut self, old: &Piece, new: &Piece, bytes: Bytes) {
        let (old, new) = (Source::of(old), Source::of(new));
        let replacement = Replacement { old, new };
        if self.replaced.len() < MOST_REPLACEMENTS || self.replaced.contains_key(&replacement) {
            *self.replaced.entry(replacement).or_default() += bytes;
        }
    }

    /// How much was mapped over what, in no particular order. It is in [`Flow::mapped`] of the one
    /// and in [`Flow::unmapped`] of the other.
    pub fn replacements(&self) -> impl Iterator<Item = (Replacement, Bytes)> {
        self.replaced.iter().map(|(which, bytes)| (*which, *bytes))
    }

    /// What each site gave back, in no particular order.
    pub fn releases(&self) -> impl Iterator<Item = (SiteId, Released)> {
        self.releases
            .iter()
            .map(|(site, released)| (*site, *released))
    }

    /// A call of a site gave something back.
    pub(super) fn acted(&mut self, site: SiteId, unmapped: Bytes, discarded: Bytes) {
        let sums = self.releases.entry(site).or_default();
        sums.calls += 1;
        sums.unmapped += unmapped;
        sums.discarded += discarded;
    }

    /// How many pieces calls made of others, by call and site, in no particular order.
    pub fn splits(&self) -> impl Iterator<Item = (Syscall, SiteId, u64)> {
        let each = self.splits.iter();
        each.map(|((call, site), count)| (*call, *site, *count))
    }

    /// A call made more pieces of those there were.
    pub(super) fn split(&mut self, call: Syscall, site: SiteId, more: u64) {
        *self.splits.entry((call, site)).or_default() += more;
    }

    /// The sums a piece's bytes count into, to be added to.
    pub(super) fn of(&mut self, piece: &Piece) -> &mut Flow {
        self.by_source.entry(Source::of(piece)).or_default()
    }
}

impl Source {
    /// Where the bytes of a piece came from.
    #[must_use]
    pub const fn of(piece: &Piece) -> Self {
        Self {
            how: piece.origin.how,
            site: piece.origin.site,
            kind: match piece.backing {
                Backing::Anonymous if piece.traits.stack => SourceKind::ThreadStack,
                Backing::Anonymous => SourceKind::Anonymous,
                Backing::Heap => SourceKind::Heap,
                Backing::Stack => SourceKind::Stack,
                Backing::File { .. } | Backing::Special(_) => SourceKind::File,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_ends_at_a_power_of_two() {
        const MIB: u64 = 1 << 20;
        let class = |size| SizeClass::of(Bytes(size));
        assert_eq!(class(32 * MIB), class(16 * MIB + 1));
        assert!(class(32 * MIB) < class(32 * MIB + 1));
        assert_eq!(class(0), class(1));
    }

    fn piece(mapped: u64, at: u64) -> Piece {
        use crate::{
            space::piece::{Content, Origin, Prot, Traits},
            units::Tid,
        };
        Piece {
            prot: Prot::from_bits(3),
            shared: false,
            backing: Backing::Anonymous,
            traits: Traits::default(),
            origin: Origin {
                how: Provenance::Call(Syscall::Mmap),
                site: SiteId(1),
                tid: Tid(1),
                at: Nanos(at),
                mapped: Bytes(mapped),
            },
            placed: Nanos(at),
            content: Content::Unknown,
            name: None,
        }
    }

    #[test]
    fn only_mappings_that_went_whole_are_turned_over() {
        const SIZE: u64 = 1 << 20;
        let mut flows = Flows::default();
        let span = |len| Span::new(crate::units::Addr(0x1000), len);
        for at in [10, 20, 30] {
            let piece = piece(SIZE, at);
            flows.mapped(&piece, Bytes(SIZE));
            let len = if at == 20 { SIZE / 2 } else { SIZE };
            flows.unmapped(&piece, span(len), Nanos(at + 5));
        }
        let all: Vec<_> = flows.turnover().collect();
        let [(source, class, turnover)] = all.as_slice() else {
            panic!("one source and size: {all:?}");
        };
        assert_eq!(*class, SizeClass::of(Bytes(SIZE)));
        assert_eq!((turnover.mappings, turnover.bytes), (2, Bytes(2 * SIZE)));
        assert_eq!((turnover.first, turnover.last), (Nanos(15), Nanos(35)));
        assert_eq!(turnover.lived, 10);
        assert_eq!(flows.get(source).unmapped, Bytes(SIZE / 2 * 5));
    }
}
