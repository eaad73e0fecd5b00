//! One address space, rebuilt from events: `apply(event)` in, effects out.
//!
//! Pure: no I/O, no clock. A [`Space`] holds [`piece::Piece`]s below the kernel's VMAs.
//! It does not know processes, order of arrival beyond the rule of the private module
//! `ordering` (releases count from a call's entry, creations from its exit), or who owns
//! what.

mod adopt;
mod advise;
mod agree;
mod apply;
mod attach;
mod code;
mod edit;
pub mod effect;
pub mod flow;
mod footprint;
mod fork;
pub use fork::PROBE_PAGE;
mod heap;
mod intervals;
mod mark;
pub mod names;
mod ordering;
pub mod pace;
pub mod piece;
mod place;
mod protect;
mod race;
pub mod reading;
mod release;
mod remap;
pub mod sites;
mod stack;
pub mod vma;

#[cfg(test)]
mod tests;

use crate::units::{Addr, Bytes, Nanos, PageSize, Span};
use code::Code;
use flow::Flows;
use intervals::Intervals;
use names::Names;
use ordering::Outstanding;
use piece::{Backing, Piece, SiteId};
use race::Races;
use sites::Sites;
use vma::Vma;

/// The address space of one process (or of several that share one).
#[derive(Clone, Debug)]
pub struct Space {
    page: PageSize,
    map: Intervals,
    outstanding: Outstanding,
    races: Races,
    names: Names,
    sites: Sites,
    code: Code,
    flows: Flows,
    /// Who makes the call that is being applied, once that was asked for.
    actor: Option<SiteId>,
    /// `mm->brk`, as far as calls told.
    heap_end: Option<Addr>,
    /// `MCL_FUTURE`: what is placed from now on is locked.
    locks_future: bool,
    /// Whether there was a stack that grows besides the main one (`MAP_GROWSDOWN`), ever.
    maps_stacks: bool,
    /// The latest moment heard of.
    latest: Nanos,
}

impl Space {
    /// An empty address space.
    #[must_use]
    pub fn new(page: PageSize) -> Self {
        Self {
            page,
            map: Intervals::default(),
            outstanding: Outstanding::default(),
            races: Races::default(),
            names: Names::default(),
            sites: Sites::default(),
            code: Code::default(),
            flows: Flows::default(),
            heap_end: None,
            actor: None,
            locks_future: false,
            maps_stacks: false,
            latest: Nanos(0),
        }
    }

    /// Its size, which is VmSize (the `[vsyscall]` gate page never counts).
    #[must_use]
    pub fn vm_size(&self) -> Bytes {
        self.map.total()
    }

    /// Its pieces in order of address.
    pub fn pieces(&self) -> impl Iterator<Item = (Span, &Piece)> {
        self.map.iter()
    }

    /// The piece at an address.
    #[must_use]
    pub fn piece_at(&self, addr: Addr) -> Option<(Span, &Piece)> {
        self.map.at(addr)
    }

    /// Its pieces as lines of `/proc/<pid>/maps`: neighbours of one origin or of several
    /// are one line if nothing that is shown there differs. The kernel may split where
    /// this does not, for flags that it does not show.
    #[must_use]
    pub fn to_vmas(&self) -> Vec<Vma> {
        let mut vmas: Vec<Vma> = Vec::new();
        for (span, piece) in self.map.iter() {
            let vma = self.names.vma(span, piece);
            match vmas.last_mut() {
                Some(last) if last.is_continued_by(&vma) => last.span.end = span.end,
                _ => vmas.push(vma),
            }
        }
        vmas
    }

    /// Whether some file's name is not known yet.
    #[must_use]
    pub fn has_unnamed_files(&self) -> bool {
        self.map.iter().any(|(_, piece)| match piece.backing {
            Backing::File { file, .. } => self.names.is_unnamed(file),
            _ => false,
        })
    }

    /// The latest moment heard of.
    #[must_use]
    pub const fn latest(&self) -> Nanos {
        self.latest
    }

    /// The page size it was made with.
    #[must_use]
    pub const fn page(&self) -> PageSize {
        self.page
    }

    /// Names of files and of named memory.
    #[must_use]
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// The place in a file of an address, if it is code of one that is mapped.
    #[must_use]
    pub fn code_at(&self, addr: Addr) -> Option<sites::CodeAddress> {
        self.code.find(addr)
    }

    /// Call sites.
    #[must_use]
    pub fn sites(&self) -> &Sites {
        &self.sites
    }

    /// What came and went, by source.
    #[must_use]
    pub fn flows(&self) -> &Flows {
        &self.flows
    }
}
