//! Stacks, which the kernel grows without a call: the main one, and what was mapped with
//! `MAP_GROWSDOWN`.

use super::{
    Space,
    piece::{Backing, Content, Origin, Piece, Provenance, SiteId},
    vma::Vma,
};
use crate::units::{Addr, Bytes, Nanos, Span, Tid};

impl Space {
    /// The kernel grew a stack downwards by `by`. Returns false if there is none to grow, or
    /// if it may be another than the main one: which, only the kernel's map can tell.
    pub fn grow_stack(&mut self, by: Bytes, at: Nanos) -> bool {
        self.latest = self.latest.max(at);
        if self.maps_stacks {
            return false;
        }
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
        self.put_grown(room, piece, at);
        true
    }

    /// There are stacks that grow besides the main one, mapped before calls were seen.
    pub const fn found_stacks(&mut self) {
        self.maps_stacks = true;
    }

    /// Whether there are stacks besides the main one, which grow without a call like it:
    /// then the kernel's figures do not tell which of them grew.
    #[must_use]
    pub const fn maps_stacks(&self) -> bool {
        self.maps_stacks
    }

    /// Stacks that reach further down in the kernel's map grew.
    pub fn grow_stacks_to(&mut self, vmas: &[Vma], at: Nanos) {
        let grown = |(span, piece): (Span, &Piece)| {
            let line = vmas.iter().find(|vma| vma.span.contains(span.start))?;
            let growth = Span::between(line.span.start, span.start);
            (grows_down(piece) && !growth.is_empty()).then_some((growth, *piece))
        };
        let grown: Vec<_> = self.map.iter().filter_map(grown).collect();
        for (growth, piece) in grown {
            if self.holes(growth) == [growth] {
                self.put_grown(growth, piece, at);
            }
        }
    }

    /// The size of all stacks that grow, as far as they are known.
    #[must_use]
    pub fn stacks(&self) -> Bytes {
        let stacks = self.map.iter().filter(|(_, piece)| grows_down(piece));
        stacks.map(|(span, _)| span.len()).sum()
    }

    fn put_grown(&mut self, room: Span, stack: Piece, at: Nanos) {
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
            ..stack
        };
        self.put(room, grown);
        self.flows.of(&grown).calls += 1;
    }
}

fn grows_down(piece: &Piece) -> bool {
    piece.backing == Backing::Stack || piece.traits.grows_down
}
