//! Places in an address space that tell whose the memory there is, although no call was
//! seen: the program's .bss, threads' stacks, arenas of glibc, regions of Google's tcmalloc,
//! unreserved mappings, and how much lies together.

use super::{
    allocators::{Allocator, glibc, google_tcmalloc},
    caller::Caller,
    evidence::Evidence,
};
use crate::{
    space::piece::{Backing, Piece, Provenance},
    units::{Addr, Bytes, Span},
};

/// A thread's stack as glibc makes it by default, without its guard.
const DEFAULT_STACK: u64 = 8 << 20;

/// The places found.
#[derive(Default)]
pub struct Landmarks {
    bss: Vec<Span>,
    stacks: Vec<Span>,
    arenas: Vec<Span>,
    regions: Vec<Span>,
    runs: Vec<Span>,
    unreserved: Vec<Span>,
    /// Who was seen to move the heap's end.
    pub heap_callers: HeapCallers,
}

/// Who was seen to move the heap's end.
#[derive(Clone, Copy, Default)]
pub enum HeapCallers {
    /// Nobody.
    #[default]
    Unseen,
    /// One allocator.
    One(&'static Allocator),
    /// Others too, or somebody else.
    Mixed,
}

impl Landmarks {
    /// Looks for them.
    pub fn survey(evidence: &Evidence<'_>, callers: &[Caller]) -> Self {
        let pieces: Vec<(Span, &Piece)> = evidence.space.pieces().collect();
        let residency = evidence.residency.unwrap_or_default();
        let mut unreserved: Vec<Span> = residency
            .iter()
            .filter(|vma| vma.no_reserve)
            .map(|vma| vma.span)
            .collect();
        unreserved.sort();
        Self {
            bss: bss(evidence, &pieces),
            stacks: stacks(evidence, &pieces),
            arenas: arenas(&pieces),
            regions: regions(&pieces),
            runs: joined(anonymous(&pieces).map(|(span, _)| *span).collect()),
            unreserved: joined(unreserved),
            heap_callers: heap_callers(&pieces, callers),
        }
    }

    /// Whether memory is a .bss: zeroes that follow a program's or library's data.
    pub fn is_bss(&self, span: Span) -> bool {
        covers(&self.bss, span)
    }

    /// Whether it looks like a thread's stack or its guard.
    pub fn is_thread_stack(&self, span: Span) -> bool {
        covers(&self.stacks, span)
    }

    /// Whether it lies in what looks like a heap of an arena of glibc's.
    pub fn is_arena(&self, span: Span) -> bool {
        covers(&self.arenas, span)
    }

    /// Whether it lies in what looks like a region of Google's tcmalloc.
    pub fn is_region(&self, span: Span) -> bool {
        covers(&self.regions, span)
    }

    /// How much anonymous memory lies together where it lies.
    pub fn run_around(&self, span: Span) -> Bytes {
        around(&self.runs, span).map_or(Bytes(0), |run| run.len())
    }

