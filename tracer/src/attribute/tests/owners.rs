//! Whose bytes: what must never be mistaken.

use crate::{
    attribute::{
        explanation::{Confidence, State, VerdictCode},
        testing::*,
    },
    space::piece::Provenance,
    units::{Addr, Bytes, Nanos, Span},
};

#[test]
fn what_a_program_maps_itself_is_not_charged_to_an_allocator() {
    let mut world = World::dynamic(&[LIBJEMALLOC]);
    world.tells(LIBJEMALLOC, &["malloc", "mallctl"], &[]);
    world.mmap(OWN, 300 * MIB, RW, NORESERVE);
    world.mmap(GLIBC_MALLOC, 2 * MIB, RW, PLAIN);
    world.mmap(JEMALLOC, 4 * MIB, RW, NORESERVE);
    let explanation = world.explain();
    assert_eq!(owned(&explanation, "application"), Bytes(300 * MIB));
    assert_eq!(owned(&explanation, "glibc"), Bytes(2 * MIB));
    assert_eq!(owned(&explanation, "jemalloc"), Bytes(4 * MIB));
    assert_eq!(explanation.verdict.code, VerdictCode::NotReleased);
    assert!(
        explanation
            .verdict
            .summary
            .contains("mapped 300.0 MiB (grow in program)"),
        "{}",
        explanation.verdict.summary
    );
    let finding = finding(&explanation, "grew-by-application-mmap").expect("it grew");
    assert!(
        finding
            .evidence
            .contains(&"300.0 MiB by grow in program".to_owned())
    );
}

#[test]
fn two_allocators_are_told_apart_and_interposition_is_said() {
    let mut world = jemalloc_seed();
    world.mmap(GLIBC_MALLOC, 2 * MIB, RW, PLAIN);
    let explanation = world.explain();
    let names: Vec<&str> = explanation
        .allocators
        .iter()
        .map(|a| a.name.as_str())
        .collect();
    assert_eq!(names, ["jemalloc", "glibc"]);
    assert!(
        explanation
            .allocators
            .iter()
            .all(|a| a.confidence == Confidence::High)
    );
    let glibc = explanation.allocators[1].evidence.join("\n");
    assert!(glibc.contains("libjemalloc.so.2 defines malloc"), "{glibc}");
}

#[test]
fn a_stripped_static_allocator_is_unknown_unless_its_looks_fit() {
    const SITE: &[At] = &[(LIBC, "mmap64"), (PROGRAM, "")];
    let mut world = World::dynamic(&[]);
    world.tells(PROGRAM, &[], &["_RJEM_MALLOC_CONF"]);
    world.mmap(SITE, 160 * MIB, RW, NORESERVE);
    world.mmap(SITE, 33 * MIB, RW, PLAIN);
    let explanation = world.explain();
    assert_eq!(owned(&explanation, "jemalloc"), Bytes(160 * MIB));
    assert_eq!(owned(&explanation, "unknown"), Bytes(33 * MIB));
    let found = &explanation.allocators[0];
    assert_eq!(
        (found.name.as_str(), found.confidence),
        ("jemalloc", Confidence::Low)
    );
}

#[test]
fn looks_that_fit_two_candidates_name_nobody() {
    const SITE: &[At] = &[(LIBC, "mmap64"), (PROGRAM, "")];
    let mut world = World::dynamic(&[]);
    world.tells(PROGRAM, &["_rjem_malloc", "mi_malloc"], &[]);
    world.mmap(SITE, GIB, RW, NORESERVE);
    let explanation = world.explain();
    assert_eq!(owned(&explanation, "unknown"), Bytes(GIB));
}

