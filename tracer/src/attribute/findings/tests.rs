//! Each detector fires on its evidence, and not without it.

mod again;
mod habits;
mod pages;

use crate::{
    attribute::{
        evidence::{HeapWalk, Pin},
        explanation::{Confidence, Explanation, State, VerdictCode},
        testing::*,
    },
    units::{Addr, Bytes, Span},
};

fn reasons(explanation: &Explanation) -> Vec<&str> {
    let findings = explanation.findings.iter();
    findings.map(|finding| finding.reason).collect()
}

#[test]
fn purged_memory_of_an_allocator_is_retained_and_memory_that_is_not_purged_is_not() {
    let mut world = World::dynamic(&[LIBJEMALLOC]);
    let addr = world.mmap(JEMALLOC, 64 * MIB, RW, NORESERVE);
    assert_eq!(reasons(&world.explain()), ["not-released"]);
    world.madvise(addr, 64 * MIB, DONTNEED);
    let explanation = world.explain();
    assert_eq!(reasons(&explanation), ["retained-after-purge"]);
    assert_eq!(explanation.findings[0].confidence, Confidence::Medium);
    world.smaps(&[]);
    assert_eq!(world.explain().findings[0].confidence, Confidence::High);
}

#[test]
fn purged_memory_that_is_in_memory_again_is_live() {
    let mut world = World::dynamic(&[LIBJEMALLOC]);
    let addr = world.mmap(JEMALLOC, 64 * MIB, RW, NORESERVE);
    world.madvise(addr, 64 * MIB, DONTNEED);
    world.smaps(&[(addr, 40 * MIB)]);
    let explanation = world.explain();
    assert_eq!(
        ledger(&explanation, "jemalloc", State::LiveOrCached),
        Bytes(40 * MIB)
    );
    assert_eq!(
        ledger(&explanation, "jemalloc", State::ReleasedButRetained),
        Bytes(24 * MIB)
    );
}

#[test]
fn over_mapping_needs_a_release_from_the_same_mapping() {
    let mut world = World::dynamic(&[LIBJEMALLOC]);
    let first = world.mmap(JEMALLOC, 64 * MIB, RW, NORESERVE);
    world.mmap(JEMALLOC, 80 * MIB, RW, NORESERVE);
    world.madvise(first, 16 * MIB, DONTNEED);
    world.smaps(&[]);
    let explanation = world.explain();
    let over = finding(&explanation, "over-mapped").expect("of the first mapping");
    assert_eq!(over.bytes, Bytes(48 * MIB));
    assert_eq!(
        ledger(&explanation, "jemalloc", State::LiveOrCached),
        Bytes(80 * MIB)
    );
}

#[test]
fn an_allocator_that_does_not_map_ahead_is_not_said_to() {
    let mut world = World::dynamic(&[]);
    let addr = world.mmap(GLIBC_MALLOC, 64 * MIB + 4 * KIB, RW, PLAIN);
    world.madvise(addr, 16 * MIB, DONTNEED);
    world.smaps(&[]);
    assert!(finding(&world.explain(), "over-mapped").is_none());
}

#[test]
fn a_program_that_purges_its_own_memory_is_named_as_such() {
    let mut world = World::dynamic(&[]);
    let addr = world.mmap(OWN, 64 * MIB, RW, PLAIN);
    assert_eq!(reasons(&world.explain()), ["grew-by-application-mmap"]);
    world.madvise(addr, 64 * MIB, DONTNEED);
    world.smaps(&[]);
    let explanation = world.explain();
    assert_eq!(reasons(&explanation), ["purged-not-unmapped"]);
    assert_eq!(explanation.verdict.code, VerdictCode::PurgedNotUnmapped);
    assert_eq!(explanation.verdict.confidence, Confidence::High);
    assert!(ledger(&explanation, "jemalloc", State::ReleasedButRetained).0 == 0);
}

