//! An ordered map of disjoint spans to pieces: spans in and out, never an overlap.
//!
//! Neighbours of equal pieces are always one run, so a split that turns out to have been
//! for nothing leaves no trace. It does not know what a piece means.

use std::collections::BTreeMap;

use smallvec::SmallVec;

use super::piece::{Backing, Piece};
use crate::units::{Addr, Bytes, Span};

/// Pieces taken out or looked at, with the addresses they had. Mostly one.
pub(super) type Pieces = SmallVec<[(Span, Piece); 2]>;

/// The map. Pieces are boxed: a tree of 24-byte entries wastes little in half-full nodes,
/// and moves little on insertion.
#[derive(Clone, Debug, Default)]
pub(super) struct Intervals {
    runs: BTreeMap<u64, Run>,
    total: u64,
    code_version: u64,
}

#[derive(Clone, Debug)]
struct Run {
    end: u64,
    piece: Box<Piece>,
}

impl Intervals {
    /// The sum of all spans.
    pub(super) const fn total(&self) -> Bytes {
        Bytes(self.total)
    }

    /// A number that changes whenever an executable file piece comes or goes.
    pub(super) const fn code_version(&self) -> u64 {
        self.code_version
    }

    /// All runs in order of address.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (Span, &Piece)> {
        self.runs
            .iter()
            .map(|(&start, run)| (span(start, run.end), &*run.piece))
    }

    /// The run that holds an address.
    pub(super) fn at(&self, addr: Addr) -> Option<(Span, &Piece)> {
        let (&start, run) = self.runs.range(..=addr.0).next_back()?;
        (addr.0 < run.end).then(|| (span(start, run.end), &*run.piece))
    }

    /// The runs that meet a span, in order of address, clipped to it.
    pub(super) fn overlapping(&self, range: Span) -> impl Iterator<Item = (Span, &Piece)> {
        let first = match self.at(range.start) {
            Some((run, _)) => run.start.0,
            None => range.start.0,
        };
        // An empty or backward range would panic in the tree.
        let behind = range.end.0.max(first);
        self.runs
            .range(first..behind)
            .filter_map(move |(&start, run)| {
                Some((span(start, run.end).intersect(range)?, &*run.piece))
            })
    }

    /// Copies of the clipped runs in a span that `wanted` picks.
    pub(super) fn pick(&self, range: Span, wanted: impl Fn(&Piece) -> bool) -> Pieces {
        // Backwards needs one look-up instead of two; most ranges hold one run.
        let mut picked: Pieces = self
            .runs
            .range(..range.end.0)
            .rev()
            .take_while(|(_, run)| run.end > range.start.0)
            .filter(|(_, run)| wanted(&run.piece))
            .filter_map(|(&start, run)| {
                Some((span(start, run.end).intersect(range)?, *run.piece))
            })
            .collect();
        picked.reverse();
        picked
    }

    /// Takes the clipped runs in a span that `wanted` picks out of the map.
    pub(super) fn take(&mut self, range: Span, wanted: impl Fn(&Piece) -> bool) -> Pieces {
        let taken = self.pick(range, wanted);
        for (span, _) in &taken {
            self.cut(*span);
        }
        taken
    }

    /// Changes the runs in a span for which `change` gives another piece; it sees them
    /// clipped.
    pub(super) fn update(
        &mut self,
        range: Span,
        mut change: impl FnMut(Span, &Piece) -> Option<Piece>,
    ) {
        let changed: Pieces = self
            .overlapping(range)
            .filter_map(|(span, old)| {
                let new = change(span, old)?;
                (new != *old).then_some((span, new))
            })
            .collect();
        for (span, piece) in changed {
            self.cut(span);
            self.put(span, piece);
        }
    }

    /// Puts a piece where nothing is, joined with equal neighbours.
    pub(super) fn put(&mut self, range: Span, piece: Piece) {
        if range.is_empty() {
            return;
        }
        debug_assert!(self.overlapping(range).next().is_none(), "occupied {range:?}");
        self.total += range.len().0;
        self.note_code(&piece);
        let (start, mut end) = (range.start.0, range.end.0);
        let mut boxed = None;
        if self.runs.get(&end).is_some_and(|next| *next.piece == piece)
            && let Some(next) = self.runs.remove(&end)
        {
            end = next.end;
            boxed = Some(next.piece);
        }
        if let Some((_, left)) = self.runs.range_mut(..start).next_back()
            && left.end == start
            && *left.piece == piece
        {
            left.end = end;
            return;
        }
        let piece = boxed.unwrap_or_else(|| Box::new(piece));
        self.runs.insert(start, Run { end, piece });
    }

    /// Takes a span out of the one run that holds all of it.
    fn cut(&mut self, range: Span) {
        let (start, end) = (range.start.0, range.end.0);
        let Some((&run_start, run)) = self.runs.range_mut(..=start).next_back() else {
            return;
        };
        debug_assert!(run.end >= end, "{range:?} is in more than one run");
        let (run_end, is_code) = (run.end, is_code(&run.piece));
        let tail = if run_start == start {
            self.runs.remove(&start).map(|run| run.piece)
        } else {
            run.end = start;
            (end < run_end).then(|| run.piece.clone())
        };
        if let Some(piece) = tail
            && end < run_end
        {
            self.runs.insert(end, Run { end: run_end, piece });
        }
        self.total -= end - start;
        self.code_version += u64::from(is_code);
    }

    fn note_code(&mut self, piece: &Piece) {
        self.code_version += u64::from(is_code(piece));
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