#[test]
fn code_without_symbols_and_without_an_allocator_is_the_program_s() {
    const SITE: &[At] = &[(LIBC, "mmap64"), (PROGRAM, "")];
    let mut world = World::dynamic(&[]);
    world.mmap(SITE, 64 * MIB, RW, NORESERVE);
    assert_eq!(owned(&world.explain(), "application"), Bytes(64 * MIB));
    world.modules[0].unreadable = Some("it was deleted".into());
    assert_eq!(owned(&world.explain(), "unknown"), Bytes(64 * MIB));
}

#[test]
fn a_name_given_by_prctl_tells_where_the_site_does_not() {
    let mut world = World::dynamic(&[]);
    let addr = world.mmap(&[], GIB, RW, NORESERVE);
    assert_eq!(owned(&world.explain(), "unknown"), Bytes(GIB));
    world.name(addr, GIB, "mimalloc");
    let explanation = world.explain();
    assert_eq!(owned(&explanation, "mimalloc"), Bytes(GIB));
    assert_eq!(explanation.allocators[0].confidence, Confidence::High);
}

#[test]
fn an_unreadable_libc_proves_nothing() {
    const SITE: &[At] = &[(LIBC, ""), (PROGRAM, "grow")];
    let mut world = World::dynamic(&[]);
    world.mmap(SITE, 64 * MIB, RW, PLAIN);
    world.modules[1].unreadable = Some("deleted by an upgrade".into());
    assert_eq!(owned(&world.explain(), "unknown"), Bytes(64 * MIB));
}

#[test]
fn thread_stacks_are_stacks_whoever_asks() {
    let mut world = World::dynamic(&[]);
    world.mmap(GLIBC_THREAD, 8 * MIB + 4 * KIB, NONE, STACK);
    world.mmap(OWN, 2 * MIB, RW, STACK);
    let explanation = world.explain();
    let stack = Bytes(10 * MIB + 4 * KIB + 132 * KIB);
    assert_eq!(ledger(&explanation, "stacks", State::Stack), stack);
}

#[test]
fn the_loader_and_the_kernel_have_their_own() {
    const SITE: &[At] = &[(LOADER, "mmap64"), (LOADER, "")];
    let mut world = World::dynamic(&[]);
    world.mmap(SITE, 12 * KIB, RW, PLAIN);
    let explanation = world.explain();
    assert_eq!(
        ledger(&explanation, "loader", State::Other),
        Bytes(12 * KIB)
    );
    assert_eq!(ledger(&explanation, "kernel", State::Other), Bytes(8 * KIB));
}

#[test]
fn an_older_heap_is_glibc_s_unless_tcmalloc_is_there() {
    let heap = vma(Span::new(Addr(0x6000_0000), 16 * MIB), "rw-p", "[heap]");
    let paths = [PROGRAM, LIBC, LOADER, LIBTCMALLOC];
    let explanation = World::with(&paths[..3], std::slice::from_ref(&heap)).explain();
    assert_eq!(owned(&explanation, "glibc"), Bytes(16 * MIB));
    assert_eq!(explanation.allocators[0].confidence, Confidence::Medium);
    let explanation = World::with(&paths, &[heap]).explain();
    assert_eq!(owned(&explanation, "unknown"), Bytes(16 * MIB));
}

#[test]
fn older_anonymous_memory_is_unknown_unless_it_looks_like_an_arena_or_a_stack() {
    let at = |addr| Addr(0x7000_0000_0000 + addr);
    let old = [
        vma(Span::new(at(0), 132 * KIB), "rw-p", ""),
        vma(Span::new(at(132 * KIB), 64 * MIB - 132 * KIB), "---p", ""),
        vma(Span::new(at(GIB), 4 * KIB), "---p", ""),
        vma(Span::new(at(GIB + 4 * KIB), 8 * MIB), "rw-p", ""),
        vma(Span::new(at(2 * GIB), 100 * MIB), "rw-p", ""),
    ];
    let explanation = World::with(&[PROGRAM, LIBC, LOADER], &old).explain();
    assert_eq!(owned(&explanation, "glibc"), Bytes(64 * MIB));
    assert_eq!(owned(&explanation, "unknown"), Bytes(100 * MIB));
    let stacks = owned(&explanation, "stacks");
    assert_eq!(stacks, Bytes(8 * MIB + 4 * KIB + 132 * KIB));
    assert_eq!(explanation.verdict.code, VerdictCode::NoGrowth);
}