    /// Whether `/proc/<pid>/smaps` calls it unreserved.
    pub fn is_unreserved(&self, span: Span) -> bool {
        covers(&self.unreserved, span)
    }
}

/// Sorted spans, those that touch made one: the kernel keeps apart what differs in other ways too.
fn joined(spans: Vec<Span>) -> Vec<Span> {
    let mut joined: Vec<Span> = Vec::new();
    for span in spans {
        match joined.last_mut() {
            Some(last) if last.end >= span.start => last.end = last.end.max(span.end),
            _ => joined.push(span),
        }
    }
    joined
}

/// Whether one of these sorted, disjoint spans holds all of `span`.
fn covers(spans: &[Span], span: Span) -> bool {
    around(spans, span).is_some()
}

/// The one of these sorted, disjoint spans that holds all of `span`.
fn around(spans: &[Span], span: Span) -> Option<Span> {
    let after = spans.partition_point(|candidate| candidate.start <= span.start);
    let before = spans.get(after.checked_sub(1)?)?;
    (before.end >= span.end).then_some(*before)
}

/// The pieces that are neither a file's nor the kernel's.
fn anonymous<'p>(pieces: &'p [(Span, &'p Piece)]) -> impl Iterator<Item = &'p (Span, &'p Piece)> {
    let is_anonymous = |(_, piece): &&(Span, &Piece)| piece.backing == Backing::Anonymous;
    pieces.iter().filter(is_anonymous)
}

/// Zeroes the kernel placed behind a file's data at `execve`, and those behind the data of
/// the program itself: nothing else is placed there by itself.
fn bss(evidence: &Evidence<'_>, pieces: &[(Span, &Piece)]) -> Vec<Span> {
    let names = evidence.space.names();
    let is_program = |file| {
        let name = names.file(file).name.as_deref();
        let mut programs = evidence.modules.iter().filter(|module| module.is_program);
        programs.any(|module| module.file == file || Some(module.path.as_str()) == name)
    };
    let mut found: Vec<Span> = Vec::new();
    for pair in pieces.windows(2) {
        let [(before, data), (span, piece)] = pair else {
            continue;
        };
        // The kernel shows a large one in parts where some of it has huge pages.
        if let Some(last) = found.last_mut().filter(|last| last.end == span.start)
            && is_plain_and_old(piece)
            && piece.prot == data.prot
        {
            last.end = span.end;
        }
        let Backing::File { file, .. } = data.backing else {
            continue;
        };
        let unseen = match piece.origin.how {
            Provenance::Exec => true,
            Provenance::PreExisting => is_program(file),
            _ => false,
        };
        let adjacent = before.end == span.start && piece.backing == Backing::Anonymous;
        if adjacent && unseen && !data.shared && data.prot.write {
            found.push(*span);
        }
    }
    found
}

/// Anonymous memory that no call was seen to make.
fn is_plain_and_old(piece: &Piece) -> bool {
    let old = matches!(piece.origin.how, Provenance::Exec | Provenance::PreExisting);
    old && piece.backing == Backing::Anonymous
}

/// Exactly 8 MiB behind exactly one inaccessible page, both older than the attach. Parts of it may
/// have been given back: a thread does that as it ends.
fn stacks(evidence: &Evidence<'_>, pieces: &[(Span, &Piece)]) -> Vec<Span> {
    let page = evidence.space.page().0;
    let is_old = |piece: &Piece| {
        piece.origin.how == Provenance::PreExisting && piece.backing == Backing::Anonymous
    };
    let mut found = Vec::new();
    for (index, (guard, below)) in pieces.iter().enumerate() {
        if !is_old(below) || !below.prot.is_none() || guard.len().0 != page {
            continue;
        }
        let mut end = guard.end;
        for (span, piece) in &pieces[index + 1..] {
            if span.start != end || !is_old(piece) || !piece.prot.write {
                break;
            }
            end = span.end;
        }
        let whole = Span::between(guard.start, end);
        if whole.len().0 == page + DEFAULT_STACK {
            found.push(whole);
        }
    }
    found
}

/// Windows of 64 MiB at a multiple of 64 MiB, accessible at the beginning and reserved
/// up to the end, older than the attach.
fn arenas(pieces: &[(Span, &Piece)]) -> Vec<Span> {
    let mut found = Vec::new();
    for (index, (span, _)) in pieces.iter().enumerate() {
        if !span.start.0.is_multiple_of(glibc::ARENA_HEAP) {
            continue;
        }
        let window = Span::new(span.start, glibc::ARENA_HEAP);
        if fills_as_arena(&pieces[index..], window) {
            found.push(window);
        }
    }
    found
}

fn fills_as_arena(pieces: &[(Span, &Piece)], window: Span) -> bool {
    let mut cursor: Addr = window.start;
    let mut reserved = false;
    for (span, piece) in pieces {
        let fits = span.start == cursor
            && span.end <= window.end
            && piece.backing == Backing::Anonymous
            && piece.origin.how == Provenance::PreExisting
            && (piece.prot.is_none() || piece.prot.write && !reserved);
        if !fits || cursor == window.start && piece.prot.is_none() {
            return false;
        }
        reserved |= piece.prot.is_none();
        cursor = span.end;
        if cursor == window.end {
            return reserved;
        }
    }
    false
}

/// Windows of 1 GiB at a multiple of 1 GiB, reserved at the beginning and accessible up to the end,
/// older than the attach.
fn regions(pieces: &[(Span, &Piece)]) -> Vec<Span> {
    let mut found = Vec::new();
    for (index, (span, piece)) in pieces.iter().enumerate() {
        let window = Span::new(span.start, google_tcmalloc::REGION);
        let begins = piece.prot.is_none() && span.start.0.is_multiple_of(google_tcmalloc::REGION);
        if begins && fills_as_region(&pieces[index..], window) {
            found.push(window);
        }
    }
    found
}

fn fills_as_region(pieces: &[(Span, &Piece)], window: Span) -> bool {
    let mut cursor = window.start;
    let mut accessible = false;
    for (span, piece) in pieces {
        let fits = span.start == cursor
            && piece.backing == Backing::Anonymous
            && piece.origin.how == Provenance::PreExisting
            && span.end.0.is_multiple_of(google_tcmalloc::HUGE_PAGE)
            && (piece.prot.write || piece.prot.is_none() && !accessible);
        if !fits {
            return false;
        }
        accessible |= piece.prot.write;
        cursor = span.end;
        if cursor >= window.end {
            return accessible;
        }
    }
    false
}

fn heap_callers(pieces: &[(Span, &Piece)], callers: &[Caller]) -> HeapCallers {
    let mut seen = HeapCallers::Unseen;
    for (_, piece) in pieces {
        if piece.backing != Backing::Heap {
            continue;
        }
        let caller = callers.get(piece.origin.site.0 as usize);
        seen = match (caller, seen) {
            (Some(Caller::Allocator(allocator, _)), HeapCallers::Unseen) => {
                HeapCallers::One(allocator)
            }
            (Some(Caller::Allocator(allocator, _)), HeapCallers::One(other))
                if allocator.name == other.name =>
            {
                seen
            }
            (Some(Caller::Allocator(..) | Caller::Code(_)), _) => HeapCallers::Mixed,
            _ => seen,
        };
    }
    seen
}