#[test]
fn lazily_freed_memory_is_said_to_be_so() {
    let mut world = World::dynamic(&[]);
    let addr = world.mmap(OWN, 64 * MIB, RW, PLAIN);
    world.madvise(addr, 64 * MIB, FREE);
    world.smaps(&[(addr, 64 * MIB)]);
    for vma in world.residency() {
        vma.lazy_free = vma.rss;
    }
    let explanation = world.explain();
    assert_eq!(reasons(&explanation), ["lazily-freed"]);
    assert_eq!(
        ledger(&explanation, "application", State::LazilyFreed),
        Bytes(64 * MIB)
    );
    // Written to again: in memory and on offer no more.
    for vma in world.residency() {
        vma.lazy_free = Bytes(vma.lazy_free.0 / 4);
    }
    let explanation = world.explain();
    assert_eq!(
        ledger(&explanation, "application", State::LazilyFreed),
        Bytes(16 * MIB)
    );
    assert_eq!(
        ledger(&explanation, "application", State::LiveOrCached),
        Bytes(48 * MIB)
    );
}

/// glibc's way to an arena's heap: 128 MiB reserved, cut to 64 MiB at their alignment.
fn arena(world: &mut World) -> Addr {
    const HEAP: u64 = 64 * MIB;
    let addr = world.mmap(GLIBC_ARENA, 2 * HEAP, NONE, NORESERVE);
    let start = Addr(addr.0.next_multiple_of(HEAP));
    if start > addr {
        world.munmap(addr, start.0 - addr.0);
    }
    world.munmap(Addr(start.0 + HEAP), addr.0 + HEAP - start.0);
    world.mprotect(start, 132 * KIB, RW);
    start
}

#[test]
fn arenas_reserve_and_are_counted() {
    let mut world = World::dynamic(&[]);
    for _ in 0..4 {
        arena(&mut world);
    }
    let explanation = world.explain();
    let finding = finding(&explanation, "arena-reserve").expect("four of them");
    assert_eq!(finding.bytes, Bytes(4 * (64 * MIB - 132 * KIB)));
    assert!(
        finding.evidence[0].starts_with("4 heaps of 64 MiB"),
        "{:?}",
        finding.evidence
    );
    assert!(finding.remedy.contains("MALLOC_ARENA_MAX=1"));
    assert_eq!(explanation.verdict.code, VerdictCode::ArenaReserve);
    // Cutting them to size is not giving anything back.
    assert!(!reasons(&explanation).contains(&"large-chunks-unmapped"));
    world.set("MALLOC_ARENA_MAX", "4");
    let explanation = world.explain();
    assert!(
        explanation.findings[0]
            .remedy
            .contains("limited to 4 already")
    );
}

#[test]
fn a_reservation_of_the_program_is_no_arena() {
    let mut world = World::dynamic(&[]);
    world.mmap(OWN, GIB, NONE, NORESERVE);
    let explanation = world.explain();
    assert_eq!(reasons(&explanation), ["reserved-address-space"]);
    assert_eq!(
        ledger(&explanation, "application", State::Reserved),
        Bytes(GIB)
    );
    assert_eq!(explanation.verdict.code, VerdictCode::NotReleased);
    assert!(explanation.verdict.summary.contains("reserved 1.00 GiB"));
}

#[test]
fn only_huge_writable_mappings_are_taken_for_reservations() {
    let mut world = World::dynamic(&[]);
    world.mmap(OWN, 256 * GIB, RW, NORESERVE);
    assert!(reasons(&world.explain()).contains(&"reserved-address-space"));
    let mut world = World::dynamic(&[]);
    world.mmap(OWN, GIB, RW, NORESERVE);
    assert!(!reasons(&world.explain()).contains(&"reserved-address-space"));
}

