//! The GNU C library's malloc: brk heap, one mapping for each large chunk, arenas of
//! 64 MiB for threads.

use super::{Allocator, PLAIN, Shape, Topic, settings};
use crate::{
    attribute::{
        Owner,
        case::Case,
        evidence::{Evidence, Settings},
        explanation::InForce,
        text,
    },
    units::{Bytes, Nanos},
};

/// Size and alignment of a heap of a thread's arena (`HEAP_MAX_SIZE`, 64-bit).
pub const ARENA_HEAP: u64 = 64 << 20;
/// The mmap threshold before it moves (`DEFAULT_MMAP_THRESHOLD`).
pub const MMAP_THRESHOLD: Bytes = Bytes(128 << 10);
/// The highest value that the threshold moves to by itself (`DEFAULT_MMAP_THRESHOLD_MAX`).
pub const MMAP_THRESHOLD_MAX: Bytes = Bytes(32 << 20);
/// The trim threshold before it moves (`DEFAULT_TRIM_THRESHOLD`).
pub const TRIM_THRESHOLD: Bytes = Bytes(128 << 10);
/// What is kept of stacks of ended threads (`stack_cache_maxsize` in `nptl/nptl-stack.c`).
pub const STACK_CACHE: Bytes = Bytes(40 << 20);
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
    grows: "it moves the end of the heap up by 132 KiB or more, gives large chunks mappings of \
            their own, and reserves 64 MiB at a time for arenas of threads",
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
    options,
    ..PLAIN
};

fn fits(shape: &Shape) -> bool {
    shape.heap || shape.arena_window && !shape.is_hinted()
}

fn advice(evidence: &Evidence<'_>, topic: Topic) -> String {
    match topic {
        Topic::Reserved => {
            arena_advice(evidence.settings) + &settings::limit_remark(evidence.settings)
        }
        Topic::Retained => {
            "Usually nothing: pages that were given back cost no memory. If VmSize itself is \
             limited: MALLOC_ARENA_MAX=1 or 2 bounds the arenas (price: threads wait for one \
             another), MALLOC_MMAP_THRESHOLD_=65536 gives blocks above it mappings of their \
             own (price: two system calls for each)."
                .to_owned()
                + &settings::limit_remark(evidence.settings)
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

/// How much of stacks of ended threads is kept.
pub fn stack_cache(settings: &Settings) -> Bytes {
    settings::tunable(settings, "glibc.pthread.stack_cache_size")
        .and_then(settings::size)
        .unwrap_or(STACK_CACHE)
}

/// The thresholds in force.
///
/// They rise by themselves unless one of four settings is made (`__libc_free` and `do_set_*` in
/// glibc's `malloc/malloc.c`): a mapping of its own that is freed, larger than the mmap threshold
/// and of at most 32 MiB, becomes the mmap threshold, and twice that the trim threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::attribute) struct Thresholds {
    /// Chunks from this size on get mappings of their own.
    pub mmap: Bytes,
    /// More than this at the heap's end is given back.
    pub trim: Bytes,
    /// Whether settings hold them where they are.
    pub is_set: bool,
    /// The chunk that raised them last, and when it was unmapped.
    pub raised: Option<(Bytes, Nanos)>,
}

impl Thresholds {
    /// Those of a process, by its settings and by what it was seen to unmap.
    pub fn of(case: &Case<'_>) -> Self {
        let owner = Owner::named(GLIBC.name);
        let unmapped = case.largest_unmapped(&owner, MMAP_THRESHOLD_MAX);
        Self::by_rule(case.evidence.settings, unmapped)
    }

    fn by_rule(settings: &Settings, unmapped: Option<(Bytes, Nanos)>) -> Self {
        let (mmap, trim) = (mmap_threshold(settings), trim_threshold(settings));
        let top_pad = set(settings, "MALLOC_TOP_PAD_", "glibc.malloc.top_pad");
        let is_set =
            mmap.is_some() || trim.is_some() || top_pad.is_some() || mmap_max(settings).is_some();
        let raised = unmapped.filter(|(chunk, _)| !is_set && *chunk > MMAP_THRESHOLD);
        let dynamic = raised.map(|(chunk, _)| chunk);
        Self {
            mmap: mmap.or(dynamic).unwrap_or(MMAP_THRESHOLD),
            trim: trim
                .or(dynamic.map(|chunk| Bytes(2 * chunk.0)))
                .unwrap_or(TRIM_THRESHOLD),
            is_set,
            raised,
        }
    }

    /// The trim threshold and what made it so.
    pub fn in_words(&self, case: &Case<'_>) -> String {
        let since = |at: Nanos| text::seconds(at.since(case.evidence.observed.0));
        match (self.is_set, self.raised) {
            (true, _) if trim_threshold(case.evidence.settings).is_some() => {
                format!("the trim threshold is set to {}", self.trim)
            }
            (true, _) => format!("a setting keeps the trim threshold at {}", self.trim),
            (false, Some((chunk, at))) => format!(
                "the trim threshold is at least {}: twice the largest chunk of its own that was \
                 unmapped, {chunk} ({} after the beginning)",
                self.trim,
                since(at)
            ),
            (false, None) => format!(
                "the trim threshold begins at {TRIM_THRESHOLD} and rises to twice the largest \
                 unmapped chunk, at most twice {MMAP_THRESHOLD_MAX}; none was seen unmapped"
            ),
        }
    }

    /// The mmap threshold and what made it so.
    pub fn mmap_in_words(&self) -> String {
        match (self.is_set, self.raised) {
            (true, _) => format!("settings keep the mmap threshold at {}", self.mmap),
            (false, Some((chunk, _))) => format!(
                "the mmap threshold began at {MMAP_THRESHOLD} and rose to {chunk}, the largest \
                 such chunk that was unmapped"
            ),
            (false, None) => format!("the mmap threshold begins at {MMAP_THRESHOLD}"),
        }
    }
}

fn set<'s>(settings: &'s Settings, variable: &str, tunable: &str) -> Option<&'s str> {
    settings::variable(settings, variable).or_else(|| settings::tunable(settings, tunable))
}

