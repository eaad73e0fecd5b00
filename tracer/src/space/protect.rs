//! `mprotect` and `pkey_mprotect`, which stop at the first range they cannot change and
//! keep what they changed before.

use super::{
    Space,
    apply::effect_on,
    effect::{Doubt, Effect},
    piece::{Backing, Content, Piece, Prot},
};
use crate::{
    event::{Errno, Event},
    units::{Addr, Bytes, Span},
};

/// Extends the range down to the start of the stack mapping it begins in.
/// (`PROT_GROWSUP` only works where stacks grow upwards: not on the machines we run on.)
const GROWSDOWN: u64 = 0x0100_0000;

impl Space {
    pub(super) fn protect(&mut self, event: &Event, span: Span, prot: u64) -> Effect {
        let span = self.protected(span, prot);
        effect_on(span, self.set_prot(event, span, prot))
    }

    /// `do_mprotect_pkey` changes mapping after mapping. ENOMEM is what it says at a hole;
    /// any other error may come from any mapping of the range.
    pub(super) fn protect_failed(
        &mut self,
        event: &Event,
        span: Span,
        prot: u64,
        errno: Errno,
    ) -> Effect {
        if errno == Errno::EINVAL {
            return Effect::default();
        }
        let span = self.protected(span, prot);
        if errno == Errno::ENOMEM
            && let Some(hole) = self.holes(span).first()
        {
            let reached = Span::between(span.start, hole.start);
            self.set_prot(event, reached, prot);
            return Effect {
                concerned: reached.len(),
                ..Effect::default()
            };
        }
        let several = self.map.overlapping(span).nth(1).is_some();
        Effect {
            doubt: several.then_some(Doubt::PartialFailure(span)),
            ..Effect::default()
        }
    }

    fn set_prot(&mut self, event: &Event, span: Span, prot: u64) -> Bytes {
        let (prot, actor) = (Prot::from_bits(prot), self.actor.unwrap_or_default());
        self.update(span, event.entered, |piece| {
            *piece = piece.handled_by(actor);
            piece.prot = prot;
            // From here on the bytes may be touched, or touched again.
            if !prot.is_none() && piece.content.is_barren() {
                piece.content = Content::Unknown;
            }
        })
    }

    fn protected(&self, span: Span, prot: u64) -> Span {
        let mut span = self.range(span.start, span.len().0);
        if prot & GROWSDOWN != 0 && !span.is_empty() {
            span.start = self.start_of_stack(span.start);
        }
        span
    }

    /// Where the kernel's stack mapping starts that holds an address: stack pieces of the
    /// same protection, without a gap.
    fn start_of_stack(&self, addr: Addr) -> Addr {
        let Some((run, first)) = self.map.at(addr) else {
            return addr;
        };
        if !is_stack(first) {
            return addr;
        }
        let mut start = run.start;
        while let Some(below) = start.0.checked_sub(1)
            && let Some((run, piece)) = self.map.at(Addr(below))
            && is_stack(piece)
            && piece.prot == first.prot
        {
            start = run.start;
        }
        start
    }
}

fn is_stack(piece: &Piece) -> bool {
    piece.backing == Backing::Stack || piece.traits.grows_down
}
