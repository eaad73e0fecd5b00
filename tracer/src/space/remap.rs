//! `mremap`: bytes are resized in place, moved with their origin, or doubled.

use super::{
    Space,
    edit::Over,
    effect::{Doubt, Effect},
    ordering::concerns,
    piece::{Backing, Content, Origin, Piece, Provenance},
    place::content_of_new,
};
use crate::{
    event::{Call, Event},
    units::{Addr, Span},
};

// include/uapi/linux/mman.h
const MAYMOVE: u64 = 1;
pub(super) const FIXED: u64 = 2;
pub(super) const DONTUNMAP: u64 = 4;

/// One call: what it is about and what it leaves.
#[derive(Clone, Copy)]
struct Remap<'a> {
    event: &'a Event,
    old: Span,
    new: Span,
    flags: u64,
    /// The origin of what it adds.
    origin: Origin,
}

impl Space {
    pub(super) fn remap(
        &mut self,
        event: &Event,
        call: &Call,
        (old, new_len, flags): (Span, u64, u64),
        result: u64,
    ) -> Effect {
        let start = self.range(old.start, 0).start;
        let is_huge = |(_, piece): (Span, &Piece)| piece.traits.huge_tlb;
        let (old_len, new_len) = if self.map.at(start).is_some_and(is_huge) {
            (self.huge_len(old.len().0, 0), self.huge_len(new_len, 0))
        } else {
            (old.len().0, new_len)
        };
        let old = self.range(start, old_len);
        let new = self.placed(result, new_len);
        if new.is_empty() {
            return Effect::default();
        }
        let call = Remap {
            event,
            old,
            new,
            flags,
            origin: self.origin(event, call, new.len()),
        };
        let is_exact = if old.is_empty() {
            self.duplicate(call)
        } else if old.start == new.start {
            self.resize(call)
        } else {
            self.relocate(call)
        };
        Effect {
            concerned: old.len().max(new.len()),
            doubt: (!is_exact).then_some(Doubt::UnknownRange(old)),
            ..Effect::default()
        }
    }

    /// With a target of its own (`MREMAP_FIXED`) the kernel first unmaps what is there, and since
    /// Linux 6.17 moves mapping after mapping: a failure later on undoes neither.
    pub(super) fn remap_failed(
        &self,
        call: &Call,
        (old, new_len, flags): (Span, u64, u64),
    ) -> Effect {
        let to = call.args[4];
        let old = self.range(old.start, old.len().0);
        let new = self.range(Addr(to), new_len);
        // With `MREMAP_DONTUNMAP` the target is but a hint, and mappings are moved one by one too.
        let has_target =
            flags & FIXED != 0 && self.page.down(to) == to && old.intersect(new).is_none();
        let is_checked = flags & MAYMOVE != 0
            && !new.is_empty()
            && (has_target || flags & (FIXED | DONTUNMAP) == DONTUNMAP);
        let is_there = |span| self.map.overlapping(span).next().is_some();
        Effect {
            doubt: (is_checked && (is_there(old) || is_there(new)))
                .then_some(Doubt::PartialFailure(old)),
            ..Effect::default()
        }
    }

    /// In place: cut off, or continued behind the end.
    fn resize(&mut self, call: Remap) -> bool {
        let kept = call.old.intersect(call.new).unwrap_or_default();
        let cut = Span::between(kept.end, call.old.end);
        self.release(cut, call.event.entered);
        // Only what grows must be one mapping: else the kernel looks at no more than where it
        // starts.
        if call.new.len() <= call.old.len() {
            return self.map.at(kept.start).is_some();
        }
        let is_exact = self.fill(kept, call);
        self.extend(kept.end, call);
        is_exact
    }

    /// To other addresses: each byte takes along what is known of it.
    fn relocate(&mut self, call: Remap) -> bool {
        let len = call.old.len().min(call.new.len());
        let moving = Span::new(call.old.start, len.0);
        let cut = Span::between(moving.end, call.old.end);
        self.release(cut, call.event.entered);

        let pieces = self.pick_up(moving, call);
        let mut starts_moving = false;
        for (span, piece) in pieces {
            starts_moving |= span.start == moving.start;
            let target = call.target(span);
            self.clear(target, call.over(), call.event.exited);
            let piece = shifted(&piece, span, target, call.event);
            self.map.put(target, piece);
        }
        // Since Linux 6.17 a range of several mappings can be moved, gaps and all.
        if starts_moving && call.flags & FIXED != 0 && call.old.len() == call.new.len() {
            return true;
        }
        let mut is_exact = true;
        if call.flags & DONTUNMAP != 0 {
            is_exact &= self.fill(moving, call);
        }
        let moved = call.target(moving);
        is_exact &= self.fill(moved, call);
        self.extend(moved.end, call);
        is_exact
    }

