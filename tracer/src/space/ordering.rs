//! Which bytes a record is about, when records of racing calls arrive out of order.
//!
//! # The rule
//! A call acts only on bytes that were placed no later than it was *entered*; what it
//! creates counts from its *exit*, and takes the place of whatever the model still has
//! there.
//!
//! # Why this ends right
//! Records arrive in the order of the ring, which has every order the program enforces:
//! if one call returned before another could be made, its record is earlier. Only records
//! of calls that were under way at the same time may be the wrong way round. Let call R
//! release some bytes, and let call C be given the same addresses.
//!
//! * *C was entered after R returned.* R's record is first. Nothing to do.
//! * *They overlapped, the kernel released first.* This is the usual race: one thread
//!   unmaps, another is given the range before the first returns. C's bytes were placed
//!   at C's exit, later than the release, hence later than R's entry. If C's record comes
//!   first, C overlays R's old bytes, and R then finds only bytes placed after its entry:
//!   it leaves them alone. If R's comes first, order is right as it is. Either way C's
//!   bytes stand, as in the kernel.
//! * *They overlapped, the kernel created first.* Then R would release bytes whose
//!   address no one has been told yet (C has not returned). A program that does this
//!   unmaps addresses it does not know; the kernel's order cannot be told from outside:
//!   `race` notices, and the map is read anew.
//!
//! The same holds for every call that acts on existing bytes (`brk` downwards, `mremap`'s
//! old range, `shmdt`, `io_destroy`, `madvise`, `mprotect`, naming, locking): it can only
//! mean bytes whose creation had returned when it was made, and what was placed later got
//! there because the bytes it meant were gone.
//!
//! Times may be equal where the clock is coarse. A thread's next call can follow within
//! one tick of its last; a release, the hand-over and a creation by another thread cannot.
//! So equal times count as "placed before".
//!
//! Bytes read from the kernel's map have no time of their own and the time of the reading
//! is no substitute: events that happened before it are replayed onto the map that it gave.
//! They are placed at time 0.

use std::collections::VecDeque;

use super::{intervals::Pieces, piece::Piece};
use crate::units::{Bytes, Nanos, Span};

/// Whether a call entered at `entered` can be about a piece.
pub(super) fn concerns(entered: Nanos, piece: &Piece) -> bool {
    piece.placed <= entered
}

/// Bytes overlaid by a creation to which the kernel gives free addresses only: a call that
/// released them has been made, its record is yet to come. If that is `mremap`, it will
/// need to know what it moved.
#[derive(Clone, Debug, Default)]
pub(super) struct Outstanding {
    overlaid: VecDeque<Overlaid>,
}

#[derive(Clone, Copy, Debug)]
struct Overlaid {
    span: Span,
    piece: Piece,
    by: Nanos,
}

impl Outstanding {
    /// As many racing calls are under way at most, or nearly so. Where records were lost,
    /// the oldest make room.
    const LIMIT: usize = 64;

    /// Notes bytes that a creation, left at `by`, took the place of.
    pub(super) fn note(&mut self, span: Span, piece: Piece, by: Nanos) {
        // A map read after the creation has the creation's own bytes, not those before.
        if piece.origin.at > by {
            return;
        }
        if self.overlaid.len() == Self::LIMIT {
            self.overlaid.pop_front();
        }
        self.overlaid.push_back(Overlaid { span, piece, by });
    }

    /// The bytes in a span that a call entered at `entered` released, as far as they are
    /// `wanted`: the record has come.
    pub(super) fn settle(
        &mut self,
        span: Span,
        entered: Nanos,
        wanted: impl Fn(&Piece) -> bool,
    ) -> Pieces {
        let mut settled = Pieces::new();
        if self.find(span, entered, &wanted).is_none() {
            return settled;
        }
        let mut rest = VecDeque::new();
        for mut overlaid in self.overlaid.drain(..) {
            let part = overlaid.released(span, entered);
            let Some(part) = part.filter(|_| wanted(&overlaid.piece)) else {
                rest.push_back(overlaid);
                continue;
            };
            settled.push((part, overlaid.piece));
            let whole = overlaid.span;
            for left in [
                Span::between(whole.start, part.start),
                Span::between(part.end, whole.end),
            ] {
                if !left.is_empty() {
                    overlaid.span = left;
                    rest.push_back(overlaid);
                }
            }
        }
        self.overlaid = rest;
        settled.sort_by_key(|(span, _)| span.start);
        settled
    }

    /// Some `wanted` bytes in a span that a call entered at `entered` released.
    pub(super) fn find(
        &self,
        span: Span,
        entered: Nanos,
        wanted: impl Fn(&Piece) -> bool,
    ) -> Option<Piece> {
        self.overlaid
            .iter()
            .filter(|overlaid| wanted(&overlaid.piece))
            .find(|overlaid| overlaid.released(span, entered).is_some())
            .map(|overlaid| overlaid.piece)
    }

    /// How many bytes in a span are known to have been released by a call entered at
    /// `entered`, before they were given to another.
    pub(super) fn covered(&self, span: Span, entered: Nanos) -> Bytes {
        let released = self.overlaid.iter();
        let released = released.filter_map(|overlaid| overlaid.released(span, entered));
        released
            .map(|part| part.len())
            .fold(Bytes(0), |sum, len| sum + len)
    }

    /// All pieces kept.
    pub(super) fn pieces(&self) -> impl Iterator<Item = &Piece> {
        self.overlaid.iter().map(|overlaid| &overlaid.piece)
    }
}

impl Overlaid {
    /// The part of a span it has, if a call entered at `entered` can have released it: one
    /// entered after the overlay is about the overlay.
    fn released(&self, span: Span, entered: Nanos) -> Option<Span> {
        (concerns(entered, &self.piece) && entered < self.by)
            .then(|| self.span.intersect(span))
            .flatten()
    }
}
