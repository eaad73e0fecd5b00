//! Eight blocks of 128 MiB, allocated, never touched, freed: under each allocator.

use crate::{
    attribute::{
        explanation::{Confidence, State, VerdictCode},
        testing::*,
    },
    units::{Addr, Bytes},
};

const BLOCK: u64 = 128 * MIB;

#[test]
fn glibc_unmaps_and_vm_size_falls() {
    let mut world = World::dynamic(&[]);
    world.brk(GLIBC_BRK, 132 * KIB as i64);
    let blocks: Vec<Addr> = (0..8)
        .map(|_| world.mmap(GLIBC_MALLOC, BLOCK + 4 * KIB, RW, PLAIN))
        .collect();
    for block in blocks {
        world.munmap(block, BLOCK + 4 * KIB);
    }
    let explanation = world.explain();
    assert_eq!(explanation.verdict.code, VerdictCode::Shrank);
    assert_eq!(explanation.verdict.confidence, Confidence::High);
    let returned = finding(&explanation, "large-chunks-unmapped").expect("they went");
    assert_eq!(returned.bytes, Bytes(8 * (BLOCK + 4 * KIB)));
    assert_eq!(returned.owner.0, "glibc");
    assert!(finding(&explanation, "retained-after-purge").is_none());
    let found = &explanation.allocators[0];
    assert_eq!(
        (found.name.as_str(), found.confidence),
        ("glibc", Confidence::High)
    );
    assert_eq!(explanation.allocators.len(), 1);
}

#[test]
fn jemalloc_gives_pages_back_and_keeps_addresses() {
    let mut world = jemalloc_seed();
    let end = world.space.vm_size();
    world.smaps(&[]);
    world.rss.at_end = Some(Bytes(3_900 * KIB));
    let explanation = world.explain();
    let retained = ledger(&explanation, "jemalloc", State::ReleasedButRetained);
    assert_eq!(retained, Bytes(8 * (BLOCK + 4 * KIB)));
    let over = ledger(&explanation, "jemalloc", State::OverMapped);
    assert_eq!(over, Bytes(1536 * MIB - 8 * (BLOCK + 4 * KIB)));
    let verdict = &explanation.verdict;
    assert_eq!(verdict.code, VerdictCode::RetainedByAllocator);
    assert_eq!(verdict.confidence, Confidence::High);
    assert_eq!(
        verdict.summary,
        format!(
            "VmSize stayed at its peak of {end} because jemalloc gave the pages of 1.00 GiB back \
             to the kernel with madvise(MADV_DONTNEED) but kept their address space (opt.retain) \
             and had mapped 512.0 MiB beyond that; only 3.81 MiB is in memory."
        )
    );
    let finding = finding(&explanation, "retained-after-purge").expect("it is the reason");
    assert!(finding.evidence[0].starts_with("8 releases by madvise gave back 1.00 GiB"));
    assert!(
        finding.evidence[1].contains("6 mmap calls of 160, 192, 224, 256, 320 and 384 MiB"),
        "{:?}",
        finding.evidence
    );
    assert!(finding.remedy.contains("MALLOC_CONF=retain:false"));
    assert!(!finding.remedy.contains("_RJEM"));
}

#[test]
fn what_can_be_in_memory_is_not_called_over_mapped() {
    let mut world = World::dynamic(&[LIBJEMALLOC]);
    let addr = world.mmap(JEMALLOC, 160 * MIB, RW, NORESERVE);
    world.madvise(addr, 128 * MIB, DONTNEED);
    world.smaps(&[(addr, 5 * MIB)]);
    let explanation = world.explain();
    assert_eq!(
        ledger(&explanation, "jemalloc", State::OverMapped),
        Bytes(27 * MIB)
    );
    assert_eq!(
        ledger(&explanation, "jemalloc", State::LiveOrCached),
        Bytes(5 * MIB)
    );
}

#[test]
fn without_any_figure_of_memory_nothing_is_over_mapped() {
    let explanation = jemalloc_seed().explain();
    assert_eq!(
        ledger(&explanation, "jemalloc", State::OverMapped),
        Bytes(0)
    );
    assert!(finding(&explanation, "over-mapped").is_none());
    assert_eq!(explanation.verdict.code, VerdictCode::RetainedByAllocator);
}

#[test]
fn a_process_that_is_gone_is_bounded_by_its_last_rss() {
    let mut world = jemalloc_seed();
    world.rss_anon_at_end = Some(Bytes(2 * MIB));
    let explanation = world.explain();
    let over = ledger(&explanation, "jemalloc", State::OverMapped);
    assert_eq!(over, Bytes(510 * MIB - 32 * KIB));
}

