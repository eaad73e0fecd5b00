//! What allocators, loaders and runtimes do, call by call.

use super::{
    super::{
        effect::Doubt,
        flow::{Source, SourceKind},
        piece::{Backing, Content, Provenance, SiteId},
    },
    FIXED, PAGE, PRIVATE, RW, call, flow_by_call, line, madvise, mmap, mmap_file, mprotect, munmap,
    piece, space, span,
};
use crate::{
    event::{Event, EventKind, Request, Syscall},
    units::{Addr, Bytes, Nanos, PageSize},
};

const A: u64 = 0x10_0000;
const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

fn brk(time: u64, wanted: u64, before: Option<u64>, result: u64) -> Event {
    let request = Request::Brk {
        wanted: Addr(wanted),
        before: before.map(Addr),
    };
    call(time, Syscall::Brk, request, Ok(result))
}

#[test]
fn glibc_makes_an_arena() {
    // 128 MiB of addresses, trimmed to an aligned 64 MiB, 132 KiB of it usable.
    let base = 0x7000_0000_0000;
    let heap = base + 32 * MIB;
    let mut space = space();
    space.apply(&mmap(1, base, 128 * MIB, 0, PRIVATE | 0x4000));
    space.apply(&munmap(3, base, 32 * MIB));
    space.apply(&munmap(5, heap + 64 * MIB, 32 * MIB));
    let effect = space.apply(&mprotect(7, heap, 132 * KIB, RW, Ok(0)));
    assert_eq!(effect.concerned, Bytes(132 * KIB));
    assert_eq!(space.vm_size().0, 64 * MIB);
    let pieces: Vec<_> = space.pieces().collect();
    assert_eq!(pieces.len(), 2);
    assert_eq!(pieces[0].1.content, Content::Unknown);
    assert_eq!(pieces[1].1.content, Content::NeverAccessible);
    assert!(
        pieces
            .iter()
            .all(|(_, piece)| piece.traits.no_reserve && piece.origin.mapped == Bytes(128 * MIB))
    );
    let flow = flow_by_call(&space, Syscall::Mmap);
    assert_eq!((flow.calls, flow.mapped.0), (1, 128 * MIB));
    assert_eq!(flow.unmapped.0, 64 * MIB);
}

#[test]
fn a_split_that_was_undone_leaves_no_trace() {
    let mut space = space();
    space.apply(&mmap(1, A, 0x8000, RW, PRIVATE));
    space.apply(&mprotect(3, A + 0x2000, 0x1000, 0, Ok(0)));
    assert_eq!(space.pieces().count(), 3);
    space.apply(&mprotect(5, A + 0x2000, 0x1000, RW, Ok(0)));
    assert_eq!(space.pieces().count(), 1);
}

#[test]
fn reservations_are_told_from_what_was_given_back() {
    let mut space = space();
    space.apply(&mmap(1, A, 0x8000, 0, PRIVATE));
    // Commit, decommit by overlay, decommit again, recommit.
    space.apply(&mmap(3, A, 0x4000, RW, PRIVATE | FIXED));
    space.apply(&mmap(5, A + 0x2000, 0x4000, 0, PRIVATE | FIXED));
    let overlaid = Content::Overlaid { at: Nanos(6) };
    assert_eq!(piece(&space, A).content, Content::Unknown);
    assert_eq!(piece(&space, A + 0x2000).content, overlaid);
    assert_eq!(piece(&space, A + 0x4000).content, Content::NeverAccessible);
    space.apply(&mmap(7, A + 0x2000, 0x4000, 0, PRIVATE | FIXED));
    assert_eq!(piece(&space, A + 0x2000).content, overlaid);
    space.apply(&mprotect(9, A + 0x2000, 0x4000, RW, Ok(0)));
    assert_eq!(piece(&space, A + 0x2000).content, Content::Unknown);
    assert_eq!(piece(&space, A + 0x4000).content, Content::Unknown);
    assert_eq!(space.vm_size().0, 0x8000);
}

