//! Whose bytes: a piece of the address space in, its owner and the ground for it out.
//!
//! A call site decides wherever there is a usable one, so that what a program maps itself
//! is never charged to an allocator. Only memory without one is recognised by its looks,
//! and only if exactly one allocator in the process fits.

use super::{
    Owner,
    allocators::{self, Allocator, Roster, Shape, glibc, musl},
    caller::{self, Caller},
    evidence::Evidence,
    explanation::Confidence,
    landmarks::{HeapCallers, Landmarks},
};
use crate::{
    event::Syscall,
    space::piece::{Backing, FileId, Piece, Provenance, SiteId},
    units::Span,
};

/// The ground on which an owner is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// The kind of mapping.
    Kind,
    /// The call site.
    Site,
    /// Its `PR_SET_VMA` name.
    Name,
    /// Who gave pages of it back or protected it, where nobody saw who mapped it.
    Handled,
    /// Its looks and where it lies; how sure that is.
    Looks(Confidence),
    /// None: nobody is named.
    Nothing,
}

impl Basis {
    /// How sure an owner named on this ground is.
    pub const fn confidence(self) -> Confidence {
        match self {
            Self::Kind | Self::Site | Self::Name => Confidence::High,
            Self::Handled => Confidence::Medium,
            Self::Looks(confidence) => confidence,
            Self::Nothing => Confidence::Low,
        }
    }
}

/// What owners are named by.
pub struct Registry<'a> {
    /// What is known of the process.
    pub evidence: &'a Evidence<'a>,
    /// The allocators in it.
    pub roster: &'a Roster,
    /// Who asked, by call site.
    pub callers: &'a [Caller],
    /// Places in its address space that tell.
    pub landmarks: &'a Landmarks,
}