#[test]
fn older_unreserved_memory_is_told_apart_by_place_and_size() {
    let old = [
        vma(Span::new(Addr(0x300_0000_0000), 2 * GIB), "rw-p", ""),
        vma(Span::new(Addr(0x7000_0000_0000), 6 * MIB), "rw-p", ""),
        vma(
            Span::new(Addr(0x7000_0000_0000 + 6 * MIB), 58 * MIB),
            "---p",
            "",
        ),
        vma(Span::new(Addr(0x7100_0000_0000), 1552 * MIB), "rw-p", ""),
        vma(Span::new(Addr(0x7200_0000_0000), 10 * MIB), "rw-p", ""),
    ];
    let mut world = World::with(&[PROGRAM, LIBC, LOADER], &old);
    world.tells(PROGRAM, &["_rjem_malloc", "mi_malloc"], &[]);
    world.smaps(&[]);
    for vma in world.residency() {
        vma.no_reserve = true;
    }
    let explanation = world.explain();
    assert_eq!(owned(&explanation, "mimalloc"), Bytes(2 * GIB));
    assert_eq!(owned(&explanation, "glibc"), Bytes(64 * MIB));
    assert_eq!(owned(&explanation, "jemalloc"), Bytes(1552 * MIB));
    assert_eq!(
        owned(&explanation, "unknown"),
        Bytes(10 * MIB),
        "either may have mapped it"
    );
}

#[test]
fn shared_memory_is_the_program_s_and_no_file() {
    let shared = vma(
        Span::new(Addr(0x7000_0000_0000), 64 * MIB),
        "rw-s",
        "/dev/zero (deleted)",
    );
    let file = vma(
        Span::new(Addr(0x7100_0000_0000), 64 * MIB),
        "r--s",
        "/var/data",
    );
    let explanation = World::with(&[PROGRAM, LIBC], &[shared, file]).explain();
    assert_eq!(
        ledger(&explanation, "application", State::Other),
        Bytes(64 * MIB)
    );
    assert!(ledger(&explanation, "files", State::File) > Bytes(64 * MIB));
}

#[test]
fn older_memory_that_looks_like_jemalloc_s_is_said_to_be_retained_when_it_is_purged() {
    let old = [
        vma(Span::new(Addr(0x7000_0000_0000), GIB), "rw-p", ""),
        vma(Span::new(Addr(0x7100_0000_0000), 8 * MIB), "rw-p", ""),
    ];
    let mut world = World::with(&[PROGRAM, LIBC, LIBJEMALLOC], &old);
    world.tells(LIBJEMALLOC, &["malloc", "mallctl"], &[]);
    world.madvise(Addr(0x7000_0000_0000), GIB, DONTNEED);
    world.smaps(&[]);
    for vma in world.residency() {
        vma.no_reserve = vma.span.len().0 == GIB;
    }
    let explanation = world.explain();
    let retained = finding(&explanation, "retained-after-purge").expect("it looks like it");
    assert_eq!(retained.confidence, Confidence::Medium);
    assert!(
        retained.evidence[0].contains("older than the attach"),
        "{:?}",
        retained.evidence
    );
    assert_eq!(explanation.verdict.code, VerdictCode::NoGrowth);
    assert!(explanation.verdict.summary.contains("that jemalloc keeps"));
}

