//! Calls that raced for the same bytes so that no rule tells which the kernel did first.
//!
//! # When order is known
//! The kernel changes an address space under one lock, so two calls have an order. From
//! outside it is known
//!
//! * if one was left before the other was entered;
//! * if a quiet record lies between them: no other call was under way then;
//! * if they are of one thread;
//! * if they are about different bytes, or take the same bytes away;
//! * if one took bytes that were all there, and the other was *given* the addresses by the
//!   kernel, which gives free ones only: then the taking came first (see `ordering`).
//!
//! What is left are calls of a program that races with itself: a fixed mapping against
//! anything, a change of protection against a release, a release of addresses that nobody
//! was told of yet. Such a call is applied as its record comes, and doubted: the map is
//! read anew. Locking, naming and advice are left out, as they neither move bytes nor
//! change how they are mapped.

use std::collections::VecDeque;

use crate::units::{Nanos, Span, Tid};

/// What a call does to bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Takes them away. `whole`: all of them were mapped, as far as known.
    Take { whole: bool },
    /// Places bytes where the kernel found room.
    Give,
    /// Places bytes where the caller said, over what is there.
    Fix,
    /// Changes how they are mapped. `whole`: as above.
    Alter { whole: bool },
    /// Moves the end of the heap, which all threads share.
    Heap,
}

/// What a call did, to which bytes, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Footprint {
    pub span: Span,
    pub act: Act,
    pub tid: Tid,
    pub entered: Nanos,
    pub exited: Nanos,
}

/// The calls that one still to come may have raced with.
#[derive(Clone, Debug, Default)]
pub(super) struct Races {
    /// In order of their end.
    recent: VecDeque<Footprint>,
    /// Calls that ended up to here were forgotten for want of room.
    forgotten: Nanos,
}

impl Races {
    /// Calls between two quiet moments that are kept.
    const LIMIT: usize = 4096;

    /// Whether the order of a call and of one before it in the ring cannot be told.
    /// `is_handed_over`: whether some bytes, taken by this call, are known to have been
    /// there before they were given to another.
    pub(super) fn is_undecided(
        &self,
        call: &Footprint,
        is_handed_over: impl Fn(Span) -> bool,
    ) -> bool {
        call.entered < self.forgotten
            || self
                .recent
                .iter()
                .rev()
                .take_while(|before| before.exited > call.entered)
                .filter(|before| before.tid != call.tid)
                .any(|before| {
                    if (before.act, call.act) == (Act::Heap, Act::Heap) {
                        return true;
                    }
                    before.span.intersect(call.span).is_some_and(|both| {
                        is_conflict(before.act, call.act, || is_handed_over(both))
                    })
                })
    }

    /// Whether there is anything to race with.
    pub(super) fn has_any(&self) -> bool {
        !self.recent.is_empty() || self.forgotten > Nanos(0)
    }

    /// Remembers a call.
    pub(super) fn note(&mut self, call: Footprint) {
        if matches!(call.act, Act::Give | Act::Fix | Act::Take { whole: true }) {
            self.shadow(call.span);
        }
        if self.recent.len() == Self::LIMIT
            && let Some(oldest) = self.recent.pop_front()
        {
            self.forgotten = self.forgotten.max(oldest.exited);
        }
        let later = self.recent.iter().rev();
        let later = later.take_while(|other| other.exited > call.exited).count();
        self.recent.insert(self.recent.len() - later, call);
    }

    /// What placed or took bytes stands for all that befell them before: a call comes after
    /// it and so after that too, or it races with it and is noticed by that.
    fn shadow(&mut self, new: Span) {
        let mut rest = VecDeque::with_capacity(self.recent.len());
        for call in self.recent.drain(..) {
            if call.act == Act::Heap || call.span.intersect(new).is_none() {
                rest.push_back(call);
                continue;
            }
            let before = Span::between(call.span.start, new.start.min(call.span.end));
            let behind = Span::between(new.end.max(call.span.start), call.span.end);
            let left = [before, behind].into_iter().filter(|span| !span.is_empty());
            rest.extend(left.map(|span| Footprint { span, ..call }));
        }
        self.recent = rest;
    }

    /// No call was under way: what is still to come begins after all that was.
    pub(super) fn settle(&mut self) {
        self.recent.clear();
        self.forgotten = Nanos(0);
    }
}

/// Whether two calls under way at the same time, about the same bytes, leave them otherwise
/// in one order than in the other. The record of the first came first.
fn is_conflict(first: Act, second: Act, is_handed_over: impl Fn() -> bool) -> bool {
    match (first, second) {
        (Act::Fix, _) | (_, Act::Fix) => true,
        // Given once more after a release that is known by itself.
        (Act::Give | Act::Heap, Act::Give | Act::Heap) => false,
        (Act::Take { .. }, Act::Take { .. }) => false,
        // What was given afterwards is as new, if it can be told from what was there before.
        (Act::Take { whole } | Act::Alter { whole }, Act::Give | Act::Heap) => !whole,
        (Act::Give | Act::Heap, Act::Take { .. }) => !is_handed_over(),
        (Act::Give | Act::Heap, Act::Alter { .. }) => true,
        (Act::Alter { .. }, Act::Alter { .. } | Act::Take { .. })
        | (Act::Take { .. }, Act::Alter { .. }) => true,
    }
}