/// The trim threshold, if set.
fn trim_threshold(settings: &Settings) -> Option<Bytes> {
    let value = set(
        settings,
        "MALLOC_TRIM_THRESHOLD_",
        "glibc.malloc.trim_threshold",
    );
    value.and_then(settings::size)
}

/// The mmap threshold, if set: then it does not move.
fn mmap_threshold(settings: &Settings) -> Option<Bytes> {
    let value = set(
        settings,
        "MALLOC_MMAP_THRESHOLD_",
        "glibc.malloc.mmap_threshold",
    );
    value.and_then(settings::size)
}

fn mmap_max(settings: &Settings) -> Option<Bytes> {
    set(settings, "MALLOC_MMAP_MAX_", "glibc.malloc.mmap_max").and_then(settings::size)
}

/// The settings that matter, set or by default.
fn options(evidence: &Evidence<'_>) -> Vec<InForce> {
    const ROWS: [(&str, &str, &str, &str); 11] = [
        (
            "glibc.malloc.mmap_threshold",
            "MALLOC_MMAP_THRESHOLD_",
            "131072, rising by itself to at most 33554432",
            "blocks from this size on get mappings of their own, which free() unmaps",
        ),
        (
            "glibc.malloc.trim_threshold",
            "MALLOC_TRIM_THRESHOLD_",
            "131072, rising to twice the mmap threshold",
            "more than this, free at the heap's end, is given back",
        ),
        (
            "glibc.malloc.top_pad",
            "MALLOC_TOP_PAD_",
            "131072",
            "the heap grows by this more than needed, and keeps it when it shrinks",
        ),
        (
            "glibc.malloc.mmap_max",
            "MALLOC_MMAP_MAX_",
            "65536",
            "so many blocks may have mappings of their own",
        ),
        (
            "glibc.malloc.arena_max",
            "MALLOC_ARENA_MAX",
            "8 for each processor",
            "bounds the arenas of threads, each of which reserves 64 MiB at a time",
        ),
        (
            "glibc.malloc.arena_test",
            "MALLOC_ARENA_TEST",
            "8",
            "arenas made before their number is bounded",
        ),
        (
            "glibc.malloc.tcache_count",
            "",
            "7 (16 in the newest versions)",
            "freed chunks of a size that each thread keeps, marked as in use",
        ),
        (
            "glibc.malloc.tcache_max",
            "",
            "1032",
            "the largest chunk that a thread keeps so",
        ),
        (
            "glibc.malloc.hugetlb",
            "",
            "0",
            "1: asks for transparent huge pages; 2: maps huge pages",
        ),
        (
            "glibc.pthread.stack_cache_size",
            "",
            "41943040",
            "stacks of ended threads that are kept",
        ),
        (
            "glibc.mem.decorate_maps",
            "",
            "0",
            "1: its mappings are named",
        ),
    ];
    let row = |(tunable, variable, default, effect): (&str, &str, &str, &str)| {
        let by_variable = Some(variable).filter(|variable| !variable.is_empty());
        let by_variable = by_variable.and_then(|name| {
            let value = settings::variable(evidence.settings, name)?;
            Some((value, format!("environment: {name}")))
        });
        let by_tunable = settings::tunable(evidence.settings, tunable)
            .map(|value| (value, "environment: GLIBC_TUNABLES".to_owned()));
        let (value, source) = by_tunable
            .or(by_variable)
            .unwrap_or((default, settings::by_default("glibc")));
        InForce {
            name: tunable.to_owned(),
            value: value.to_owned(),
            source,
            effect: effect.to_owned(),
        }
    };
    ROWS.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn settings(name: &str, value: &str) -> Settings {
        Settings {
            environment: vec![(name.into(), value.into())],
            ..Settings::default()
        }
    }

    #[test]
    fn a_freed_chunk_raises_both_thresholds() {
        let plain = Settings::default();
        let thresholds = Thresholds::by_rule(&plain, Some((Bytes(4 * MIB), Nanos(1))));
        assert_eq!(thresholds.mmap, Bytes(4 * MIB));
        assert_eq!(thresholds.trim, Bytes(8 * MIB));
        let thresholds = Thresholds::by_rule(&plain, Some((Bytes(4096), Nanos(1))));
        assert_eq!(
            (thresholds.mmap, thresholds.trim),
            (MMAP_THRESHOLD, TRIM_THRESHOLD)
        );
        assert_eq!(Thresholds::by_rule(&plain, None).raised, None);
    }

    #[test]
    fn any_of_four_settings_holds_them() {
        let freed = Some((Bytes(4 * MIB), Nanos(1)));
        for name in [
            "MALLOC_MMAP_THRESHOLD_",
            "MALLOC_TRIM_THRESHOLD_",
            "MALLOC_TOP_PAD_",
            "MALLOC_MMAP_MAX_",
        ] {
            let thresholds = Thresholds::by_rule(&settings(name, "65536"), freed);
            assert!(thresholds.is_set, "{name}");
            assert!(thresholds.trim <= TRIM_THRESHOLD, "{name}");
        }
        let tunable = settings("GLIBC_TUNABLES", "glibc.malloc.trim_threshold=1048576");
        assert_eq!(Thresholds::by_rule(&tunable, freed).trim, Bytes(MIB));
        assert_eq!(stack_cache(&tunable), STACK_CACHE);
    }
}
