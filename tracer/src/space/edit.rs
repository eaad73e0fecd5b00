//! The steps that calls are made of: what comes and goes is counted here and nowhere else.

use super::{
    Space,
    intervals::Pieces,
    names::InUse,
    ordering::concerns,
    piece::{Backing, Content, FileId, Origin, Piece, Prot, Provenance, SiteId, Traits},
};
use crate::{
    event::{Call, Event, FileSeen},
    units::{Addr, Bytes, Nanos, Span},
};

/// User addresses have no more bits; above them arm64 and x86 may carry tags, which the
/// kernel strips from the ranges it is given (`untagged_addr`).
const ADDRESS: u64 = (1 << 56) - 1;

/// What the bytes are worth that a creation takes the place of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// It may be given occupied addresses (`MAP_FIXED`): they are unmapped by it.
    Occupied,
    /// It is given free addresses: another call released them.
    Free,
}

impl Space {
    /// A range that a call was given: start rounded down, length up, as the kernel does. One
    /// that would go beyond the highest address is empty: the kernel refuses it, or its sums
    /// overflow and it finds nothing to do.
    pub(super) fn range(&self, start: Addr, len: u64) -> Span {
        let end = start.0.checked_add(len);
        let fits = end.is_some_and(|end| end.checked_add(self.page.0 - 1).is_some());
        self.placed(start.0 & ADDRESS, if fits { len } else { 0 })
    }

    /// A range that the kernel gave.
    pub(super) fn placed(&self, start: u64, len: u64) -> Span {
        let start = self.page.down(start);
        let end = self.page.down(start.saturating_add(self.page.up(len)));
        Span::between(Addr(start), Addr(end))
    }

    /// Who made the call that is being applied.
    pub(super) fn actor(&mut self, call: &Call) -> SiteId {
        if let Some(known) = self.actor {
            return known;
        }
        if call.callers.is_some() {
            self.code.refresh(&self.map);
        }
        let actor = self.sites.of(call, &self.code);
        self.actor = Some(actor);
        actor
    }

    /// The origin of what a call maps: `mapped` bytes in all.
    pub(super) fn origin(&mut self, event: &Event, call: &Call, mapped: Bytes) -> Origin {
        Origin {
            how: Provenance::Call(call.syscall),
            site: self.actor(call),
            tid: event.tid,
            at: event.exited,
            mapped,
        }
    }

    /// Anonymous private bytes that may be read and written: the plainest piece.
    pub(super) fn plain(&self, origin: Origin) -> Piece {
        Piece {
            prot: Prot::from_bits(3),
            shared: false,
            backing: Backing::Anonymous,
            traits: Traits {
                locked: self.locks_future,
                ..Traits::default()
            },
            origin,
            placed: origin.at,
            content: Content::Unknown,
            name: None,
        }
    }

    /// A file that the kernel side saw, or else one that only a reading of the kernel's map
    /// can tell.
    pub(super) fn seen_file(&mut self, seen: Option<&FileSeen>) -> FileId {
        self.make_room();
        match seen.filter(|seen| seen.inode != 0) {
            Some(seen) => self.names.seen_file(seen),
            None => self.names.unnamed_file(),
        }
    }

    /// Frees the ids of names that are in use no more, now and then.
    pub(super) fn make_room(&mut self) {
        if !self.names.is_crowded() {
            return;
        }
        let mut used = InUse::default();
        let mapped = self.map.iter().map(|(_, piece)| piece);
        for piece in mapped.chain(self.outstanding.pieces()) {
            if let Backing::File { file, .. } | Backing::Special(file) = piece.backing {
                used.files.insert(file);
            }
            used.names.extend(piece.name);
        }
        let sites = self.sites.iter().flat_map(|(_, addresses)| addresses);
        used.files.extend(sites.map(|address| address.file));
        self.names.sweep(&used);
    }

    /// Makes room for what a call left at `exited` placed. Gives what was there.
    pub(super) fn clear(&mut self, span: Span, over: Over, exited: Nanos) -> Pieces {
        let mut old = self.map.take(span, |_| true);
        for (span, piece) in &mut old {
            if over == Over::Free {
                self.flows.unmapped(piece, *span, exited);
                self.outstanding.note(*span, *piece, exited);
            } else {
                *piece = piece.handled_by(self.actor.unwrap_or_default());
                self.flows.of(piece).unmapped += span.len();
            }
        }
        old
    }

    /// Puts new bytes where nothing is.
    pub(super) fn put(&mut self, span: Span, piece: Piece) {
        // Flows count since the attach: what was there before it did not come.
        if !matches!(piece.origin.how, Provenance::PreExisting | Provenance::Exec) {
            self.flows.mapped(&piece, span.len());
        }
        self.map.put(span, piece);
    }

    /// Places the one new mapping of a call.
    pub(super) fn place(&mut self, span: Span, over: Over, piece: Piece) {
        let old = self.clear(span, over, piece.origin.at);
        if over == Over::Occupied {
            self.note_replaced(&old, &piece);
        }
        self.flows.of(&piece).calls += 1;
        self.flows.mapped(&piece, span.len());
        self.map.put(span, piece);
    }

    /// Counts what a new mapping took the place of.
    pub(super) fn note_replaced(&mut self, old: &Pieces, new: &Piece) {
        for (span, old) in old {
            self.flows.replaced(old, new, span.len());
        }
    }

    /// Takes away the bytes in a span that a call entered at `entered` can be about.
    pub(super) fn release(&mut self, span: Span, entered: Nanos) {
        self.release_where(span, entered, |_| true);
    }

    /// The same for those of them that `wanted` picks.
    pub(super) fn release_where(
        &mut self,
        span: Span,
        entered: Nanos,
        wanted: impl Fn(&Piece) -> bool,
    ) {
        self.outstanding.settle(span, entered, &wanted);
        let gone = self
            .map
            .take(span, |piece| concerns(entered, piece) && wanted(piece));
        for (span, piece) in gone {
            let piece = piece.handled_by(self.actor.unwrap_or_default());
            self.flows.unmapped(&piece, span, entered);
        }
    }

    /// Changes the bytes in a span that a call entered at `entered` can be about. Gives how
    /// much of the span is mapped.
    pub(super) fn update(
        &mut self,
        span: Span,
        entered: Nanos,
        change: impl Fn(&mut Piece),
    ) -> Bytes {
        self.map.update(span, |_, piece| {
            concerns(entered, piece).then(|| {
                let mut piece = *piece;
                change(&mut piece);
                piece
            })
        })
    }

    /// The parts of a span where nothing is, in order of address.
    pub(super) fn holes(&self, span: Span) -> Vec<Span> {
        let mut holes = Vec::new();
        let mut reached = span.start;
        for (run, _) in self.map.overlapping(span) {
            if reached < run.start {
                holes.push(Span::between(reached, run.start));
            }
            reached = run.end;
        }
        if reached < span.end {
            holes.push(Span::between(reached, span.end));
        }
        holes
    }
}
