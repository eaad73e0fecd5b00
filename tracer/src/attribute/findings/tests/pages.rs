//! What a look at the pages tells, and settings and limits.

use super::reasons;
use crate::{
    attribute::{
        evidence::{MemoryGroup, PageSum},
        explanation::{Confidence, State},
        testing::*,
    },
    units::{Addr, Bytes},
};

fn there(resident: u64, huge: u64, runs: u64) -> PageSum {
    PageSum {
        resident: Bytes(resident),
        huge: Bytes(huge),
        runs,
        ..PageSum::default()
    }
}

#[test]
fn what_is_kept_and_what_was_returned_are_two_figures() {
    let mut world = World::dynamic(&[LIBJEMALLOC]);
    let purged = world.mmap(JEMALLOC, 64 * MIB, RW, NORESERVE);
    let held = world.mmap(JEMALLOC, 16 * MIB, RW, NORESERVE);
    world.madvise(purged, 64 * MIB, DONTNEED);
    world.census(&[(purged, there(MIB, 0, 1)), (held, there(4 * MIB, 0, 1))]);
    let explanation = world.explain();
    let residency = &explanation.residency;
    assert_eq!(residency.address_space_kept, Bytes(64 * MIB));
    assert_eq!(residency.physical_returned, Some(Bytes(63 * MIB)));
    assert_eq!(residency.in_memory_again, Some(Bytes(MIB)));
    let row = residency
        .pages
        .iter()
        .find(|row| row.bytes == Bytes(16 * MIB));
    assert_eq!(
        row.expect("what was not given back").absent,
        Bytes(12 * MIB)
    );
    // Touched again: in use or cached, to the byte.
    let released = ledger(&explanation, "jemalloc", State::ReleasedButRetained);
    assert_eq!(released, Bytes(63 * MIB));
    let rows = explanation.ledger.iter();
    let live = rows.filter(|row| row.owner.0 == "jemalloc" && row.state == State::LiveOrCached);
    assert_eq!(
        live.map(|row| row.resident).next(),
        Some(Some(Bytes(5 * MIB)))
    );
}

#[test]
fn without_a_look_nothing_is_said_to_be_returned() {
    let world = jemalloc_seed();
    let residency = world.explain().residency;
    assert_eq!(residency.method, None);
    assert_eq!(residency.physical_returned, None);
    assert!(residency.address_space_kept.0 > 0);
}

#[test]
fn a_look_bounds_what_was_mapped_ahead() {
    let mut world = World::dynamic(&[LIBJEMALLOC]);
    let addr = world.mmap(JEMALLOC, 64 * MIB, RW, NORESERVE);
    world.madvise(addr, 16 * MIB, DONTNEED);
    let rest = Addr(addr.0 + 16 * MIB);
    world.census(&[(rest, there(8 * MIB, 0, 1))]);
    let over = ledger(&world.explain(), "jemalloc", State::OverMapped);
    assert_eq!(over, Bytes(40 * MIB));
}

#[test]
fn huge_pages_that_grew_again_are_told_from_others() {
    let mut world = World::dynamic(&[]);
    let purged = world.mmap(OWN, 64 * MIB, RW, PLAIN);
    let held = world.mmap(OWN, 64 * MIB, RW, PLAIN);
    world.madvise(purged, 64 * MIB, DONTNEED);
    let huge = there(32 * MIB, 32 * MIB, 1);
    world.census(&[(purged, huge), (held, huge)]);
    let explanation = world.explain();
    let regrown = finding(&explanation, "huge-pages-regrown").expect("in what was given back");
    assert_eq!(regrown.bytes, Bytes(32 * MIB));
    assert_eq!(regrown.confidence, Confidence::Medium);
    let plain = finding(&explanation, "huge-pages").expect("in what was not");
    assert_eq!(plain.bytes, Bytes(32 * MIB));
    world.census(&[(purged, there(32 * MIB, 0, 1)), (held, there(0, 0, 0))]);
    let found = world.explain();
    assert!(
        !reasons(&found)
            .iter()
            .any(|reason| reason.starts_with("huge-pages"))
    );
}

/// A heap of which every other stretch of 64 KiB was given back.
fn scattered() -> World {
    let mut world = World::dynamic(&[LIBJEMALLOC]);
    let addr = world.mmap(JEMALLOC, 16 * MIB, RW, NORESERVE);
    let mut held = Vec::new();
    for stretch in 0..128 {
        let at = Addr(addr.0 + stretch * 128 * KIB);
        world.madvise(Addr(at.0 + 64 * KIB), 64 * KIB, DONTNEED);
        held.push((at, there(4 * KIB, 0, 1)));
    }
    world.census(&held);
    world
}

#[test]
fn pages_in_small_runs_between_holes_are_scattered() {
    let explanation = scattered().explain();
    let found = finding(&explanation, "scattered-pages").expect("128 runs");
    assert_eq!(found.bytes, Bytes(8 * MIB));
    assert!(found.summary.contains("128 runs"), "{}", found.summary);
    let mut world = scattered();
    world.pages = None;
    assert!(finding(&world.explain(), "scattered-pages").is_none());
}