#[test]
fn purges_are_exact_to_the_page_and_counted_each_time() {
    let mut space = space();
    space.apply(&mmap(1, A, 0x4000, RW, PRIVATE));
    space.apply(&mmap(2, A + 0x4000, 0x4000, 0, PRIVATE));
    let effect = space.apply(&madvise(3, A + 0x1000, 0x4000, 4));
    assert_eq!(
        effect.discarded,
        Bytes(0x3000),
        "a reservation has no pages"
    );
    assert_eq!(effect.concerned, Bytes(0x4000));
    assert_eq!(piece(&space, A).content, Content::Unknown);
    assert_eq!(
        piece(&space, A + 0x1000).content,
        Content::Discarded { at: Nanos(4) }
    );
    space.apply(&madvise(5, A, 0x4000, 8));
    assert_eq!(
        piece(&space, A + 0x3000).content,
        Content::LazilyFreed { at: Nanos(6) }
    );
    let flow = flow_by_call(&space, Syscall::Mmap);
    assert_eq!((flow.discards, flow.discarded.0), (2, 0x7000));
    assert_eq!(flow.unmapped.0, 0);
}

#[test]
fn a_vector_of_advice_goes_as_far_as_the_kernel_says() {
    let mut space = space();
    space.apply(&mmap(1, A, 0x8000, RW, PRIVATE));
    let request = Request::Advise {
        target: None,
        spans: vec![span(A, 0x2000), span(A + 0x4000, 0x2000)],
        advice: 4,
    };
    let effect = space.apply(&call(3, Syscall::ProcessMadvise, request, Ok(0x2000)));
    assert_eq!(effect.discarded, Bytes(0x2000));
    assert_eq!(piece(&space, A + 0x4000).content, Content::Unknown);
}

#[test]
fn the_heap_moves_by_whole_pages() {
    let mut space = space();
    space.apply(&brk(1, 0, None, A));
    assert_eq!(space.vm_size().0, 0);
    assert_eq!(space.apply(&brk(3, A + 100, None, A + 100)).mapped.0, PAGE);
    assert_eq!(space.apply(&brk(5, A + 200, None, A + 200)).mapped.0, 0);
    // Refused: the old end comes back.
    space.apply(&brk(7, A + MIB, Some(A + 200), A + 200));
    assert_eq!(space.vm_size().0, PAGE);
    let effect = space.apply(&brk(9, A + 0x5000, Some(A + 200), A + 0x5000));
    assert_eq!(effect.mapped.0, 0x4000);
    let effect = space.apply(&brk(11, A + 0x1001, None, A + 0x1001));
    assert_eq!(effect.unmapped.0, 0x3000);
    assert_eq!(space.to_vmas(), [line(A, 0x2000, "rw-p", 0, 0, "[heap]")]);
    let flow = flow_by_call(&space, Syscall::Brk);
    assert_eq!(
        (flow.calls, flow.mapped.0, flow.unmapped.0),
        (2, 0x5000, 0x3000)
    );
}

#[test]
fn the_heaps_end_is_that_of_the_map_if_no_call_told() {
    let mut space = space();
    let effect = space.apply(&brk(1, A, None, A));
    assert_eq!(effect.doubt, Some(Doubt::UnknownSize(span(A, 0))));
    let mut space = super::space();
    let heap = line(A, 0x2000, "rw-p", 0, 0, "[heap]");
    space.adopt(&[heap], Provenance::PreExisting, Nanos(1));
    assert_eq!(
        space.apply(&brk(3, A + 0x3000, None, A + 0x3000)).mapped.0,
        PAGE
    );
}

#[test]
fn mprotect_changes_up_to_the_first_hole() {
    let mut space = space();
    space.apply(&mmap(1, A, 0x2000, RW, PRIVATE));
    space.apply(&mmap(3, A + 0x3000, 0x1000, RW, PRIVATE));
    let effect = space.apply(&mprotect(5, A, 0x4000, 1, Err(12)));
    assert_eq!((effect.doubt, effect.concerned.0), (None, 0x2000));
    assert_eq!(piece(&space, A).prot.to_string(), "r--");
    assert_eq!(piece(&space, A + 0x3000).prot.to_string(), "rw-");
    // Success says that the kernel knows of no hole.
    let effect = space.apply(&mprotect(7, A, 0x4000, 1, Ok(0)));
    assert_eq!(effect.doubt, Some(Doubt::UnknownRange(span(A, 0x4000))));
    assert_eq!(piece(&space, A + 0x3000).prot.to_string(), "r--");
}