#[test]
fn accessible_memory_mapped_over_is_decommitted_and_a_reservation_is_not() {
    let mut world = World::dynamic(&[]);
    let addr = world.mmap(OWN, 64 * MIB, RW, PLAIN);
    world.mmap_at(OWN, addr, 48 * MIB, NONE, FIXED);
    let explanation = world.explain();
    let overlaid = finding(&explanation, "decommitted-by-overlay").expect("it had pages");
    assert_eq!(overlaid.bytes, Bytes(48 * MIB));
    assert_eq!(explanation.verdict.code, VerdictCode::PurgedNotUnmapped);
    let mut world = World::dynamic(&[]);
    let addr = world.mmap(OWN, 64 * MIB, NONE, PLAIN);
    world.mmap_at(OWN, addr, 48 * MIB, NONE, FIXED);
    assert!(finding(&world.explain(), "decommitted-by-overlay").is_none());
}

/// 512 MiB of heap, and a chunk of `pin` bytes at its end.
fn pinned(pin: u64) -> World {
    let mut world = World::dynamic(&[]);
    for _ in 0..512 {
        world.brk(GLIBC_BRK, MIB as i64);
    }
    let span = Span::new(world.heap_start(), 512 * MIB);
    world.heap = Some(HeapWalk {
        span,
        in_use: Bytes(pin),
        free: Bytes(512 * MIB - 132 * KIB - pin),
        top: Bytes(132 * KIB),
        pin: Some(Pin {
            addr: Addr(span.end.0 - 132 * KIB - pin),
            size: Bytes(pin),
        }),
    });
    world
}

#[test]
fn a_pinned_heap_is_proven_by_a_walk() {
    let explanation = pinned(208).explain();
    let finding = finding(&explanation, "heap-top-pinned").expect("the walk shows it");
    assert_eq!(finding.bytes, Bytes(512 * MIB - 132 * KIB - 208));
    assert_eq!(finding.confidence, Confidence::High);
    assert!(finding.cannot_exclude.contains("thread's cache"));
    assert_eq!(explanation.verdict.code, VerdictCode::HeapTopPinned);
    assert!(
        explanation
            .verdict
            .summary
            .contains("a chunk of 208 B at 0x")
    );
    // What is proven is not also called undecided.
    assert_eq!(reasons(&explanation), ["heap-top-pinned"]);
    let explanation = pinned(2000).explain();
    assert_eq!(explanation.findings[0].cannot_exclude, "");
}

#[test]
fn without_a_walk_nothing_is_pinned() {
    let mut world = pinned(208);
    world.heap = None;
    let explanation = world.explain();
    assert_eq!(reasons(&explanation), ["not-released"]);
    assert!(
        explanation.findings[0]
            .cannot_exclude
            .contains("a walk through its chunks")
    );
    assert_eq!(explanation.verdict.code, VerdictCode::NotReleased);
}

#[test]
fn a_heap_full_of_chunks_in_use_is_not_pinned() {
    let mut world = pinned(208);
    if let Some(walk) = &mut world.heap {
        walk.in_use = walk.free;
        walk.free = Bytes(0);
    }
    let explanation = world.explain();
    assert_eq!(reasons(&explanation), ["not-released"]);
}

#[test]
fn a_walk_through_another_s_heap_proves_nothing() {
    let mut world = World::dynamic(&[LIBTCMALLOC]);
    world.brk(TCMALLOC, 512 * MIB as i64);
    world.heap = pinned(208).heap;
    assert_eq!(reasons(&world.explain()), ["not-released"]);
}

#[test]
fn malloc_trim_does_not_hide_the_pin() {
    let mut world = pinned(208);
    let start = world.heap_start();
    world.madvise(start, 500 * MIB, DONTNEED);
    world.smaps(&[]);
    let explanation = world.explain();
    assert_eq!(explanation.verdict.code, VerdictCode::HeapTopPinned);
    assert!(finding(&explanation, "not-released").is_none());
}

