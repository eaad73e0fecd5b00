//! What is told from how growth and release are spread over time and size.

use super::reasons;
use crate::{
    attribute::{evidence::HeapWalk, explanation::Confidence, testing::*},
    units::{Addr, Bytes, Span},
};

const SECOND: u64 = 1_000_000_000;

fn grow_steadily(world: &mut World, site: &[At], times: u64) -> Vec<Addr> {
    let grow = |_| {
        world.wait(SECOND / 4);
        world.mmap(site, MIB, RW, PLAIN)
    };
    (0..times).map(grow).collect()
}

#[test]
fn steady_growth_without_release_may_be_a_leak() {
    let mut world = World::dynamic(&[]);
    grow_steadily(&mut world, OWN, 40);
    let explanation = world.explain();
    let leak = finding(&explanation, "leak-suspected").expect("nothing was given back");
    assert_eq!(leak.bytes, Bytes(40 * MIB));
    assert_eq!(leak.confidence, Confidence::Medium);
    assert!(
        leak.evidence[0].contains("grow in program"),
        "{:?}",
        leak.evidence
    );
    assert!(!leak.verify.is_empty());
}

#[test]
fn through_an_allocator_it_is_a_hint_only() {
    let mut world = World::dynamic(&[LIBJEMALLOC]);
    grow_steadily(&mut world, JEMALLOC, 40);
    let explanation = world.explain();
    let leak = finding(&explanation, "leak-suspected").expect("nothing was given back");
    assert_eq!(leak.confidence, Confidence::Low);
}

#[test]
fn what_a_walk_finds_free_is_no_leak() {
    let mut world = World::dynamic(&[]);
    for _ in 0..40 {
        world.wait(SECOND / 4);
        world.brk(GLIBC_BRK, MIB as i64);
    }
    assert!(finding(&world.explain(), "leak-suspected").is_some());
    world.heap = Some(HeapWalk {
        span: Span::new(world.heap_start(), 40 * MIB),
        in_use: Bytes(MIB),
        free: Bytes(38 * MIB),
        top: Bytes(MIB),
        pin: None,
    });
    assert!(finding(&world.explain(), "leak-suspected").is_none());
}

#[test]
fn what_came_to_a_halt_is_no_leak() {
    let mut world = World::dynamic(&[]);
    grow_steadily(&mut world, OWN, 40);
    world.wait(10 * SECOND);
    assert!(finding(&world.explain(), "leak-suspected").is_none());
}

#[test]
fn what_came_at_once_is_no_leak() {
    let mut world = World::dynamic(&[]);
    for _ in 0..40 {
        world.mmap(OWN, MIB, RW, PLAIN);
    }
    assert!(finding(&world.explain(), "leak-suspected").is_none());
}

#[test]
fn what_is_given_back_is_retention_and_no_leak() {
    let mut world = World::dynamic(&[LIBJEMALLOC]);
    for addr in grow_steadily(&mut world, JEMALLOC, 40) {
        world.madvise(addr, MIB, DONTNEED);
    }
    assert_eq!(reasons(&world.explain()), ["retained-after-purge"]);
}

/// Maps and unmaps, `gap` nanoseconds each time.
fn turn_over(world: &mut World, times: u64, size: u64, gap: u64) {
    for _ in 0..times {
        let addr = world.mmap(GLIBC_MALLOC, size, RW, PLAIN);
        world.wait(gap);
        world.munmap(addr, size);
    }
}

#[test]
fn mappings_that_come_and_go_all_the_time_are_thrash() {
    let mut world = World::dynamic(&[]);
    turn_over(&mut world, 400, 64 * MIB, SECOND / 1000);
    let explanation = world.explain();
    let thrash = finding(&explanation, "map-unmap-thrash").expect("a thousand a second");
    assert_eq!(thrash.bytes, Bytes(400 * 64 * MIB));
    assert!(
        thrash.evidence[0].starts_with("400 mappings of up to 64.0 MiB"),
        "{:?}",
        thrash.evidence
    );
    let mut world = World::dynamic(&[]);
    turn_over(&mut world, 400, 64 * MIB, SECOND);
    assert!(
        finding(&world.explain(), "map-unmap-thrash").is_none(),
        "once a second"
    );
}

#[test]
fn a_freed_chunk_raises_the_thresholds() {
    let mut world = World::dynamic(&[]);
    turn_over(&mut world, 1, 4 * MIB, 1);
    world.brk(GLIBC_BRK, 16 * MIB as i64);
    let explanation = world.explain();
    let raised = finding(&explanation, "mmap-threshold-raised").expect("by 4 MiB");
    assert_eq!(raised.bytes, Bytes(16 * MIB));
    assert!(
        raised.evidence[0].contains("8.00 MiB"),
        "{:?}",
        raised.evidence
    );
    // A setting holds it down.
    world.set("MALLOC_TOP_PAD_", "0");
    assert!(finding(&world.explain(), "mmap-threshold-raised").is_none());
}

#[test]
fn a_chunk_beyond_the_highest_threshold_raises_nothing() {
    let mut world = World::dynamic(&[]);
    turn_over(&mut world, 1, 33 * MIB, 1);
    world.brk(GLIBC_BRK, 16 * MIB as i64);
    assert!(finding(&world.explain(), "mmap-threshold-raised").is_none());
}
