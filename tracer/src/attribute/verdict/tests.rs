//! The thresholds, and the answers that need no cause.

use crate::{
    attribute::{
        evidence::Doubt,
        explanation::{Confidence, VerdictCode},
        testing::*,
    },
    space::piece::Provenance,
    units::{Addr, Bytes, Nanos, Span},
};

fn code(world: &World) -> VerdictCode {
    world.explain().verdict.code
}

#[test]
fn growth_below_a_mebibyte_is_none() {
    let mut world = World::dynamic(&[]);
    world.mmap(OWN, MIB - 4 * KIB, RW, PLAIN);
    assert_eq!(code(&world), VerdictCode::NoGrowth);
    let last = world.mmap(OWN, 4 * KIB, RW, PLAIN);
    assert_eq!(code(&world), VerdictCode::NotReleased, "it did not fall");
    world.munmap(last, 4 * KIB);
    assert_eq!(
        code(&world),
        VerdictCode::Shrank,
        "what is left is within the noise"
    );
}

#[test]
fn growth_below_a_hundredth_is_none() {
    let old = vma(Span::new(Addr(0x7000_0000_0000), GIB), "rw-p", "");
    let mut world = World::with(&[PROGRAM, LIBC], &[old]);
    world.mmap(OWN, 10 * MIB, RW, PLAIN);
    assert_eq!(code(&world), VerdictCode::NoGrowth);
    world.mmap(OWN, MIB, RW, PLAIN);
    assert_eq!(code(&world), VerdictCode::NotReleased);
}

#[test]
fn growth_beside_a_huge_reservation_is_growth() {
    let table = vma(Span::new(Addr(0x7000_0000_0000), 256 * GIB), "rw-p", "");
    let mut world = World::with(&[PROGRAM, LIBC], &[table]);
    world.mmap(OWN, 16 * MIB - 4 * KIB, RW, PLAIN);
    assert_eq!(code(&world), VerdictCode::NoGrowth);
    world.mmap(OWN, 4 * KIB, RW, PLAIN);
    assert_eq!(code(&world), VerdictCode::NotReleased);
}

#[test]
fn a_tenth_of_the_growth_may_stay() {
    let mut world = World::dynamic(&[]);
    world.mmap(OWN, 100 * MIB, RW, PLAIN);
    let rest = world.mmap(OWN, 900 * MIB, RW, PLAIN);
    world.munmap(rest, 900 * MIB);
    assert_eq!(code(&world), VerdictCode::Shrank);
    world.mmap(OWN, 4 * KIB, RW, PLAIN);
    assert_eq!(code(&world), VerdictCode::NotReleased);
}

#[test]
fn a_cause_needs_half_of_what_stayed() {
    let mut world = World::dynamic(&[LIBJEMALLOC]);
    let purged = world.mmap(JEMALLOC, 40 * MIB, RW, NORESERVE);
    world.madvise(purged, 40 * MIB, DONTNEED);
    let own = world.mmap(OWN, 30 * MIB, RW, PLAIN);
    world.madvise(own, 30 * MIB, DONTNEED);
    world.mmap(OWN, 30 * MIB, RW, PLAIN);
    let explanation = world.explain();
    assert_eq!(explanation.verdict.code, VerdictCode::Mixed);
    let summary = &explanation.verdict.summary;
    assert!(summary.contains("for several reasons"), "{summary}");
    assert!(
        summary.contains("jemalloc gave the pages of 40.0 MiB"),
        "{summary}"
    );
    let more = world.mmap(JEMALLOC, 20 * MIB, RW, NORESERVE);
    world.madvise(more, 20 * MIB, DONTNEED);
    assert_eq!(
        code(&world),
        VerdictCode::RetainedByAllocator,
        "60 of 120 MiB"
    );
}