#[test]
fn mprotect_that_fails_may_have_changed_a_part() {
    let mut space = space();
    space.apply(&mmap(1, A, 0x1000, RW, PRIVATE));
    space.apply(&mmap_file(3, A + 0x1000, 0x1000, 1, 0));
    let all = || span(A, 0x2000);
    let doubt = |space: &mut super::Space, len, errno| {
        space.apply(&mprotect(5, A, len, RW, Err(errno))).doubt
    };
    assert_eq!(
        doubt(&mut space, 0x2000, 13),
        Some(Doubt::PartialFailure(all()))
    );
    assert_eq!(
        doubt(&mut space, 0x2000, 12),
        Some(Doubt::PartialFailure(all()))
    );
    assert_eq!(doubt(&mut space, 0x2000, 22), None);
    assert_eq!(
        doubt(&mut space, 0x1000, 13),
        None,
        "one mapping: all or nothing"
    );
}

#[test]
fn a_stack_is_protected_down_to_its_start() {
    let mut space = space();
    let stack = line(A, 0x4000, "rw-p", 0, 0, "[stack]");
    space.adopt(&[stack], Provenance::PreExisting, Nanos(9));
    assert!(space.grow_stack(Bytes(0x1000), Nanos(20)));
    // As glibc does for a library that needs an executable stack. Entered before the
    // growth was noticed.
    let request = mprotect(15, A + 0x3000, 0x1000, 7 | 0x0100_0000, Ok(0));
    assert_eq!(space.apply(&request).concerned.0, 0x5000);
    assert_eq!(piece(&space, A - 0x1000).prot.to_string(), "rwx");
    let how = piece(&space, A - 0x1000).origin.how;
    assert_eq!(how, Provenance::StackGrowth);
}

#[test]
fn a_stack_grows_into_free_addresses_only() {
    let mut space = space();
    assert!(!space.grow_stack(Bytes(1), Nanos(1)));
    let stack = line(A, 0x1000, "rw-p", 0, 0, "[stack]");
    space.adopt(&[stack], Provenance::PreExisting, Nanos(1));
    space.apply(&mmap(2, A - 0x4000, 0x1000, RW, PRIVATE));
    assert!(space.grow_stack(Bytes(MIB), Nanos(5)));
    assert_eq!(space.vm_size().0, 0x5000);
    let source = Source {
        how: Provenance::StackGrowth,
        site: SiteId(0),
        kind: SourceKind::Stack,
    };
    assert_eq!(space.flows().get(&source).mapped.0, 0x3000);
}

#[test]
fn with_several_stacks_only_the_map_tells_which_grew() {
    const GROWSDOWN: u64 = 0x100;
    let mut space = space();
    let stack = line(A, 0x1000, "rw-p", 0, 0, "[stack]");
    space.adopt(
        std::slice::from_ref(&stack),
        Provenance::PreExisting,
        Nanos(1),
    );
    space.apply(&mmap(2, 2 * A, 0x1000, RW, PRIVATE | GROWSDOWN));
    assert!(!space.grow_stack(Bytes(0x2000), Nanos(5)));
    let grown = [stack, line(2 * A - 0x2000, 0x3000, "rw-p", 0, 0, "")];
    space.grow_stacks_to(&grown, Nanos(7));
    assert_eq!(space.compare(&grown), []);
}

/// A length that is rounded up to 0, and an end beyond the highest address.
#[test]
fn sums_that_overflow_change_nothing() {
    let mut space = space();
    space.apply(&mmap(1, A, 0x2000, RW, PRIVATE));
    let before = space.to_vmas();
    for len in [u64::MAX, u64::MAX - A, u64::MAX - A - 0x10] {
        let effect = space.apply(&mprotect(3, A, len, 1, Err(12)));
        assert_eq!(effect.doubt, None);
        let lock = Request::Lock {
            span: span(A, len),
            lock: true,
        };
        let effect = space.apply(&call(5, Syscall::Mlock, lock, Ok(0)));
        assert_eq!(effect.doubt, None);
    }
    assert_eq!(space.to_vmas(), before);
    assert!(!piece(&space, A).traits.locked);
}

#[test]
fn shared_memory_is_as_long_as_the_size_grew() {
    let attach = |time, at, grown| {
        let request = Request::Attach {
            id: 1,
            flags: 0o10_000,
            grown,
        };
        call(time, Syscall::Shmat, request, Ok(at))
    };
    let mut space = space();
    let mut busy = attach(1, A, Some(Bytes(0x3000)));
    busy.quiet = false;
    for unknown in [busy, attach(1, A, None)] {
        let effect = space.apply(&unknown);
        assert_eq!(effect.doubt, Some(Doubt::UnknownSize(span(A, 0))));
    }
    space.apply(&attach(3, A, Some(Bytes(0x3000))));
    assert_eq!(space.to_vmas()[0].prot.to_string(), "r--");
    assert!(space.to_vmas()[0].shared);
    // The same segment again, right behind, and a hole in the first.
    space.apply(&attach(5, A + 0x3000, Some(Bytes(0x3000))));
    space.apply(&munmap(7, A + 0x1000, 0x1000));
    let detach = |time, at| call(time, Syscall::Shmdt, Request::Detach(Addr(at)), Ok(0));
    assert_eq!(space.apply(&detach(9, A)).unmapped.0, 0x2000);
    assert_eq!(space.apply(&detach(11, A + 0x3000)).unmapped.0, 0x3000);
    assert!(space.apply(&detach(13, A)).doubt.is_some());
}