#[test]
fn memory_found_before_its_event_arrives_was_not_returned() {
    let mut world = World::dynamic(&[]);
    world.brk(GLIBC_BRK, 4 * MIB as i64);
    let mut vmas = world.space.to_vmas();
    for vma in vmas.iter_mut().filter(|vma| vma.name == "[heap]") {
        vma.span.end = Addr(vma.span.end.0 + 27 * MIB);
    }
    world.space.adopt(&vmas, Provenance::Found, Nanos(13));
    world.brk(GLIBC_BRK, 27 * MIB as i64);
    let explanation = world.explain();
    assert!(finding(&explanation, "heap-trimmed").is_none());
    assert_eq!(owned(&explanation, "glibc"), Bytes(31 * MIB));
    assert!(
        explanation
            .growth
            .iter()
            .all(|row| row.owner.0 != "unknown")
    );
}

#[test]
fn what_a_child_inherits_is_no_growth_of_its_own() {
    let mut world = jemalloc_seed();
    world.space = world.space.fork();
    (world.attach, world.peak) = (world.space.vm_size(), world.space.vm_size());
    assert_eq!(world.explain().verdict.code, VerdictCode::NoGrowth);
    world.mmap(OWN, 100 * MIB, RW, PLAIN);
    let explanation = world.explain();
    assert_eq!(explanation.verdict.code, VerdictCode::NotReleased);
    assert!(
        explanation
            .verdict
            .summary
            .contains("mapped 100.0 MiB (grow")
    );
    let retained = finding(&explanation, "retained-after-purge").expect("it is there");
    assert_eq!(retained.owner.0, "jemalloc");
}

#[test]
fn a_table_that_is_older_is_snmalloc_s_and_a_reservation() {
    let table = vma(Span::new(Addr(0x7000_0000_0000), 256 * GIB), "rw-p", "");
    let mut world = World::with(&[PROGRAM, LIBC, LOADER], &[table]);
    world.tells(PROGRAM, &["sn_malloc"], &[]);
    world.smaps(&[]);
    for vma in world.residency() {
        vma.no_reserve = true;
    }
    let explanation = world.explain();
    assert_eq!(owned(&explanation, "snmalloc"), Bytes(256 * GIB));
    let reserved = finding(&explanation, "reserved-address-space").expect("it is");
    assert_eq!(reserved.owner.0, "snmalloc");
    assert_eq!(reserved.confidence, Confidence::Medium);
}

#[test]
fn an_older_reservation_is_nobody_s_where_two_make_such() {
    const SCUDO: &str = "/usr/lib/libscudo.so";
    const JVM: &str = "/usr/lib/jvm/lib/server/libjvm.so";
    let reservation = || vma(Span::new(Addr(0x7000_0000_0000), 8 * GIB), "---p", "");
    for (modules, owner) in [
        (&[PROGRAM, LIBC, SCUDO][..], "scudo"),
        (&[PROGRAM, LIBC, JVM], "jvm"),
        (&[PROGRAM, LIBC, SCUDO, JVM], "unknown"),
        (&[PROGRAM, LIBC, LIBJEMALLOC], "unknown"),
    ] {
        let explanation = World::with(modules, &[reservation()]).explain();
        assert_eq!(owned(&explanation, owner), Bytes(8 * GIB), "{modules:?}");
    }
}

#[test]
fn a_bss_that_the_kernel_shows_in_parts_is_one() {
    let data = World::with(&[PROGRAM, LIBC], &[]);
    let (data, _) = data.space.pieces().nth(1).expect("its data");
    let parts = [
        vma(Span::new(data.end, MIB), "rw-p", ""),
        vma(Span::new(Addr(data.end.0 + MIB), 512 * KIB), "rw-p", ""),
        vma(Span::new(Addr(data.end.0 + 1536 * KIB), MIB), "---p", ""),
    ];
    let world = World::with(&[PROGRAM, LIBC], &parts);
    let explanation = world.explain();
    assert_eq!(owned(&explanation, "loader"), Bytes(1536 * KIB));
    assert_eq!(owned(&explanation, "unknown"), Bytes(MIB));
}
