//! The main stack, which the kernel grows without a call.

use super::{
    Space,
    piece::{Backing, Content, Origin, Piece, Provenance, SiteId},
};
use crate::units::{Addr, Bytes, Nanos, Span, Tid};

impl Space {
    /// The kernel grew the main stack downwards by `by`. Returns false if there is no stack
    /// to grow.
    pub fn grow_stack(&mut self, by: Bytes, at: Nanos) -> bool {
        self.latest = self.latest.max(at);
        let lowest = self
            .map
            .iter()
            .find(|(_, piece)| piece.backing == Backing::Stack)
            .map(|(span, piece)| (span, *piece));
        let Some((stack, piece)) = lowest else {
            return false;
        };
        let end = stack.start;
        let start = Addr(end.0.saturating_sub(self.page.up(by.0)));
        // `expand_downwards` keeps its distance from what lies below.
        let wished = Span::between(start, end);
        let Some(&room) = self.holes(wished).last().filter(|room| room.end == end) else {
            return true;
        };
        let grown = Piece {
            origin: Origin {
                how: Provenance::StackGrowth,
                site: SiteId::default(),
                tid: Tid(0),
                at,
                mapped: room.len(),
            },
            // It is noticed later than it happened, and takes no one's place: a call made
            // in between may well be about it.
            placed: Nanos(0),
            content: Content::Unknown,
            ..piece
        };
        self.put(room, grown);
        self.flows.of(&grown).calls += 1;
        true
    }
}