/// The kernel takes a whole mapping at the address, and of the others those within the size.
#[test]
fn how_much_of_a_lengthened_segment_is_detached_is_in_doubt() {
    let request = Request::Attach {
        id: 1,
        flags: 0,
        grown: Some(Bytes(0x3000)),
    };
    let mut space = space();
    space.apply(&call(1, Syscall::Shmat, request, Ok(A)));
    let longer = Request::Remap {
        old: span(A + 0x1000, 0x2000),
        new_len: 0x5000,
        flags: 0,
    };
    space.apply(&call(3, Syscall::Mremap, longer, Ok(A + 0x1000)));
    let detach = call(5, Syscall::Shmdt, Request::Detach(Addr(A)), Ok(0));
    let doubt = Some(Doubt::UnknownRange(span(A, 0x6000)));
    assert_eq!(space.apply(&detach).doubt, doubt);
}

#[test]
fn a_ring_comes_and_goes() {
    let mut space = space();
    let setup = Request::RingSetup {
        ring: Addr(A),
        grown: Some(Bytes(0x2000)),
    };
    space.apply(&call(1, Syscall::IoSetup, setup, Ok(0)));
    assert_eq!(space.to_vmas()[0].prot.to_string(), "rw-");
    let destroy = Request::RingDestroy(Addr(A));
    let effect = space.apply(&call(3, Syscall::IoDestroy, destroy, Ok(0)));
    assert_eq!(effect.unmapped.0, 0x2000);
}

#[test]
fn names_count_even_where_the_kernel_has_none() {
    let mut space = space();
    space.apply(&mmap(1, A, 0x2000, RW, PRIVATE));
    let name = |time, name: Option<&str>| {
        let request = Request::Name {
            span: span(A, 0x1000),
            name: name.map(str::to_owned),
        };
        call(time, Syscall::Prctl, request, Err(22))
    };
    space.apply(&name(3, Some("mimalloc")));
    assert_eq!(space.to_vmas()[0].name, "[anon:mimalloc]");
    assert_eq!(space.pieces().count(), 2);
    space.apply(&name(5, None));
    assert_eq!(space.pieces().count(), 1);
}

#[test]
fn a_child_gets_what_it_is_meant_to_get() {
    let mut space = space();
    for (n, advice) in [(0, 10), (1, 18), (2, 0)] {
        space.apply(&mmap(1 + n, A + n * 0x1000, 0x1000, RW, PRIVATE | 0x2000));
        space.apply(&madvise(10 + n, A + n * 0x1000, 0x1000, advice));
    }
    let uprobes = line(A + 0x10_0000, 0x1000, "--xp", 0, 0, "[uprobes]");
    let mut lines = space.to_vmas();
    lines.push(uprobes);
    space.adopt(&lines, Provenance::Found, Nanos(30));
    let child = space.fork();
    assert_eq!(space.vm_size().0, 0x4000);
    assert_eq!(child.vm_size().0, 0x2000);
    assert!(child.piece_at(Addr(A)).is_none());
    assert_eq!(
        piece(&child, A + 0x1000).content,
        Content::Discarded { at: Nanos(30) }
    );
    let inherited = piece(&child, A + 0x2000);
    assert_eq!(inherited.origin, piece(&space, A + 0x2000).origin);
    assert!(!inherited.traits.locked);
    assert_eq!(child.flows().iter().count(), 0);
}

