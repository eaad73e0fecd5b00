//! What a child inherits.

use super::{
    Space,
    flow::Flows,
    ordering::Outstanding,
    piece::{Backing, Content, Piece},
    race::Races,
};
use crate::units::{Addr, Span};

/// The name of the page that probed instructions run in.
pub const PROBE_PAGE: &str = "[uprobes]";

impl Space {
    /// The space of a child made by `fork` now: `MADV_DONTFORK` left out, `MADV_WIPEONFORK`
    /// emptied, locks dropped.
    #[must_use]
    pub fn fork(&self) -> Self {
        let mut child = Self {
            flows: Flows::default(),
            outstanding: Outstanding::default(),
            races: Races::default(),
            locks_future: false,
            ..self.clone()
        };
        let all = Span::between(Addr(0), Addr(u64::MAX));
        child.map.take(all, |piece| self.is_left_out(piece));
        let at = self.latest;
        let _covered = child.map.update(all, |_, piece| {
            let mut piece = *piece;
            piece.traits.locked = false;
            if piece.traits.wipe_on_fork && !piece.content.is_barren() {
                piece.content = Content::Discarded { at };
            }
            Some(piece)
        });
        child
    }

    /// `VM_DONTCOPY`: on request, and the page of uprobes (`xol_add_vma`).
    fn is_left_out(&self, piece: &Piece) -> bool {
        piece.traits.dont_fork || self.is_probe_page(piece)
    }

    /// Whether the kernel has mapped the page that probed instructions run in. It does so without
    /// a call, when the first one is reached.
    #[must_use]
    pub fn has_probe_page(&self) -> bool {
        self.pieces().any(|(_, piece)| self.is_probe_page(piece))
    }

    fn is_probe_page(&self, piece: &Piece) -> bool {
        match piece.backing {
            Backing::Special(file) => self.names.file(file).name.as_deref() == Some(PROBE_PAGE),
            _ => false,
        }
    }
}
