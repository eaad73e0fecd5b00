//! Calls that take bytes away: `munmap`, `shmdt`, `io_destroy`.

use super::{
    Space,
    effect::{Doubt, Effect},
    ordering::concerns,
    piece::{Backing, Piece},
};
use crate::{
    event::Event,
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
        let Some((span, first)) = self.segment(addr, event.entered) else {
            return Effect {
                doubt: Some(Doubt::UnknownRange(self.range(addr, 1))),
                ..Effect::default()
            };
        };
        self.release_where(span, event.entered, |piece| piece.backing == first.backing);
        Effect {
            concerned: span.len(),
            ..Effect::default()
        }
    }

    /// The segment or ring that starts at an address, for a call entered at `entered`.
    pub(super) fn segment(&self, addr: Addr, entered: Nanos) -> Option<(Span, Piece)> {
        let start = self.range(addr, 1);
        let first = self
            .map
            .at(start.start)
            .map(|(_, piece)| *piece)
            .filter(|piece| concerns(entered, piece))
            .or_else(|| self.outstanding.find(start, entered, |_| true))
            .filter(|piece| matches!(piece.backing, Backing::File { .. }))?;
        Some((self.extent(start.start, &first), first))
    }

    /// How far the mapping reaches that starts with a piece: as far as its call said, and
    /// as far as the same file goes on (`mremap` may have made it longer).
    fn extent(&self, start: Addr, first: &Piece) -> Span {
        let mut extent = self.placed(start.0, first.origin.mapped.0);
        let behind = Span::between(start, Addr(u64::MAX));
        let mut reached = start;
        for (run, piece) in self.map.overlapping(behind) {
            if run.start != reached || piece.backing != first.backing {
                break;
            }
            reached = run.end;
        }
        extent.end = extent.end.max(reached);
        extent
    }
}
