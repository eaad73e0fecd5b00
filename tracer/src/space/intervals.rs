//! An ordered map of disjoint spans to pieces: spans in and out, never an overlap.
//!
//! Neighbours of equal pieces are always one run, so a split that turns out to have been
//! for nothing leaves no trace. It does not know what a piece means.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Unbounded},
};

use smallvec::SmallVec;

use super::piece::{Backing, Piece};
use crate::units::{Addr, Bytes, Span};

/// Pieces with the addresses they have or had. Mostly one.
pub(super) type Pieces = SmallVec<[(Span, Piece); 1]>;

/// The map, by the runs' ends: the runs from an address on are those behind a key.
/// Pieces are boxed: a tree of 24-byte entries wastes little in half-full nodes.
#[derive(Clone, Debug, Default)]
pub(super) struct Intervals {
    by_end: BTreeMap<u64, Run>,
    total: u64,
    code_version: u64,
}

#[derive(Clone, Debug)]
struct Run {
    start: u64,
    piece: Box<Piece>,
}

impl Intervals {
    /// The sum of all spans.
    pub(super) const fn total(&self) -> Bytes {
        Bytes(self.total)
    }

    /// How many runs there are.
    pub(super) fn len(&self) -> usize {
        self.by_end.len()
    }

    /// A number that changes whenever an executable file piece comes or goes.
    pub(super) const fn code_version(&self) -> u64 {
        self.code_version
    }

    /// All runs in order of address.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (Span, &Piece)> {
        self.by_end
            .iter()
            .map(|(&end, run)| (span(run.start, end), &*run.piece))
    }

    /// The run that holds an address.
    pub(super) fn at(&self, addr: Addr) -> Option<(Span, &Piece)> {
        let (&end, run) = self.behind(addr.0).next()?;
        (run.start <= addr.0).then(|| (span(run.start, end), &*run.piece))
    }

    /// The runs that meet a span, in order of address, clipped to it.
    pub(super) fn overlapping(&self, range: Span) -> impl Iterator<Item = (Span, &Piece)> {
        self.behind(range.start.0)
            .take_while(move |(_, run)| run.start < range.end.0)
            .filter_map(move |(&end, run)| {
                Some((span(run.start, end).intersect(range)?, &*run.piece))
            })
    }

    /// Takes the clipped runs in a span that `wanted` picks out of the map.
    pub(super) fn take(&mut self, range: Span, wanted: impl Fn(&Piece) -> bool) -> Pieces {
        let taken: Pieces = self
            .overlapping(range)
            .filter(|(_, piece)| wanted(piece))
            .map(|(span, piece)| (span, *piece))
            .collect();
        for (span, _) in &taken {
            self.cut(*span);
        }
        taken
    }

    /// Changes the runs in a span for which `change` gives another piece; it sees them
    /// clipped. Gives how much of the span the runs cover.
    pub(super) fn update(
        &mut self,
        range: Span,
        mut change: impl FnMut(Span, &Piece) -> Option<Piece>,
    ) -> Bytes {
        let mut covered = Bytes(0);
        let mut changed = Pieces::new();
        for (span, old) in self.overlapping(range) {
            covered += span.len();
            if let Some(new) = change(span, old)
                && new != *old
            {
                changed.push((span, new));
            }
        }
        for (span, piece) in changed {
            self.cut(span);
            self.put(span, piece);
        }
        covered
    }

    /// Puts a piece where nothing is, joined with equal neighbours.
    pub(super) fn put(&mut self, range: Span, piece: Piece) {
        if range.is_empty() {
            return;
        }
        debug_assert!(
            self.overlapping(range).next().is_none(),
            "occupied {range:?}"
        );
        self.total += range.len().0;
        self.code_version += u64::from(is_code(&piece));
        let (mut start, end) = (range.start.0, range.end.0);
        let mut boxed = None;
        if self
            .by_end
            .get(&start)
            .is_some_and(|left| *left.piece == piece)
            && let Some(left) = self.by_end.remove(&start)
        {
            start = left.start;
            boxed = Some(left.piece);
        }
        if let Some((_, right)) = self.by_end.range_mut((Excluded(end), Unbounded)).next()
            && right.start == end
            && *right.piece == piece
        {
            right.start = start;
            return;
        }
        let piece = boxed.unwrap_or_else(|| Box::new(piece));
        self.by_end.insert(end, Run { start, piece });
    }

    /// Fills its tree's nodes: what was put in order has left them half empty.
    pub(super) fn pack(&mut self) {
        self.by_end = std::mem::take(&mut self.by_end).into_iter().collect();
    }

    /// Takes a span out of the one run that holds all of it.
    fn cut(&mut self, range: Span) {
        let (start, end) = (range.start.0, range.end.0);
        self.total -= end - start;
        let (was_code, head) = match self.by_end.remove(&end) {
            Some(run) => (is_code(&run.piece), Some(run)),
            None => {
                let behind = (Excluded(end), Unbounded);
                let Some((_, run)) = self.by_end.range_mut(behind).next() else {
                    return;
                };
                let head = (run.start < start).then(|| run.clone());
                run.start = end;
                (is_code(&run.piece), head)
            }
        };
        self.code_version += u64::from(was_code);
        if let Some(head) = head.filter(|head| head.start < start) {
            self.by_end.insert(start, head);
        }
    }

    /// The runs that end behind an address.
    fn behind(&self, addr: u64) -> impl Iterator<Item = (&u64, &Run)> {
        self.by_end.range((Excluded(addr), Unbounded))
    }
}

/// Whether return addresses may point into a piece and be named after its file.
pub(super) const fn is_code(piece: &Piece) -> bool {
    piece.prot.exec && matches!(piece.backing, Backing::File { .. })
}

const fn span(start: u64, end: u64) -> Span {
    Span {
        start: Addr(start),
        end: Addr(end),
    }
}