impl Registry<'_> {
    /// Whose piece it is, and why.
    pub fn owner(&self, span: Span, piece: &Piece) -> (Owner, Basis) {
        match piece.backing {
            Backing::Special(_) => (Owner::KERNEL, Basis::Kind),
            Backing::Stack => (Owner::STACKS, Basis::Kind),
            Backing::File { file, .. } => (self.file_owner(file, piece), Basis::Kind),
            Backing::Anonymous | Backing::Heap => self.anonymous_owner(span, piece),
        }
    }

    /// Who asked at a call site.
    pub fn caller(&self, site: SiteId) -> Caller {
        let caller = self.callers.get(site.0 as usize);
        caller.copied().unwrap_or(Caller::Unknown)
    }

    /// The allocator that handles, at this call site, memory that nobody saw mapped.
    pub fn handler(&self, site: SiteId) -> Option<&'static Allocator> {
        match self.caller(site) {
            Caller::Allocator(allocator, _) if !is_libc(allocator) || self.asks_malloc(site) => {
                Some(allocator)
            }
            _ => None,
        }
    }

    /// Whether a function of malloc's is on the stack. A C library's code takes away stacks of threads
    /// too, and what the loader had mapped.
    fn asks_malloc(&self, site: SiteId) -> bool {
        let site = self.evidence.sites.get(site.0 as usize);
        let mut frames = site.iter().flat_map(|site| site.frames.iter());
        frames.any(|frame| {
            let function = frame.function.as_deref().map(caller::plain);
            function.is_some_and(caller::is_malloc_family)
        })
    }

    fn file_owner(&self, file: FileId, piece: &Piece) -> Owner {
        let name = self.evidence.space.names().file(file).name.as_deref();
        let ring = name.is_some_and(|name| name.starts_with("/[aio]"));
        if ring || piece.origin.how == Provenance::Call(Syscall::IoSetup) {
            return Owner::KERNEL;
        }
        if !is_shared_memory(name, piece) {
            return Owner::FILES;
        }
        match self.caller(piece.origin.site) {
            Caller::Allocator(allocator, _) if !is_libc(allocator) => Owner::named(allocator.name),
            _ => Owner::APPLICATION,
        }
    }

    fn anonymous_owner(&self, span: Span, piece: &Piece) -> (Owner, Basis) {
        let shadow_stack = Provenance::Call(Syscall::MapShadowStack);
        if piece.traits.stack || piece.origin.how == shadow_stack {
            return (Owner::STACKS, Basis::Kind);
        }
        let is_older = piece.origin.how == Provenance::PreExisting;
        if is_older {
            let handler = self.handler(piece.origin.site);
            return match (handler, self.caller(piece.origin.site)) {
                (Some(allocator), _) => (Owner::named(allocator.name), Basis::Handled),
                (None, Caller::Threads(_)) => (Owner::STACKS, Basis::Handled),
                // Programs give back pages of what they have from an allocator, too.
                _ => self.owner_by_looks(span, piece),
            };
        }
        match self.caller(piece.origin.site) {
            Caller::Allocator(allocator, _) => (Owner::named(allocator.name), Basis::Site),
            Caller::Loader(_) => (Owner::LOADER, Basis::Site),
            Caller::Threads(_) => (Owner::STACKS, Basis::Site),
            Caller::Code(_) => (Owner::APPLICATION, Basis::Site),
            Caller::Undecided(_) | Caller::Unknown => self.owner_by_looks(span, piece),
        }
    }

    fn owner_by_looks(&self, span: Span, piece: &Piece) -> (Owner, Basis) {
        let name = self.name(piece);
        if let Some(allocator) = name.and_then(allocators::by_vma_name) {
            return (Owner::named(allocator.name), Basis::Name);
        }
        if name.is_some_and(|name| name.contains("pthread stack")) {
            return (Owner::STACKS, Basis::Name);
        }
        if self.landmarks.is_bss(span) {
            return (Owner::LOADER, Basis::Looks(Confidence::Medium));
        }
        if self.landmarks.is_thread_stack(span) {
            return (Owner::STACKS, Basis::Looks(Confidence::Medium));
        }
        if piece.backing == Backing::Heap
            && let Some(allocator) = self.heap_owner()
        {
            let basis = Basis::Looks(Confidence::Medium);
            return (Owner::named(allocator.name), basis);
        }
        self.only_candidate(span, piece)
            .unwrap_or((Owner::UNKNOWN, Basis::Nothing))
    }

    /// Whose a heap without a usable call site is: whoever moved its end in sight of the
    /// tracer, else the C library's malloc unless another allocator in the process uses brk.
    fn heap_owner(&self) -> Option<&'static Allocator> {
        match self.landmarks.heap_callers {
            HeapCallers::One(seen) => return Some(seen),
            HeapCallers::Mixed => return None,
            HeapCallers::Unseen => {}
        }
        let heap = Shape {
            heap: true,
            ..Shape::default()
        };
        let mut fitting = self
            .roster
            .candidates()
            .filter(|entry| (entry.allocator.fits)(&heap) && !is_libc(entry.allocator));
        if fitting.next().is_some() {
            return None;
        }
        [&glibc::GLIBC, &musl::MUSL]
            .into_iter()
            .find(|libc| self.roster.contains(libc))
    }

    fn only_candidate(&self, span: Span, piece: &Piece) -> Option<(Owner, Basis)> {
        let shape = Shape {
            span,
            mapped: matches!(piece.origin.how, Provenance::Call(_)).then_some(piece.origin.mapped),
            heap: piece.backing == Backing::Heap,
            writable: piece.prot.write,
            no_reserve: piece.traits.no_reserve || self.landmarks.is_unreserved(span),
            arena_window: self.landmarks.is_arena(span),
            region_window: self.landmarks.is_region(span),
            run: self.landmarks.run_around(span),
        };
        let mut fitting = self
            .roster
            .candidates()
            .filter(|entry| (entry.allocator.fits)(&shape));
        let only = fitting.next()?;
        if fitting.next().is_some() {
            return None;
        }
        let basis = Basis::Looks(only.confidence.min(Confidence::Medium));
        Some((Owner::named(only.allocator.name), basis))
    }

    /// The `PR_SET_VMA` name of a piece, without the kernel's decoration.
    pub fn name(&self, piece: &Piece) -> Option<&str> {
        let name = self.evidence.space.names().name(piece.name?);
        let bare = name
            .strip_prefix("[anon:")
            .and_then(|name| name.strip_suffix(']'));
        Some(bare.unwrap_or(name))
    }
}

fn is_libc(allocator: &Allocator) -> bool {
    [glibc::GLIBC.name, musl::MUSL.name].contains(&allocator.name)
}

/// Whether a file is no file but memory: `MAP_SHARED | MAP_ANONYMOUS`, System V segments,
/// `memfd_create`, `/dev/shm`, `MAP_HUGETLB`.
pub fn is_shared_memory(name: Option<&str>, piece: &Piece) -> bool {
    const PLACES: [&str; 5] = [
        "/dev/zero",
        "/SYSV",
        "/memfd:",
        "/dev/shm/",
        "/anon_hugepage",
    ];
    let named = name.is_some_and(|name| PLACES.iter().any(|place| name.starts_with(place)));
    named || piece.origin.how == Provenance::Call(Syscall::Shmat)
}