    /// Takes the bytes that move. What another thread was given in their place stays.
    fn pick_up(&mut self, moving: Span, call: Remap) -> Vec<(Span, Piece)> {
        let entered = call.event.entered;
        let found = self.map.take(moving, |piece| concerns(entered, piece));
        if call.flags & DONTUNMAP != 0 {
            for (span, piece) in &found {
                self.put(*span, left_behind(piece, call));
            }
            return found.into_vec();
        }
        // What has already been overlaid moved nevertheless: it was not unmapped.
        let overlaid = self.outstanding.settle(moving, entered, |_| true);
        for (span, piece) in &overlaid {
            let flow = self.flows.of(piece);
            flow.unmapped = flow.unmapped - span.len();
        }
        let mut pieces: Vec<_> = found.into_iter().chain(overlaid).collect();
        pieces.sort_by_key(|(span, _)| span.start);
        pieces
    }

    /// Old length 0 maps the same shared bytes a second time.
    fn duplicate(&mut self, call: Remap) -> bool {
        let Some((_, piece)) = self.map.at(call.old.start) else {
            return self.fill(call.new, call);
        };
        let piece = Piece {
            origin: call.origin,
            content: Content::Unknown,
            ..shifted(piece, call.old, call.new, call.event)
        };
        self.place(call.new, call.over(), piece);
        true
    }

    /// Maps from `end` to the new end, in continuation of what lies before.
    fn extend(&mut self, end: Addr, call: Remap) {
        let growth = Span::between(end, call.new.end);
        let before = end
            .0
            .checked_sub(1)
            .and_then(|last| self.map.at(Addr(last)));
        let Some((_, &piece)) = before.filter(|_| !growth.is_empty()) else {
            return;
        };
        let piece = Piece {
            origin: call.origin,
            placed: call.event.exited,
            content: content_of_new(piece.prot, piece.is_anonymous()),
            ..piece
        };
        self.place(growth, call.over(), piece);
    }

    /// Fills holes where bytes must be that the model did not know. What is there already
    /// is taken for them: events are also replayed onto a map that was read after them.
    fn fill(&mut self, span: Span, call: Remap) -> bool {
        let holes = self.holes(span);
        let piece = self.plain(Origin {
            how: Provenance::Found,
            ..call.origin
        });
        for hole in &holes {
            self.put(*hole, piece);
        }
        holes.is_empty()
    }
}

impl Remap<'_> {
    /// Where a part of the old range goes.
    fn target(self, part: Span) -> Span {
        let distance = part.start.0 - self.old.start.0;
        let start = Addr(self.new.start.0.saturating_add(distance));
        Span::new(start, part.len().0)
            .intersect(self.new)
            .unwrap_or_default()
    }

    fn over(self) -> Over {
        if self.flags & FIXED == 0 {
            Over::Free
        } else {
            Over::Occupied
        }
    }
}

/// A piece at other addresses: its bytes stay those of the file.
fn shifted(piece: &Piece, from: Span, to: Span, event: &Event) -> Piece {
    let mut piece = *piece;
    if let Backing::File { bias, .. } = &mut piece.backing {
        *bias = bias.wrapping_add(from.start.0.wrapping_sub(to.start.0));
    }
    piece.placed = event.exited;
    piece
}

/// `MREMAP_DONTUNMAP`: pages go, the addresses stay mapped, unlocked. The call is why there
/// are more of them than before.
fn left_behind(piece: &Piece, call: Remap) -> Piece {
    let mut piece = *piece;
    piece.origin = call.origin;
    piece.traits.locked = false;
    if piece.is_anonymous() && !piece.content.is_barren() {
        piece.content = Content::Discarded {
            at: call.event.exited,
        };
    }
    piece
}
