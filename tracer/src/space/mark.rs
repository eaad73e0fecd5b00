//! Calls that mark bytes: `prctl(PR_SET_VMA)`, `mlock` and its kin, `remap_file_pages`.

use super::{
    Space,
    apply::effect_on,
    effect::{Doubt, Effect},
    piece::{Backing, Piece},
};
use crate::{
    event::Event,
    units::{Addr, Span},
};

/// `MCL_CURRENT`: lock what is mapped now.
const CURRENT: u64 = 1;
/// `MCL_FUTURE`: lock what will be mapped.
const FUTURE: u64 = 2;

impl Space {
    pub(super) fn name(&mut self, event: &Event, span: Span, name: Option<&str>) -> Effect {
        let span = self.range(span.start, span.len().0);
        self.make_room();
        let name = name.map(|name| self.names.intern(name));
        let covered = self.update(span, event.entered, |piece| {
            if piece.is_anonymous() {
                piece.name = name;
            }
        });
        effect_on(span, covered)
    }

    /// `apply_vma_lock_flags`: unlike others, it takes ranges that do not start at a page.
    pub(super) fn lock(&mut self, event: &Event, span: Span, lock: bool) -> Effect {
        let start = self.page.down(span.start.0);
        let len = span.len().0.saturating_add(span.start.0 - start);
        let span = self.range(Addr(start), len);
        let covered = self.update(span, event.entered, |piece| set_lock(piece, lock));
        effect_on(span, covered)
    }

    /// `mlockall`, and `munlockall` as flags 0.
    pub(super) fn lock_all(&mut self, event: &Event, flags: u64) -> Effect {
        self.locks_future = flags & FUTURE != 0;
        // `MCL_FUTURE` alone leaves alone what is there.
        if flags & (CURRENT | FUTURE) == FUTURE {
            return Effect::default();
        }
        let all = Span::between(Addr(0), Addr(u64::MAX));
        self.update(all, event.entered, |piece| {
            set_lock(piece, flags & CURRENT != 0);
        });
        Effect {
            concerned: self.vm_size(),
            ..Effect::default()
        }
    }

    /// `remap_file_pages`, which has mapped the file anew in place since Linux 4.0. It
    /// rounds the length down.
    pub(super) fn remap_file(&mut self, event: &Event, span: Span, offset: u64) -> Effect {
        let span = self.range(span.start, self.page.down(span.len().0));
        let new_bias = self.page.down(offset).wrapping_sub(span.start.0);
        let covered = self.update(span, event.entered, |piece| {
            if let Backing::File { bias, .. } = &mut piece.backing
                && piece.shared
            {
                *bias = new_bias;
            }
        });
        effect_on(span, covered)
    }
}

impl Space {
    /// Mapping anew begins with unmapping, which a failure does not undo: System V segments that
    /// were removed cannot be mapped again.
    pub(super) fn remap_file_failed(&self, span: Span) -> Effect {
        let span = self.range(span.start, self.page.down(span.len().0));
        let is_shared = self.map.at(span.start).is_some_and(|(_, piece)| {
            piece.shared && matches!(piece.backing, Backing::File { .. })
        });
        Effect {
            doubt: is_shared.then_some(Doubt::PartialFailure(span)),
            ..Effect::default()
        }
    }
}

/// `mlock_fixup` passes over what the kernel maps by itself, and over huge pages.
fn set_lock(piece: &mut Piece, lock: bool) {
    if !matches!(piece.backing, Backing::Special(_)) && !piece.traits.huge_tlb {
        piece.traits.locked = lock;
    }
}