#[test]
fn what_was_retained_before_the_attach_explains_no_growth() {
    let old = vma(Span::new(Addr(0x7000_0000_0000), GIB), "rw-p", "");
    let mut world = World::with(&[PROGRAM, LIBC, LIBJEMALLOC], &[old]);
    world.madvise(Addr(0x7000_0000_0000), GIB, DONTNEED);
    world.mmap(OWN, 100 * MIB, RW, PLAIN);
    let explanation = world.explain();
    assert_eq!(explanation.verdict.code, VerdictCode::NotReleased);
    let purged = finding(&explanation, "purged-not-unmapped").expect("older memory counts");
    assert_eq!(
        (purged.owner.0.as_ref(), purged.bytes),
        ("unknown", Bytes(GIB))
    );
}

#[test]
fn without_growth_what_is_retained_is_still_said() {
    let old = vma(Span::new(Addr(0x7000_0000_0000), GIB), "rw-p", "");
    let mut world = World::with(&[PROGRAM, LIBC], &[old]);
    world.madvise(Addr(0x7000_0000_0000), GIB, DONTNEED);
    let verdict = world.explain().verdict;
    assert_eq!(verdict.code, VerdictCode::NoGrowth);
    assert!(
        verdict.summary.contains("1.00 GiB of it is address space"),
        "{}",
        verdict.summary
    );
}

#[test]
fn lost_events_and_drift_forbid_an_answer() {
    let mut world = jemalloc_seed();
    let doubt = |lost, drift| Doubt {
        lost,
        mismatches: 0,
        drift: Bytes(drift),
        unread: false,
    };
    world.doubt = doubt(3, 4 * KIB);
    let verdict = world.explain().verdict;
    assert_eq!(verdict.code, VerdictCode::Inconclusive);
    assert!(
        verdict.summary.contains("3 events were lost and the"),
        "{}",
        verdict.summary
    );
    world.doubt = doubt(0, 2 * MIB);
    assert_eq!(code(&world), VerdictCode::Inconclusive);
    // Lost, but the model agrees with the kernel: less sure, not without an answer.
    world.doubt = doubt(3, 0);
    world.smaps(&[]);
    let verdict = world.explain().verdict;
    assert_eq!(verdict.code, VerdictCode::RetainedByAllocator);
    assert_eq!(verdict.confidence, Confidence::Medium);
    world.doubt = doubt(0, MIB);
    assert_eq!(code(&world), VerdictCode::RetainedByAllocator);
    world.doubt = Doubt {
        unread: true,
        ..doubt(0, 0)
    };
    assert_eq!(code(&world), VerdictCode::Inconclusive);
}

#[test]
fn memory_that_no_event_told_of_has_no_cause() {
    let mut world = World::dynamic(&[]);
    world.mmap(OWN, 40 * MIB, RW, PLAIN);
    let mut vmas = world.space.to_vmas();
    vmas.push(vma(Span::new(Addr(0x7d00_0000_0000), 60 * MIB), "rw-p", ""));
    vmas.sort_by_key(|vma| vma.span);
    world.space.adopt(&vmas, Provenance::Found, Nanos(99));
    world.peak = world.space.vm_size();
    let verdict = world.explain().verdict;
    assert_eq!(verdict.code, VerdictCode::Inconclusive);
    assert!(
        verdict.summary.contains("only 40.0 MiB"),
        "{}",
        verdict.summary
    );
}

#[test]
fn growth_is_listed_by_owner() {
    let mut world = jemalloc_seed();
    let own = world.mmap(OWN, 8 * MIB, RW, PLAIN);
    world.munmap(own, 8 * MIB);
    let growth = world.explain().growth;
    assert_eq!(growth[0].owner.0, "jemalloc");
    assert_eq!(growth[0].mapped, Bytes(1536 * MIB));
    assert_eq!(growth[0].discarded, Bytes(8 * (128 * MIB + 4 * KIB)));
    let calls: Vec<_> = growth[0]
        .calls
        .iter()
        .map(|(call, n, _)| (call.name(), *n))
        .collect();
    assert_eq!(calls, [("mmap", 6)]);
    assert_eq!(growth[1].owner.0, "application");
    assert_eq!(
        (growth[1].mapped, growth[1].unmapped),
        (Bytes(8 * MIB), Bytes(8 * MIB))
    );
}
