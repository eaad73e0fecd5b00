//! The reasons that an audit gives, and a line of advice for each.
//!
//! Where a process is traced, reasons are those of `docs/reasons.md`; the ones here are what a
//! snapshot can say without having seen a call. All are described in `docs/audit.md`.

use crate::{
    attribute::{Owner, explanation::Finding},
    units::Bytes,
};

/// Most of it is in memory.
pub const IN_MEMORY: &str = "in-memory";
/// Windows of 64 MiB that glibc reserves for arenas of threads.
pub const ARENA_RESERVE: &str = "arena-reserve";
/// Address space that is not accessible.
pub const RESERVED: &str = "reserved-address-space";
/// Accessible anonymous memory without pages: never touched, or given back.
pub const WITHOUT_PAGES: &str = "without-pages";
/// Stacks of threads, of which little was ever touched.
pub const STACKS: &str = "stacks";
/// Mapped files that are not in memory.
pub const FILES: &str = "files-not-in-memory";
/// In memory, but free for the kernel to take.
pub const LAZILY_FREED: &str = "lazily-freed";
/// It was not looked at more closely.
pub const NOT_LOOKED_AT: &str = "not-looked-at";

/// Those that a snapshot can give.
pub const OF_SNAPSHOTS: [&str; 8] = [
    IN_MEMORY,
    ARENA_RESERVE,
    RESERVED,
    WITHOUT_PAGES,
    STACKS,
    FILES,
    LAZILY_FREED,
    NOT_LOOKED_AT,
];

/// What a snapshot says of some bytes, in a sentence.
pub fn sentence(reason: &str, owner: &Owner, bytes: Bytes) -> String {
    match reason {
        IN_MEMORY => format!("{bytes} is in memory"),
        ARENA_RESERVE => format!("64 MiB windows reserved by glibc arenas: {bytes}"),
        RESERVED if *owner == Owner::UNKNOWN => format!("{bytes} is not accessible (PROT_NONE)"),
        RESERVED => format!("{bytes} of {owner} is not accessible (PROT_NONE)"),
        WITHOUT_PAGES => {
            format!("at least {bytes} of {owner} memory has no pages: never touched, or given back")
        }
        STACKS => format!("at least {bytes} of stacks has no pages"),
        FILES => format!("at least {bytes} of mapped files is not in memory"),
        LAZILY_FREED => format!("{bytes} in memory is free for the kernel to take (LazyFree)"),
        _ => "it was not looked at more closely".to_owned(),
    }
}

/// What to do, in a line.
pub fn advice(reason: &str, owner: &Owner) -> &'static str {
    match (reason, &*owner.0) {
        (ARENA_RESERVE, _) => {
            "costs no memory; MALLOC_ARENA_MAX=2 bounds it (price: threads wait for one another)"
        }
        (RESERVED, "jvm") => "costs no memory; -Xmx bounds it",
        (RESERVED, _) => "costs no memory: leave it out when judging VmSize",
        (WITHOUT_PAGES | "retained-after-purge" | "over-mapped", "jemalloc") => {
            "costs no memory; MALLOC_CONF=retain:false unmaps instead (price: many calls)"
        }
        (WITHOUT_PAGES | "retained-after-purge" | "over-mapped", "mimalloc") => {
            "costs no memory; MIMALLOC_DISALLOW_ARENA_ALLOC=1 unmaps instead (price: many calls)"
        }
        (WITHOUT_PAGES | "retained-after-purge" | "over-mapped" | "purged-not-unmapped", _) => {
            "costs no memory; `tracer --pid` tells what gave it back"
        }
        (STACKS | "stack-growth" | "thread-stacks-cached", _) => {
            "costs no memory; fewer threads or smaller stacks, if VmSize is limited"
        }
        (FILES | "shared-or-file-growth", _) => "costs no memory beyond what was read",
        (LAZILY_FREED, _) => "subtract it from RSS before judging that",
        (IN_MEMORY | "not-released", "glibc") => {
            "malloc_trim(0) in the process: what RSS falls by was free"
        }
        (IN_MEMORY | "not-released", "jemalloc") => {
            "`arena.4096.purge` by mallctl: what RSS falls by was free"
        }
        (IN_MEMORY | "not-released", "mimalloc") => {
            "mi_collect(true) in the process: what RSS falls by was free"
        }
        (IN_MEMORY | "not-released", _) => "a heap profiler shows what it holds",
        ("heap-top-pinned", _) => {
            "MALLOC_MMAP_THRESHOLD_=65536 keeps large blocks out of the heap (price: two calls each)"
        }
        ("heap-below-trim-threshold", _) => "malloc_trim(0), or MALLOC_TRIM_THRESHOLD_=131072",
        ("grew-by-application-mmap", _) => "munmap what is no longer needed",
        (NOT_LOOKED_AT, _) => "`tracer audit --explain PID` looks at it",
        _ => "`tracer --pid` tells more",
    }
}

/// What to do about a finding of a traced process.
pub fn advice_of(finding: &Finding) -> &'static str {
    advice(finding.reason, &finding.owner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_described() {
        let text = include_str!("../../../docs/audit.md");
        for reason in OF_SNAPSHOTS {
            assert!(text.contains(&format!("`{reason}`")), "{reason}");
        }
    }

    #[test]
    fn a_snapshot_claims_no_more_than_it_knows() {
        let text = sentence(ARENA_RESERVE, &Owner::named("glibc"), Bytes(960 << 20));
        assert_eq!(text, "64 MiB windows reserved by glibc arenas: 960.0 MiB");
        let text = sentence(WITHOUT_PAGES, &Owner::named("jemalloc"), Bytes(1 << 30));
        assert!(text.starts_with("at least 1.00 GiB of jemalloc memory has no pages"));
        assert!(advice(WITHOUT_PAGES, &Owner::named("jemalloc")).contains("retain:false"));
    }
}
