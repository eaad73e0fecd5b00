//! What the program holds is told from what its allocator keeps, where its functions are probed.

use crate::{
    attribute::{
        explanation::{Confidence, State, VerdictCode},
        testing::*,
    },
    units::{Addr, Bytes, Span},
};

const BLOCK: u64 = 64 * MIB;

/// glibc maps four blocks; so many of the first are handed out.
fn four_blocks(handed_out: u64, probed: &'static str) -> World {
    let mut world = World::dynamic(&[]);
    let mapped: Vec<Addr> = (0..4)
        .map(|_| world.mmap(GLIBC_MALLOC, BLOCK, RW, PLAIN))
        .collect();
    let blocks = mapped
        .iter()
        .take(usize::try_from(handed_out).expect("few"));
    let blocks = blocks.map(|addr| Span::new(Addr(addr.0 + 16), BLOCK - 16));
    world.handed_out = Some((blocks.collect(), vec![probed]));
    world
}

#[test]
fn a_leak_and_a_cache_of_the_same_size_are_told_apart() {
    let leak = four_blocks(4, LIBC).explain();
    assert_eq!(ledger(&leak, "glibc", State::Live), Bytes(4 * (BLOCK - 16)));
    assert_eq!(ledger(&leak, "glibc", State::Cached), Bytes(4 * 16));
    assert_eq!(ledger(&leak, "glibc", State::LiveOrCached), Bytes(0));
    assert_eq!(leak.verdict.code, VerdictCode::HeldByProgram);
    assert_eq!(leak.verdict.confidence, Confidence::High);
    assert!(
        leak.verdict.summary.contains("load in server"),
        "{}",
        leak.verdict.summary
    );
    let held = finding(&leak, "held-by-program").expect("it is the reason");
    assert_eq!(held.bytes, Bytes(4 * (BLOCK - 16)));
    assert!(finding(&leak, "not-released").is_none());

    let cache = four_blocks(0, LIBC).explain();
    assert_eq!(ledger(&cache, "glibc", State::Cached), Bytes(4 * BLOCK));
    assert_eq!(cache.verdict.code, VerdictCode::CachedByAllocator);
    let cached = finding(&cache, "cached-by-allocator").expect("it is the reason");
    assert_eq!(cached.bytes, Bytes(4 * BLOCK));
    assert!(finding(&cache, "not-released").is_none());
    assert!(finding(&cache, "held-by-program").is_none());
}

#[test]
fn an_allocator_that_is_not_probed_is_not_judged() {
    let explanation = four_blocks(0, PROGRAM).explain();
    assert_eq!(
        ledger(&explanation, "glibc", State::LiveOrCached),
        Bytes(4 * BLOCK)
    );
    assert_eq!(explanation.verdict.code, VerdictCode::NotReleased);
    // What is handed out is, whoever says so.
    let explanation = four_blocks(1, PROGRAM).explain();
    assert_eq!(
        ledger(&explanation, "glibc", State::Live),
        Bytes(BLOCK - 16)
    );
    assert_eq!(ledger(&explanation, "glibc", State::Cached), Bytes(0));
}

#[test]
fn what_was_given_back_and_is_not_handed_out_is_the_allocators_for_sure() {
    let mut world = four_blocks(1, LIBC);
    let addrs: Vec<Addr> = world.space.pieces().map(|(span, _)| span.start).collect();
    let mapped: Vec<Addr> = addrs
        .into_iter()
        .filter(|addr| {
            world
                .space
                .piece_at(*addr)
                .is_some_and(|(span, _)| span.len().0 == BLOCK)
        })
        .collect();
    for addr in mapped {
        world.madvise(addr, BLOCK, DONTNEED);
    }
    world.smaps(&[]);
    let explanation = world.explain();
    // Handed out again, and not touched: no call tells of that.
    assert_eq!(
        ledger(&explanation, "glibc", State::Live),
        Bytes(BLOCK - 16)
    );
    let kept = ledger(&explanation, "glibc", State::ReleasedButRetained);
    assert_eq!(kept, Bytes(3 * BLOCK + 16));
    let retained = finding(&explanation, "retained-after-purge").expect("it is the reason");
    assert_eq!(retained.cannot_exclude, "");
    assert!(
        retained
            .evidence
            .iter()
            .any(|fact| fact.contains("the program freed these"))
    );
}