#[test]
fn jemalloc_without_retain_unmaps() {
    let mut world = World::dynamic(&[LIBJEMALLOC]);
    world.tells(LIBJEMALLOC, &["malloc", "mallctl"], &[]);
    world.set("MALLOC_CONF", "retain:false");
    world.mmap(JEMALLOC, 8 * MIB, RW, NORESERVE);
    let blocks: Vec<Addr> = (0..8)
        .map(|_| world.mmap(JEMALLOC, BLOCK + 4 * KIB, RW, NORESERVE))
        .collect();
    for block in blocks {
        world.munmap(block, BLOCK + 4 * KIB);
    }
    let explanation = world.explain();
    assert_eq!(explanation.verdict.code, VerdictCode::Shrank);
    assert!(finding(&explanation, "retained-after-purge").is_none());
    let returned = finding(&explanation, "large-chunks-unmapped").expect("they went");
    assert!(
        returned
            .evidence
            .iter()
            .any(|line| line == "MALLOC_CONF=retain:false is set (environment)")
    );
}

#[test]
fn rust_s_jemalloc_is_advised_by_its_own_variable() {
    const SITE: &[At] = &[(LIBC, "mmap64"), (PROGRAM, "_rjem_je_pages_map")];
    let mut world = World::dynamic(&[]);
    world.tells(PROGRAM, &["_rjem_malloc"], &[]);
    world.set("MALLOC_CONF", "retain:false");
    seed_by_jemalloc(&mut world, SITE);
    let explanation = world.explain();
    assert_eq!(explanation.verdict.code, VerdictCode::RetainedByAllocator);
    let finding = finding(&explanation, "retained-after-purge").expect("it is the reason");
    assert!(
        finding.remedy.contains(" _RJEM_MALLOC_CONF=retain:false"),
        "{}",
        finding.remedy
    );
    assert!(
        finding
            .remedy
            .contains("MALLOC_CONF is set, but this build reads _RJEM_MALLOC_CONF")
    );
}

#[test]
fn retain_false_is_not_advised_where_it_is_set() {
    let mut world = jemalloc_seed();
    world.set("MALLOC_CONF", "narenas:1,retain:false");
    let explanation = world.explain();
    let finding = finding(&explanation, "retained-after-purge").expect("pages were purged");
    assert!(finding.remedy.starts_with("retain:false is set already"));
}

#[test]
fn mimalloc_keeps_arenas_and_calls_show_no_release() {
    let mut world = World::dynamic(&[LIBMIMALLOC]);
    for _ in 0..2 {
        let addr = world.mmap(MIMALLOC, GIB, RW, NORESERVE);
        world.name(addr, GIB, "mimalloc");
    }
    world.smaps(&[]);
    let explanation = world.explain();
    assert_eq!(explanation.verdict.code, VerdictCode::NotReleased);
    assert!(
        explanation
            .verdict
            .summary
            .contains("no call gave back 2.00 GiB that mimalloc mapped"),
        "{}",
        explanation.verdict.summary
    );
    let finding = finding(&explanation, "not-released").expect("nothing was released");
    assert_eq!(
        (finding.owner.0.as_ref(), finding.bytes),
        ("mimalloc", Bytes(2 * GIB))
    );
    assert!(finding.cannot_exclude.contains("mi_collect"));
}

#[test]
fn mimalloc_that_purges_retains() {
    let mut world = World::dynamic(&[LIBMIMALLOC]);
    let addr = world.mmap(MIMALLOC, GIB, RW, NORESERVE);
    world.madvise(addr, 600 * MIB, DONTNEED);
    world.smaps(&[]);
    let explanation = world.explain();
    assert_eq!(explanation.verdict.code, VerdictCode::RetainedByAllocator);
    assert_eq!(
        ledger(&explanation, "mimalloc", State::OverMapped),
        Bytes(424 * MIB)
    );
}

#[test]
fn tcmalloc_grows_the_heap_and_never_returns_it() {
    let mut world = World::dynamic(&[LIBTCMALLOC]);
    for _ in 0..8 {
        world.brk(TCMALLOC, BLOCK as i64);
    }
    let explanation = world.explain();
    assert_eq!(explanation.verdict.code, VerdictCode::NotReleased);
    assert_eq!(
        ledger(&explanation, "tcmalloc", State::LiveOrCached),
        Bytes(GIB)
    );
    let start = world.heap_start();
    world.madvise(start, GIB, DONTNEED);
    let explanation = world.explain();
    assert_eq!(explanation.verdict.code, VerdictCode::RetainedByAllocator);
    assert!(
        explanation
            .verdict
            .summary
            .contains("tcmalloc (gperftools)")
    );
    assert!(
        explanation
            .allocators
            .iter()
            .all(|found| found.name != "glibc")
    );
}

#[test]
fn musl_unmaps() {
    let mut world = World::with(&[PROGRAM, MUSL], &[]);
    let blocks: Vec<Addr> = (0..8)
        .map(|_| world.mmap(MUSL_MALLOC, BLOCK + 4 * KIB, RW, PLAIN))
        .collect();
    for block in blocks {
        world.munmap(block, BLOCK + 4 * KIB);
    }
    let explanation = world.explain();
    assert_eq!(explanation.verdict.code, VerdictCode::Shrank);
    let returned = finding(&explanation, "large-chunks-unmapped").expect("they went");
    assert_eq!(returned.owner.0, "musl");
}
