//! The GNU C library's malloc: brk heap, one mapping for each large chunk, arenas of
//! 64 MiB for threads.

use super::{Allocator, PLAIN, Shape, Topic, settings};
use crate::{
    attribute::evidence::{Evidence, Settings},
    units::Bytes,
};

/// Size and alignment of a heap of a thread's arena (`HEAP_MAX_SIZE`, 64-bit).
pub const ARENA_HEAP: u64 = 64 << 20;
/// The mmap threshold before it moves (`DEFAULT_MMAP_THRESHOLD`).
pub const MMAP_THRESHOLD: Bytes = Bytes(128 << 10);
/// The highest value that the threshold moves to by itself (`DEFAULT_MMAP_THRESHOLD_MAX`).
pub const MMAP_THRESHOLD_MAX: Bytes = Bytes(32 << 20);
/// The largest chunk, header included, that a thread's cache keeps by default.
pub const LARGEST_CACHED_CHUNK: Bytes = Bytes(1040);

pub(in crate::attribute) static GLIBC: Allocator = Allocator {
    name: "glibc",
    title: "glibc's malloc",
    libraries: &["libc.so.6", "libc-2.*", "libc_malloc_debug*"],
    functions: &[
        "sysmalloc*",
        "_int_malloc",
        "_int_realloc",
        "_int_memalign",
        "_int_free*",
        "_int_new_arena",
        "alloc_new_heap",
        "arena_get2",
        "grow_heap",
        "shrink_heap",
        "heap_trim",
        "systrim",
        "mremap_chunk",
        "munmap_chunk",
        "__glibc_morecore",
        "__default_morecore",
        "ptmalloc_init",
    ],
    common_functions: &["new_heap", "__libc_malloc", "tcache_init"],
    symbols: &["_int_malloc", "__libc_memalign", "__malloc_hugepage_config"],
    strings: &["malloc(): corrupted top size"],
    vma_names: &[" glibc: malloc*"],
    fits,
    keeps: "the heap can shrink only from its end, and an arena only by whole heaps of 64 MiB",
    unmaps: "a chunk of at least the mmap threshold (128 KiB, rising to at most 32 MiB as \
             such chunks are freed) has a mapping of its own, which free() unmaps at once",
    variables: &[
        "MALLOC_MMAP_THRESHOLD_",
        "MALLOC_MMAP_MAX_",
        "MALLOC_TRIM_THRESHOLD_",
        "MALLOC_TOP_PAD_",
        "MALLOC_ARENA_*",
        "GLIBC_TUNABLES",
    ],
    experiment: "calling malloc_trim(0) in the process: what RSS falls by was free",
    advice,
    ..PLAIN
};

fn fits(shape: &Shape) -> bool {
    shape.heap || shape.arena_window && !shape.is_hinted()
}

fn advice(evidence: &Evidence<'_>, topic: Topic) -> String {
    match topic {
        Topic::Reserved => arena_advice(evidence.settings),
        Topic::Retained => {
            "Usually nothing: pages that were given back cost no memory. If VmSize itself is \
             limited: MALLOC_ARENA_MAX=1 or 2 bounds the arenas (price: threads wait for one \
             another), MALLOC_MMAP_THRESHOLD_=65536 gives blocks above it mappings of their \
             own (price: two system calls for each)."
                .to_owned()
        }
        _ => release_advice(evidence.settings),
    }
}

fn arena_advice(settings: &Settings) -> String {
    let set = settings::variable(settings, "MALLOC_ARENA_MAX")
        .or_else(|| settings::tunable(settings, "glibc.malloc.arena_max"));
    match set {
        Some(value) => format!(
            "The number of arenas is limited to {value} already; a lower limit reserves less \
             (price: threads wait for one another)."
        ),
        None => "MALLOC_ARENA_MAX=1 or 2 (or GLIBC_TUNABLES=glibc.malloc.arena_max=2) bounds \
                 the number of arenas; the default is 8 for each processor. Price: threads \
                 wait for one another, and RSS may rise. Reserved address space by itself \
                 costs no memory."
            .to_owned(),
    }
}

fn release_advice(settings: &Settings) -> String {
    let mut advice = String::from(
        "Let the process call malloc_trim(0): what RSS falls by was free, the rest is in use \
         or cached by threads. If it is free: MALLOC_MMAP_THRESHOLD_=65536 gives blocks above \
         64 KiB mappings of their own, which free() unmaps (price: two system calls for each, \
         and the threshold no longer adapts).",
    );
    if let Some(threshold) = trim_threshold(settings) {
        advice.push_str(&format!(
            " The trim threshold is set to {threshold}: less than that at the heap's end is \
             never given back."
        ));
    }
    if mmap_max(settings) == Some(Bytes(0)) {
        advice.push_str(
            " MALLOC_MMAP_MAX_=0 forbids mappings for large chunks: they lie in the heap, \
             which shrinks only from its end. Remove that setting.",
        );
    }
    advice
}

/// The trim threshold, if set.
pub fn trim_threshold(settings: &Settings) -> Option<Bytes> {
    settings::variable(settings, "MALLOC_TRIM_THRESHOLD_")
        .or_else(|| settings::tunable(settings, "glibc.malloc.trim_threshold"))
        .and_then(settings::size)
}

/// The mmap threshold, if set: then it does not move.
pub fn mmap_threshold(settings: &Settings) -> Option<Bytes> {
    settings::variable(settings, "MALLOC_MMAP_THRESHOLD_")
        .or_else(|| settings::tunable(settings, "glibc.malloc.mmap_threshold"))
        .and_then(settings::size)
}

fn mmap_max(settings: &Settings) -> Option<Bytes> {
    settings::variable(settings, "MALLOC_MMAP_MAX_")
        .or_else(|| settings::tunable(settings, "glibc.malloc.mmap_max"))
        .and_then(settings::size)
}
