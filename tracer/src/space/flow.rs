//! What came and went, summed by source: who mapped how much by which call, and how much
//! of that was unmapped or given back. Bounded by the number of call sites.

use rustc_hash::FxHashMap;

use super::piece::{Backing, Piece, Provenance, SiteId};
use crate::units::Bytes;

/// What bytes have in common that are summed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source {
    /// By what they came.
    pub how: Provenance,
    /// Who asked.
    pub site: SiteId,
    /// What lies behind them.
    pub kind: SourceKind,
}

/// What lies behind bytes, as far as summing keeps it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SourceKind {
    /// Anonymous memory.
    Anonymous,
    /// Anonymous memory placed with `MAP_STACK`.
    ThreadStack,
    /// The brk heap.
    Heap,
    /// The main stack.
    Stack,
    /// Files and what the kernel maps.
    File,
}

/// Sums of one source since the attach. Bytes that were moved keep their source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Calls that mapped.
    pub calls: u64,
    /// Bytes they mapped.
    pub mapped: Bytes,
    /// Bytes of this source unmapped again, by whatever call.
    pub unmapped: Bytes,
    /// Bytes of this source given back by advice (each time counted).
    pub discarded: Bytes,
    /// Calls that gave back.
    pub discards: u64,
}

/// All flows of one address space.
#[derive(Clone, Debug, Default)]
pub struct Flows {
    by_source: FxHashMap<Source, Flow>,
}

impl Flows {
    /// Every source and its sums, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&Source, &Flow)> {
        self.by_source.iter()
    }

    /// The sums of one source.
    #[must_use]
    pub fn get(&self, source: &Source) -> Flow {
        self.by_source.get(source).copied().unwrap_or_default()
    }

    /// The sums a piece's bytes count into, to be added to.
    pub(super) fn of(&mut self, piece: &Piece) -> &mut Flow {
        self.by_source.entry(Source::of(piece)).or_default()
    }
}

impl Source {
    /// Where the bytes of a piece came from.
    #[must_use]
    pub const fn of(piece: &Piece) -> Self {
        Self {
            how: piece.origin.how,
            site: piece.origin.site,
            kind: match piece.backing {
                Backing::Anonymous if piece.traits.stack => SourceKind::ThreadStack,
                Backing::Anonymous => SourceKind::Anonymous,
                Backing::Heap => SourceKind::Heap,
                Backing::Stack => SourceKind::Stack,
                Backing::File { .. } | Backing::Special(_) => SourceKind::File,
            },
        }
    }
}