#[test]
fn what_waits_to_be_given_back_is_a_hint_and_needs_an_earlier_release() {
    let mut world = World::dynamic(&[LIBJEMALLOC]);
    let purged = world.mmap(JEMALLOC, 8 * MIB, RW, NORESERVE);
    let held = world.mmap(JEMALLOC, 32 * MIB, RW, NORESERVE);
    world.census(&[(held, there(20 * MIB, 0, 1))]);
    assert!(finding(&world.explain(), "not-yet-decayed").is_none());
    world.madvise(purged, 8 * MIB, DONTNEED);
    world.wait(20_000_000_000);
    let explanation = world.explain();
    let waiting = finding(&explanation, "not-yet-decayed").expect("it was seen to give back");
    assert_eq!(waiting.bytes, Bytes(20 * MIB));
    assert_eq!(waiting.confidence, Confidence::Low);
    assert!(
        waiting.evidence.iter().any(|fact| fact.contains("idles")),
        "{:?}",
        waiting.evidence
    );
    world.set("MALLOC_CONF", "background_thread:true");
    let explanation = world.explain();
    let waiting = finding(&explanation, "not-yet-decayed").expect("still");
    assert!(!waiting.evidence.iter().any(|fact| fact.contains("idles")));
}

#[test]
fn a_setting_that_forbids_release_is_pointed_out() {
    let mut world = World::dynamic(&[LIBJEMALLOC]);
    let held = world.mmap(JEMALLOC, 32 * MIB, RW, NORESERVE);
    world.census(&[(held, there(20 * MIB, 0, 1))]);
    assert!(finding(&world.explain(), "purge-disabled").is_none());
    world.set("MALLOC_CONF", "dirty_decay_ms:-1");
    let explanation = world.explain();
    let disabled = finding(&explanation, "purge-disabled").expect("it is set");
    assert_eq!(disabled.bytes, Bytes(20 * MIB));
}

#[test]
fn limits_are_at_risk_from_four_fifths_on() {
    let mut world = World::dynamic(&[LIBJEMALLOC]);
    let purged = world.mmap(JEMALLOC, 64 * MIB, RW, NORESERVE);
    world.madvise(purged, 64 * MIB, DONTNEED);
    world.settings.address_space_limit = Some(Bytes(200 * MIB));
    assert!(finding(&world.explain(), "limit-at-risk").is_none());
    world.settings.address_space_limit = Some(Bytes(80 * MIB));
    let explanation = world.explain();
    let risk = finding(&explanation, "limit-at-risk").expect("RLIMIT_AS");
    assert!(risk.summary.starts_with("RLIMIT_AS"), "{}", risk.summary);
    assert!(
        risk.evidence[0].contains("64.0 MiB given back and kept"),
        "{:?}",
        risk.evidence
    );
    // What has no pages does not count for a control group.
    world.settings.address_space_limit = None;
    world.settings.memory_group = Some(MemoryGroup {
        max: Some(Bytes(80 * MIB)),
        ..MemoryGroup::default()
    });
    world.rss.peak = Some(Bytes(8 * MIB));
    assert!(finding(&world.explain(), "limit-at-risk").is_none());
    world.rss.peak = Some(Bytes(78 * MIB));
    assert!(finding(&world.explain(), "limit-at-risk").is_some());
}

#[test]
fn many_mappings_are_told_with_who_splits_them() {
    let mut world = World::dynamic(&[]);
    let addr = world.mmap(OWN, 64 * MIB, RW, PLAIN);
    for stretch in 0..256 {
        world.mprotect(Addr(addr.0 + stretch * 128 * KIB), 64 * KIB, NONE);
    }
    world.settings.kernel.max_map_count = Some(65_530);
    assert!(finding(&world.explain(), "many-mappings").is_none());
    world.settings.kernel.max_map_count = Some(800);
    let explanation = world.explain();
    let many = finding(&explanation, "many-mappings").expect("more than half");
    assert!(
        many.evidence[0].contains("512 of the program"),
        "{:?}",
        many.evidence
    );
    assert!(
        many.evidence[1].contains("511 times by protection"),
        "{:?}",
        many.evidence
    );
    let split = "split since the beginning: 511 times by mprotect";
    assert_eq!(many.evidence[2], split);
}

#[test]
fn slabs_between_guards_are_told_as_what_splits() {
    const SLAB: &[At] = &[(LIBC, "mprotect"), (PROGRAM, "memory_map_fixed")];
    let mut world = World::dynamic(&[]);
    world.tells(PROGRAM, &["malloc_object_size_fast"], &[]);
    let slabs = world.mmap(SLAB, 64 * MIB, NONE, PLAIN);
    for slab in 0..256 {
        world.mprotect(Addr(slabs.0 + slab * 128 * KIB), 64 * KIB, RW);
    }
    world.settings.kernel.max_map_count = Some(800);
    let explanation = world.explain();
    let many = finding(&explanation, "many-mappings").expect("more than half");
    assert_eq!(many.owner.0, "hardened_malloc");
    assert!(
        many.remedy.contains("light configuration"),
        "{}",
        many.remedy
    );
    assert!(many.remedy.contains("vm.max_map_count"), "{}", many.remedy);
}

#[test]
fn settings_have_a_source() {
    let mut world = jemalloc_seed();
    world.set("MALLOC_CONF", "retain:true,dirty_decay_ms:500");
    world.settings.kernel.overcommit_memory = Some(0);
    let settings = world.explain().settings;
    let of = |name: &str| settings.iter().find(|setting| setting.name == name);
    let decay = of("opt.dirty_decay_ms").expect("jemalloc is in use");
    assert_eq!(
        (decay.value.as_str(), decay.source.as_str()),
        ("500", "environment: MALLOC_CONF")
    );
    let threads = of("opt.background_thread").expect("by default");
    assert_eq!(threads.source, "default of jemalloc 5");
    assert!(of("vm.overcommit_memory").is_some());
    assert!(of("RLIMIT_AS").is_none());
}