#[test]
fn a_large_top_is_below_the_trim_threshold() {
    let mut world = pinned(208);
    if let Some(walk) = &mut world.heap {
        (walk.in_use, walk.free, walk.top) = (Bytes(496 * MIB), Bytes(0), Bytes(16 * MIB));
    }
    let explanation = world.explain();
    let top = finding(&explanation, "heap-below-trim-threshold").expect("16 MiB at the end");
    assert_eq!(top.bytes, Bytes(16 * MIB));
    assert!(
        top.evidence[1].contains("begins at 128"),
        "{:?}",
        top.evidence
    );
    assert!(finding(&pinned(208).explain(), "heap-below-trim-threshold").is_none());
}

#[test]
fn a_heap_whose_end_moved_down_was_trimmed() {
    let mut world = World::dynamic(&[]);
    world.brk(GLIBC_BRK, 64 * MIB as i64);
    assert!(finding(&world.explain(), "heap-trimmed").is_none());
    world.brk(&[], -(60 * MIB as i64));
    let explanation = world.explain();
    let trimmed = finding(&explanation, "heap-trimmed").expect("it shrank");
    assert_eq!(
        (trimmed.owner.0.as_ref(), trimmed.bytes),
        ("glibc", Bytes(60 * MIB))
    );
    assert_eq!(explanation.verdict.code, VerdictCode::Shrank);
}

#[test]
fn stacks_of_ended_threads_are_cached_and_those_of_running_ones_are_growth() {
    const STACK_SIZE: u64 = 8 * MIB + 4 * KIB;
    let mut world = World::dynamic(&[]);
    let stacks: Vec<Addr> = (0..16)
        .map(|_| {
            let addr = world.mmap(GLIBC_THREAD, STACK_SIZE, NONE, STACK);
            world.mprotect(Addr(addr.0 + 4 * KIB), 8 * MIB, RW);
            addr
        })
        .collect();
    let explanation = world.explain();
    assert_eq!(reasons(&explanation), ["stack-growth"]);
    assert_eq!(explanation.findings[0].bytes, Bytes(16 * STACK_SIZE));
    for (index, addr) in stacks.iter().enumerate() {
        world.madvise(Addr(addr.0 + 4 * KIB), 8_368_128, DONTNEED);
        if index < 12 {
            world.munmap(*addr, STACK_SIZE);
        }
    }
    let explanation = world.explain();
    assert_eq!(reasons(&explanation), ["thread-stacks-cached"]);
    assert_eq!(explanation.findings[0].bytes, Bytes(4 * 8_368_128));
}

#[test]
fn files_and_shared_memory_are_growth_of_their_own() {
    let mut world = World::dynamic(&[]);
    world.mmap(OWN, 64 * MIB, RW, 0x21);
    let explanation = world.explain();
    let finding = finding(&explanation, "shared-or-file-growth").expect("it grew");
    assert_eq!(finding.bytes, Bytes(64 * MIB));
    assert!(finding.evidence[0].starts_with("64.0 MiB of "));
    let mut world = World::dynamic(&[]);
    world.mmap(OWN, 64 * MIB, RW, 0x22);
    assert!(!reasons(&world.explain()).contains(&"shared-or-file-growth"));
}

#[test]
fn what_is_small_is_not_worth_a_finding() {
    let mut world = World::dynamic(&[]);
    world.mmap(OWN, MIB - 4 * KIB, RW, PLAIN);
    assert!(world.explain().findings.is_empty());
}

#[test]
fn what_went_comes_after_what_stayed() {
    let mut world = World::dynamic(&[]);
    let gone = world.mmap(GLIBC_MALLOC, 128 * MIB + 4 * KIB, RW, PLAIN);
    world.munmap(gone, 128 * MIB + 4 * KIB);
    world.mmap(GLIBC_MALLOC, 2 * MIB + 4 * KIB, RW, PLAIN);
    let explanation = world.explain();
    assert_eq!(
        reasons(&explanation),
        ["not-released", "large-chunks-unmapped"]
    );
}