#[test]
fn locking_what_is_to_come() {
    let mut space = space();
    let lock_all = |time, flags| call(time, Syscall::Mlockall, Request::LockAll { flags }, Ok(0));
    space.apply(&mmap(1, A, 0x1000, RW, PRIVATE));
    space.apply(&lock_all(3, 2));
    assert!(!piece(&space, A).traits.locked);
    space.apply(&mmap(5, A + 0x1000, 0x1000, RW, PRIVATE));
    assert!(piece(&space, A + 0x1000).traits.locked);
    space.apply(&lock_all(7, 0));
    assert!(!piece(&space, A + 0x1000).traits.locked);
    let lock = Request::Lock {
        span: span(A + 0xfff, 2),
        lock: true,
    };
    space.apply(&call(9, Syscall::Mlock, lock, Ok(0)));
    assert!(piece(&space, A).traits.locked && piece(&space, A + 0x1000).traits.locked);
}

#[test]
fn a_thread_stack_is_a_source_of_its_own() {
    let mut space = space();
    space.apply(&mmap(1, A, 8 * MIB, 0, PRIVATE | 0x2_0000));
    let (source, flow) = space.flows().iter().next().expect("a flow");
    assert_eq!(source.kind, SourceKind::ThreadStack);
    assert_eq!(flow.mapped.0, 8 * MIB);
}

#[test]
fn other_pages_of_the_file_in_place() {
    let mut space = space();
    space.apply(&mmap(1, A, 0x4000, RW, 0x21));
    let request = Request::RemapFile {
        span: span(A + 0x1000, 0x1fff),
        offset: 0x3000,
    };
    space.apply(&call(3, Syscall::RemapFilePages, request, Ok(0)));
    let offsets: Vec<_> = space.to_vmas().iter().map(|vma| vma.offset).collect();
    assert_eq!(offsets, [0, 0x3000, 0x2000]);
}

/// What was in the way is gone before it is known whether the file can be mapped.
#[test]
fn mapping_over_something_may_fail_and_leave_a_gap() {
    let mut space = space();
    space.apply(&mmap(1, A, 0x2000, RW, 0x21));
    let mut doubt = |request: &Request, errno| {
        let syscall = match request {
            Request::Map { .. } => Syscall::Mmap,
            _ => Syscall::RemapFilePages,
        };
        let mut event = call(3, syscall, request.clone(), Err(errno));
        if let EventKind::Call(call) = &mut event.kind {
            call.args[0] = A;
        }
        space.apply(&event).doubt
    };
    let gap = Some(Doubt::PartialFailure(span(A, 0x1000)));
    let again = Request::RemapFile {
        span: span(A, 0x1000),
        offset: 0,
    };
    assert_eq!(doubt(&again, 22), gap);
    let over = |fd, flags| Request::Map {
        len: 0x1000,
        prot: RW,
        flags,
        fd,
        offset: 0,
        file: None,
    };
    assert_eq!(doubt(&over(Some(3), 2 | FIXED), 19), gap);
    assert_eq!(doubt(&over(None, PRIVATE | FIXED), 12), gap);
    // Refused before anything was done.
    assert_eq!(doubt(&over(Some(3), 2 | FIXED), 9), None);
    assert_eq!(doubt(&over(None, PRIVATE), 12), None);
}

#[test]
fn tags_on_addresses_are_not_addresses() {
    let mut space = space();
    space.apply(&mmap(1, A, 0x2000, RW, PRIVATE));
    space.apply(&munmap(3, A | 0x5a << 56, 0x1000));
    assert_eq!(space.vm_size().0, 0x1000);
}

#[test]
fn larger_pages_round_by_their_size() {
    let mut space = super::Space::new(PageSize(0x1_0000));
    space.apply(&mmap(1, A, 1, RW, PRIVATE));
    assert_eq!(space.vm_size().0, 0x1_0000);
    space.apply(&mmap(3, 1 << 40, 1, RW, PRIVATE | 0x4_0000));
    assert_eq!(space.vm_size().0, 0x1_0000 + 512 * MIB);
}

#[test]
fn what_is_no_call_or_another_process_changes_nothing() {
    let mut space = space();
    space.apply(&mmap(1, A, 0x1000, RW, PRIVATE));
    let mut exec = munmap(3, A, 0x1000);
    exec.kind = EventKind::Exec {
        comm: String::new(),
    };
    space.apply(&exec);
    let elsewhere = Request::Advise {
        target: Some(crate::event::PidFd(7)),
        spans: vec![span(A, 0x1000)],
        advice: 4,
    };
    space.apply(&call(5, Syscall::ProcessMadvise, elsewhere, Ok(0x1000)));
    let piece = piece(&space, A);
    assert_eq!(
        (piece.backing, piece.content),
        (Backing::Anonymous, Content::Unknown)
    );
}
