//! Calls that take bytes away: `munmap`, `shmdt`, `io_destroy`.

use super::{
    Space,
    effect::{Doubt, Effect},
    ordering::concerns,
    piece::{Backing, Piece, Provenance},
};
use crate::{
    event::{Event, Syscall},
    units::{Addr, Nanos, Span},
};

impl Space {
    /// `munmap`. To unmap what is not mapped is no error, so a hole is no reason to doubt.
    pub(super) fn unmap(&mut self, event: &Event, span: Span) -> Effect {
        let span = self.range(span.start, span.len().0);
        self.release(span, event.entered);
        Effect {
            concerned: span.len(),
            ..Effect::default()
        }
    }

    /// `shmdt` and `io_destroy`: all of the segment or ring that starts at the address,
    /// by then perhaps in several pieces.
    pub(super) fn detach(&mut self, event: &Event, addr: Addr) -> Effect {
        let Some((start, first)) = self.segment(addr, event.entered) else {
            return Effect {
                doubt: Some(Doubt::UnknownRange(self.range(addr, 1))),
                ..Effect::default()
            };
        };
        let (span, is_exact) = self.extent(start, &first);
        self.release_where(span, event.entered, |piece| piece.backing == first.backing);
        Effect {
            concerned: span.len(),
            doubt: (!is_exact).then_some(Doubt::UnknownRange(span)),
            ..Effect::default()
        }
    }

    /// Where a segment or ring starts that a call entered at `entered` is about, and its first
    /// piece.
    pub(super) fn segment(&self, addr: Addr, entered: Nanos) -> Option<(Addr, Piece)> {
        let start = self.range(addr, 1);
        let first = self
            .map
            .at(start.start)
            .map(|(_, piece)| *piece)
            .filter(|piece| concerns(entered, piece))
            .or_else(|| self.outstanding.find(start, entered, |_| true))
            .filter(|piece| matches!(piece.backing, Backing::File { .. }))?;
        Some((start.start, first))
    }

    /// How far the segment reaches that starts with a piece, and whether that is certain. The
    /// kernel takes what starts at the address whole, then what lies within the segment's size:
    /// where `mremap` made it longer, it depends on how it was split and joined since.
    pub(super) fn extent(&self, start: Addr, first: &Piece) -> (Span, bool) {
        let behind = Span::between(start, Addr(u64::MAX));
        let mut reached = start;
        let mut pieces = 0;
        for (run, piece) in self.map.overlapping(behind) {
            if piece.backing != first.backing {
                continue;
            }
            pieces += 1;
            if run.start == reached {
                reached = run.end;
            }
        }
        let made = self.placed(start.0, first.origin.mapped.0);
        let is_exact = match first.origin.how {
            Provenance::Call(Syscall::Shmat | Syscall::IoSetup) => reached <= made.end,
            // The size of the segment is not known.
            _ => pieces <= 1,
        };
        (Span::between(start, made.end.max(reached)), is_exact)
    }
}
