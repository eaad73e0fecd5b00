//! Memory that is older than the attach is charged to whoever takes or gives it back.

use crate::{
    attribute::{
        explanation::{GrowthRow, State, VerdictCode},
        testing::*,
    },
    event::{Request, Syscall},
    units::{Addr, Bytes, Span},
};

const OLD: u64 = 0x6f00_0000_0000;

/// A process that has had 256 MiB for long; whose they are nobody saw.
fn world() -> World {
    let old = [vma(Span::new(Addr(OLD), 256 * MIB), "rw-p", "")];
    let mut world = World::with(&[PROGRAM, LIBC, LIBJEMALLOC], &old);
    world.tells(LIBJEMALLOC, &["malloc", "mallctl"], &[]);
    world
}

fn unmap(world: &mut World, site: &[At], addr: u64, len: u64) {
    let request = Request::Unmap(Span::new(Addr(addr), len));
    world.call(site, Syscall::Munmap, request, 0);
}

fn purge(world: &mut World, site: &[At], addr: u64, len: u64) {
    let request = Request::Advise {
        target: None,
        spans: vec![Span::new(Addr(addr), len)],
        advice: DONTNEED,
    };
    world.call(site, Syscall::Madvise, request, 0);
}

fn row(rows: &[GrowthRow], owner: &str) -> (Bytes, Bytes, Bytes) {
    let row = rows.iter().find(|row| row.owner.0 == owner);
    row.map_or((Bytes(0), Bytes(0), Bytes(0)), |row| {
        (row.mapped, row.unmapped, row.discarded)
    })
}

#[test]
fn each_takes_what_is_its_own() {
    let mut world = world();
    purge(&mut world, JEMALLOC, OLD, 32 * MIB);
    purge(&mut world, JEMALLOC, OLD + 16 * MIB, 32 * MIB);
    unmap(&mut world, GLIBC_MALLOC, OLD + 64 * MIB, 8 * MIB);
    unmap(&mut world, OWN, OLD + 80 * MIB, 4 * MIB);
    unmap(&mut world, &[], OLD + 96 * MIB, 2 * MIB);
    let rows = world.explain().growth;
    let zero = Bytes(0);
    assert_eq!(row(&rows, "jemalloc"), (zero, zero, Bytes(64 * MIB)));
    assert_eq!(row(&rows, "glibc"), (zero, Bytes(8 * MIB), zero));
    assert_eq!(row(&rows, "application"), (zero, Bytes(4 * MIB), zero));
    assert_eq!(row(&rows, "unknown"), (zero, Bytes(2 * MIB), zero));
}

#[test]
fn an_allocator_owns_what_it_handles_and_a_program_does_not() {
    let mut world = world();
    let purged = State::ReleasedButRetained;
    purge(&mut world, OWN, OLD + 128 * MIB, 8 * MIB);
    assert_eq!(ledger(&world.explain(), "unknown", purged), Bytes(8 * MIB));
    purge(&mut world, JEMALLOC, OLD, 32 * MIB);
    // Who comes later changes nothing.
    purge(&mut world, OWN, OLD + 16 * MIB, 16 * MIB);
    let explanation = world.explain();
    assert_eq!(ledger(&explanation, "jemalloc", purged), Bytes(32 * MIB));
    assert_eq!(ledger(&explanation, "application", purged), Bytes(0));
    let jemalloc = &explanation.allocators[0];
    assert!(
        jemalloc.evidence.contains(
            &"32.0 MiB that is older than the attach was given back or protected by its code"
                .to_owned()
        ),
        "{jemalloc:?}"
    );
}

#[test]
fn a_stack_stays_one_when_its_thread_gives_back_most_of_it() {
    let guard = Span::new(Addr(OLD), 4 * KIB);
    let stack = Span::new(guard.end, 8 * MIB);
    let old = [vma(guard, "---p", ""), vma(stack, "rw-p", "")];
    let mut world = World::with(&[PROGRAM, LIBC], &old);
    let before = owned(&world.explain(), "stacks");
    assert!(before > stack.len());
    let end_of_thread: &[At] = &[(LIBC, "madvise"), (LIBC, "")];
    purge(&mut world, end_of_thread, stack.start.0, 7 * MIB);
    assert_eq!(owned(&world.explain(), "stacks"), before);
}

#[test]
fn a_c_library_takes_away_more_than_its_malloc_had() {
    let mut world = world();
    let end_of_thread: &[At] = &[(LIBC, "munmap"), (LIBC, ""), (LIBC, "")];
    unmap(&mut world, end_of_thread, OLD, 8 * MIB);
    purge(&mut world, end_of_thread, OLD + 16 * MIB, 8 * MIB);
    let explanation = world.explain();
    let (mib, zero) = (Bytes(8 * MIB), Bytes(0));
    assert_eq!(row(&explanation.growth, "glibc"), (zero, zero, zero));
    assert_eq!(row(&explanation.growth, "unknown"), (zero, mib, mib));
    assert_eq!(owned(&explanation, "glibc"), zero);
    let join: &[At] = &[(LIBC, "munmap"), (LIBC, "pthread_join"), (PROGRAM, "main")];
    unmap(&mut world, join, OLD + 32 * MIB, 8 * MIB);
    assert_eq!(row(&world.explain().growth, "stacks"), (zero, mib, zero));
}

#[test]
fn who_maps_over_older_memory_neither_grows_nor_shrinks() {
    let mut world = world();
    world.mmap_at(JEMALLOC, Addr(OLD), 32 * MIB, NONE, FIXED);
    let rows = world.explain().growth;
    assert!(rows.is_empty(), "{rows:?}");
}

#[test]
fn a_chunk_that_is_older_is_returned_by_who_had_it() {
    let mut world = world();
    unmap(&mut world, GLIBC_MALLOC, OLD, 128 * MIB);
    let explanation = world.explain();
    assert_eq!(explanation.verdict.code, VerdictCode::NoGrowth);
    let summary = &explanation.verdict.summary;
    assert!(
        summary.contains(": glibc's malloc returned 128.0 MiB of what it had mapped (it unmaps a"),
        "{summary}"
    );
    let finding = finding(&explanation, "large-chunks-unmapped").expect("it shrank");
    assert_eq!(
        finding.evidence[0],
        "128.0 MiB that is older than the attach was unmapped"
    );
}
