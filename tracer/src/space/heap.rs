//! `brk`: the end of the heap moves, and whole pages of it come or go.

use super::{
    Space,
    edit::Over,
    effect::{Doubt, Effect},
    piece::{Backing, Piece},
};
use crate::{
    event::{Call, Event},
    units::{Addr, Span},
};

impl Space {
    pub(super) fn brk(
        &mut self,
        event: &Event,
        call: &Call,
        (wanted, before): (Addr, Option<Addr>),
        result: u64,
    ) -> Effect {
        let known = before
            .or(self.heap_end)
            .or_else(|| self.end_of_heap_pieces());
        self.heap_end = Some(Addr(result));
        // A failed call returns the old end; so does one that asks for nothing.
        if wanted != Addr(result) {
            return Effect::default();
        }
        let new = Addr(self.page.up(result));
        let Some(old) = known.map(|end| Addr(self.page.up(end.0))) else {
            return Effect {
                doubt: Some(Doubt::UnknownSize(Span::new(new, 0))),
                ..Effect::default()
            };
        };
        let (grown, shrunk) = (Span::between(old, new), Span::between(new, old));
        if !grown.is_empty() {
            let origin = self.origin(event, call, grown.len());
            let piece = Piece {
                backing: Backing::Heap,
                ..self.plain(origin)
            };
            self.place(grown, Over::Free, piece);
        }
        if !shrunk.is_empty() {
            self.release(shrunk, event.entered);
        }
        Effect {
            concerned: grown.len() + shrunk.len(),
            ..Effect::default()
        }
    }

    fn end_of_heap_pieces(&self) -> Option<Addr> {
        self.map
            .iter()
            .rev()
            .find(|(_, piece)| piece.backing == Backing::Heap)
            .map(|(span, _)| span.end)
    }
}
