//! `heap-top-pinned`: free memory in glibc's heap that cannot go back, because something
//! lies above it. Fires only on a walk through the heap; calls cannot show this.

use super::Draft;
use crate::{
    attribute::{
        Owner,
        allocators::glibc::{GLIBC, LARGEST_CACHED_CHUNK},
        case::Case,
        evidence::{HeapWalk, Pin},
        explanation::{Confidence, Finding},
        tally::Kind,
    },
    space::piece::Backing,
    units::{Addr, Bytes, Span},
};

pub const REASON: &str = "heap-top-pinned";

pub fn find(case: &Case<'_>) -> Vec<Finding> {
    let Some((walk, pin)) = walk(case).and_then(|walk| Some((walk, walk.pin?))) else {
        return Vec::new();
    };
    let free = proven_free(case);
    let page = Addr(case.evidence.space.page().down(pin.addr.0));
    let below = Span::between(walk.span.start, page).len();
    let draft = Draft::new(case, REASON, &Owner::named(GLIBC.name), free)
        .summary(&format!(
            "{free} of the heap is free but cannot be returned: the heap shrinks only from its \
             end, and a chunk of {} at {} lies above the free memory.",
            pin.size, pin.addr
        ))
        .fact(format!(
            "walk through the heap {}-{} ({}): {} in use, {} free below the top, top {}",
            walk.span.start,
            walk.span.end,
            walk.span.len(),
            walk.in_use,
            walk.free,
            walk.top
        ))
        .fact(format!(
            "the last chunk in use lies at {}, {}: its page {page} must stay, and with it the \
             {below} of heap below",
            pin.addr, pin.size
        ))
        .settings_of(&GLIBC)
        .sure(Confidence::High)
        .cannot_exclude(cannot_exclude(pin))
        .remedy(
            "MALLOC_MMAP_THRESHOLD_=65536 gives blocks above 64 KiB mappings of their own, which \
             free() unmaps (price: two system calls for each block). malloc_trim(0) lowers RSS, \
             not VmSize. Or allocate what lives long before what lives short.",
        )
        .verify_by_figure("VmSize");
    vec![draft.done()]
}

fn cannot_exclude(pin: Pin) -> String {
    if pin.size <= LARGEST_CACHED_CHUNK {
        format!(
            "that the chunk at the end has been freed too and lies in a thread's cache, where it \
             counts as in use (chunks of up to {LARGEST_CACHED_CHUNK}): \
             GLIBC_TUNABLES=glibc.malloc.tcache_count=0 would show it."
        )
    } else {
        String::new()
    }
}

/// The walk, if the heap it went through can be glibc's.
pub fn walk<'c>(case: &'c Case<'_>) -> Option<&'c HeapWalk> {
    let foreign = case.parts.iter().any(|part| {
        let ours = [Owner::named(GLIBC.name), Owner::UNKNOWN, Owner::LOADER];
        part.piece.backing == Backing::Heap && !ours.contains(&part.owner)
    });
    case.evidence.heap.filter(|_| !foreign)
}

/// What of the heap is proven to be free below a chunk in use.
pub fn proven_free(case: &Case<'_>) -> Bytes {
    let pinned = walk(case).filter(|walk| walk.pin.is_some());
    pinned.map_or(Bytes(0), |walk| walk.free.min(heap(case, |_| true)))
}

/// The bytes of the heap of some kind.
pub fn heap(case: &Case<'_>, sort: impl Fn(Kind) -> bool) -> Bytes {
    let parts = case.parts.iter();
    parts
        .filter(|part| part.piece.backing == Backing::Heap && sort(part.kind))
        .map(|part| part.span.len())
        .sum()
}
