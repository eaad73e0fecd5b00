//! `madvise` and `process_madvise`: pages go or come, the addresses stay.

use smallvec::SmallVec;

use super::{
    Space,
    apply::effect_on,
    effect::Effect,
    flow::Source,
    ordering::concerns,
    piece::{Content, Piece},
};
use crate::{
    event::{Call, Event, Syscall},
    units::{Bytes, Nanos, Span},
};

// include/uapi/asm-generic/mman-common.h
const DONTNEED: u64 = 4;
const FREE: u64 = 8;
const REMOVE: u64 = 9;
const DONTFORK: u64 = 10;
const DOFORK: u64 = 11;
const HUGEPAGE: u64 = 14;
const NOHUGEPAGE: u64 = 15;
const DONTDUMP: u64 = 16;
const DODUMP: u64 = 17;
const WIPEONFORK: u64 = 18;
const KEEPONFORK: u64 = 19;
const POPULATE_READ: u64 = 22;
const POPULATE_WRITE: u64 = 23;
const DONTNEED_LOCKED: u64 = 24;
const COLLAPSE: u64 = 25;
const GUARD_INSTALL: u64 = 102;

impl Space {
    pub(super) fn advise(
        &mut self,
        event: &Event,
        call: &Call,
        spans: &[Span],
        advice: u64,
    ) -> Effect {
        // `process_madvise` returns how many bytes it came to, `madvise` 0.
        let mut left = match (call.syscall, call.outcome) {
            (Syscall::ProcessMadvise, Ok(bytes)) => bytes,
            _ => u64::MAX,
        };
        let mut effect = Effect::default();
        let mut sources = SmallVec::<[Source; 4]>::new();
        for span in spans {
            let len = span.len().0.min(left);
            left -= len;
            let span = self.range(span.start, len);
            let (covered, discarded) = self.advise_span(event, span, advice, &mut sources);
            let part = effect_on(span, covered);
            effect.concerned += part.concerned;
            effect.doubt = effect.doubt.or(part.doubt);
            effect.discarded += discarded;
        }
        effect
    }

    /// Gives how much of the span is mapped and how much of that was given back; counts one
    /// call for each source of the latter.
    fn advise_span(
        &mut self,
        event: &Event,
        span: Span,
        advice: u64,
        sources: &mut SmallVec<[Source; 4]>,
    ) -> (Bytes, Bytes) {
        let mut discarded = Bytes(0);
        let (flows, actor) = (&mut self.flows, self.actor.unwrap_or_default());
        let covered = self.map.update(span, |span, old| {
            if !concerns(event.entered, old) {
                return None;
            }
            let mut new = *old;
            set_traits(&mut new, advice);
            let content = content_after(old, advice, event.exited);
            if let Some(content) = content.filter(|_| !old.content.is_barren()) {
                new.content = content;
                if content == Content::Unknown {
                    return Some(new);
                }
                discarded += span.len();
                new = new.handled_by(actor);
                let flow = flows.of(&new);
                flow.discarded += span.len();
                let source = Source::of(&new);
                if !sources.contains(&source) {
                    sources.push(source);
                    flow.discards += 1;
                }
            }
            Some(new)
        });
        (covered, discarded)
    }
}

/// What the bytes hold after the advice, if it touches or takes their pages.
fn content_after(piece: &Piece, advice: u64, at: Nanos) -> Option<Content> {
    match advice {
        // Pages of files are the file's: they stay in the page cache.
        DONTNEED | DONTNEED_LOCKED | GUARD_INSTALL if piece.is_anonymous() => {
            Some(Content::Discarded { at })
        }
        FREE if piece.is_anonymous() => Some(Content::LazilyFreed { at }),
        REMOVE => Some(Content::Discarded { at }),
        POPULATE_READ | POPULATE_WRITE | COLLAPSE => Some(Content::Unknown),
        // The rest moves pages about or marks them: nothing that calls could tell.
        _ => None,
    }
}

fn set_traits(piece: &mut Piece, advice: u64) {
    let traits = &mut piece.traits;
    match advice {
        DONTFORK => traits.dont_fork = true,
        DOFORK => traits.dont_fork = false,
        HUGEPAGE => (traits.huge, traits.no_huge) = (true, false),
        NOHUGEPAGE => (traits.huge, traits.no_huge) = (false, true),
        DONTDUMP => traits.dont_dump = true,
        DODUMP => traits.dont_dump = false,
        WIPEONFORK => traits.wipe_on_fork = true,
        KEEPONFORK => traits.wipe_on_fork = false,
        _ => {}
    }
}
