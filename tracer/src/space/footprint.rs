//! Which bytes a call is about and what it does to them, before it is applied.

use smallvec::{SmallVec, smallvec};

use super::{
    Space,
    ordering::concerns,
    place,
    race::{Act, Footprint},
    remap,
};
use crate::{
    event::{Call, Errno, Event, Request},
    units::{Addr, Bytes, Span},
};

impl Space {
    /// Whether a call raced with another so that their order cannot be told. Remembers it
    /// for those to come.
    pub(super) fn raced(&mut self, event: &Event, call: &Call) -> bool {
        let mut undecided = false;
        // Most calls are alone: then there is nothing to compare with or to remember.
        if !event.quiet || self.races.has_any() {
            for (span, act) in self.acts(call, event) {
                let footprint = Footprint {
                    span,
                    act,
                    tid: event.tid,
                    entered: event.entered,
                    exited: event.exited,
                };
                let entered = event.entered;
                undecided |= self.races.is_undecided(&footprint, |bytes| {
                    self.outstanding.covered(bytes, entered) >= bytes.len()
                });
                for span in self.remaining(&footprint) {
                    self.races.note(Footprint { span, ..footprint });
                }
            }
        }
        if event.quiet {
            self.races.settle();
        }
        undecided
    }

    /// The bytes for which a call stands from now on: not those that were given to another
    /// after it had taken them, whose record came first.
    fn remaining(&self, call: &Footprint) -> SmallVec<[Span; 2]> {
        if !matches!(call.act, Act::Take { .. }) {
            return smallvec![call.span];
        }
        let mut rest = smallvec![];
        let mut reached = call.span.start;
        let newer = self.map.overlapping(call.span);
        for (given, _) in newer.filter(|(_, piece)| !concerns(call.entered, piece)) {
            if reached < given.start {
                rest.push(Span::between(reached, given.start));
            }
            reached = given.end;
        }
        if reached < call.span.end {
            rest.push(Span::between(reached, call.span.end));
        }
        rest
    }

    fn acts(&self, call: &Call, event: &Event) -> SmallVec<[(Span, Act); 2]> {
        let Ok(result) = call.outcome else {
            // It stops at the first hole, and what it did before stays done.
            return match call.request {
                Request::Protect { span, .. } if call.outcome == Err(Errno::ENOMEM) => {
                    smallvec![self.altered(span, event)]
                }
                _ => smallvec![],
            };
        };
        match call.request {
            Request::Map { len, flags, .. } => {
                let span = self.placed(result, self.mapped_len(len, flags));
                let act = if place::replaces(flags) {
                    Act::Fix
                } else {
                    Act::Give
                };
                smallvec![(span, act)]
            }
            Request::Unmap(span) => {
                smallvec![self.taken(self.range(span.start, span.len().0), event)]
            }
            Request::Detach(addr) | Request::RingDestroy(addr) => self.detach_acts(addr, event),
            Request::Remap {
                old,
                new_len,
                flags,
            } => self.remap_acts(old, new_len, flags, result, event),
            Request::Protect { span, .. } | Request::RemapFile { span, .. } => {
                smallvec![self.altered(span, event)]
            }
            Request::Brk { wanted, before } => {
                // Nothing was asked for, or nothing was got. Where the old end has to be
                // inferred, that tells where it is. What ends where it was when it was entered
                // may have moved all the same, if another moved it meanwhile.
                if before.is_some() && wanted != Addr(result) {
                    return smallvec![];
                }
                let old = before.or(self.heap_end).unwrap_or(Addr(result));
                let (low, high) = (old.min(Addr(result)), old.max(Addr(result)));
                let span = Span::between(Addr(self.page.up(low.0)), Addr(self.page.up(high.0)));
                let heap = (span, Act::Heap);
                if old > Addr(result) {
                    smallvec![heap, self.taken(span, event)]
                } else {
                    smallvec![heap]
                }
            }
            Request::Attach { flags, grown, .. } => {
                let act = if flags & super::attach::SHM_REMAP == 0 {
                    Act::Give
                } else {
                    Act::Fix
                };
                smallvec![(self.placed(result, grown.unwrap_or(Bytes(1)).0), act)]
            }
            Request::RingSetup { ring, grown } => {
                smallvec![(self.placed(ring.0, grown.unwrap_or(Bytes(1)).0), Act::Give)]
            }
            Request::ShadowStack { len } => smallvec![(self.placed(result, len), Act::Give)],
            Request::Advise { .. }
            | Request::Lock { .. }
            | Request::LockAll { .. }
            | Request::Name { .. }
            | Request::Task => smallvec![],
        }
    }

    fn remap_acts(
        &self,
        old: Span,
        new_len: u64,
        flags: u64,
        result: u64,
        event: &Event,
    ) -> SmallVec<[(Span, Act); 2]> {
        let old = self.range(old.start, old.len().0);
        let new = self.placed(result, new_len);
        let placing = if flags & remap::FIXED == 0 {
            Act::Give
        } else {
            Act::Fix
        };
        if old.is_empty() {
            return smallvec![(new, placing)];
        }
        if old.start == new.start {
            let cut = Span::between(new.end, old.end);
            let added = Span::between(old.end, new.end);
            return if cut.is_empty() {
                smallvec![(added, Act::Give)]
            } else {
                smallvec![self.taken(cut, event)]
            };
        }
        let left = if flags & remap::DONTUNMAP == 0 {
            self.taken(old, event)
        } else {
            self.altered(old, event)
        };
        smallvec![left, (new, placing)]
    }

    /// A segment's own bytes: what was mapped into its holes stays.
    fn detach_acts(&self, addr: Addr, event: &Event) -> SmallVec<[(Span, Act); 2]> {
        let Some((start, first)) = self.segment(addr, event.entered) else {
            return smallvec![(self.range(addr, 1), Act::Take { whole: false })];
        };
        let (segment, _) = self.extent(start, &first);
        let pieces = self.map.overlapping(segment);
        let pieces = pieces.filter(|(_, piece)| piece.backing == first.backing);
        pieces
            .map(|(span, _)| (span, Act::Take { whole: true }))
            .collect()
    }

    fn altered(&self, span: Span, event: &Event) -> (Span, Act) {
        let span = self.range(span.start, span.len().0);
        let whole = self.was_whole(span, event);
        (span, Act::Alter { whole })
    }

    fn taken(&self, span: Span, event: &Event) -> (Span, Act) {
        let whole = self.was_whole(span, event);
        (span, Act::Take { whole })
    }

    /// Whether all bytes of a span were mapped that a call can be about.
    fn was_whole(&self, span: Span, event: &Event) -> bool {
        let there = self.map.overlapping(span);
        let there = there.filter(|(_, piece)| concerns(event.entered, piece));
        let there: u64 = there
            .filter_map(|(bytes, _)| bytes.intersect(span))
            .map(|bytes| bytes.len().0)
            .sum();
        let overlaid = self.outstanding.covered(span, event.entered);
        Bytes(there) + overlaid >= span.len()
    }
}
