//! `mremap`: what moves, what stays, what is not known.

use super::{
    super::{
        effect::Doubt,
        piece::{Backing, Content, Provenance},
    },
    FIXED, PAGE, PRIVATE, RW, call, call_between, line, mmap, mmap_file, mprotect, munmap, piece,
    size_by_flows, space, span,
};
use crate::{
    event::{Event, EventKind, Request, Syscall},
    units::{Addr, Bytes, Nanos},
};

const A: u64 = 0x10_0000;
const B: u64 = 0x80_0000;
const MAYMOVE: u64 = 1;
const TO: u64 = 3;
const DONTUNMAP: u64 = 5;

pub fn mremap(time: u64, old: u64, old_len: u64, new_len: u64, flags: u64, to: u64) -> Event {
    let request = Request::Remap {
        old: span(old, old_len),
        new_len,
        flags,
    };
    call(time, Syscall::Mremap, request, Ok(to))
}

#[test]
fn moved_bytes_keep_their_origin_and_growth_gets_its_own() {
    let mut space = space();
    space.apply(&mmap(1, A, 0x4000, RW, PRIVATE));
    let effect = space.apply(&mremap(3, A, 0x4000, 0x6000, MAYMOVE, B));
    assert_eq!((effect.mapped.0, effect.unmapped.0), (0x2000, 0));
    assert!(space.piece_at(Addr(A)).is_none());
    let moved = piece(&space, B);
    assert_eq!(moved.origin.how, Provenance::Call(Syscall::Mmap));
    assert_eq!((moved.origin.at, moved.placed), (Nanos(2), Nanos(4)));
    let grown = piece(&space, B + 0x4000);
    assert_eq!(grown.origin.how, Provenance::Call(Syscall::Mremap));
    assert_eq!(grown.origin.mapped, Bytes(0x6000));
    assert_eq!(size_by_flows(&space, Bytes(0)), 0x6000);
}

#[test]
fn a_files_offset_goes_with_its_bytes() {
    let mut space = space();
    space.apply(&mmap_file(1, A, 0x4000, 1, 0x3000));
    space.apply(&mremap(3, A + 0x1000, 0x3000, 0x4000, MAYMOVE, B));
    let vmas = space.to_vmas();
    assert_eq!(vmas.len(), 2);
    assert_eq!((vmas[0].span, vmas[0].offset), (span(A, 0x1000), 0x3000));
    assert_eq!((vmas[1].span, vmas[1].offset), (span(B, 0x4000), 0x4000));
}

#[test]
fn several_mappings_move_with_the_gap_between_them() {
    let mut space = space();
    space.apply(&mmap(1, A, 0x1000, RW, PRIVATE));
    space.apply(&mmap_file(3, A + 0x2000, 0x1000, 1, 0));
    space.apply(&mmap(5, B, 0x3000, 0, PRIVATE));
    let effect = space.apply(&mremap(7, A, 0x3000, 0x3000, TO, B));
    assert_eq!(effect.doubt, None);
    assert_eq!(piece(&space, B).prot.to_string(), "rw-");
    // The kernel moves mapping after mapping and unmaps only what each needs.
    assert_eq!(piece(&space, B + 0x1000).prot.to_string(), "---");
    assert!(matches!(
        piece(&space, B + 0x2000).backing,
        Backing::File { .. }
    ));
    assert_eq!(space.vm_size().0, 0x3000);
}

#[test]
fn what_stays_mapped_is_empty() {
    let mut space = space();
    space.apply(&mmap(1, A, 0x2000, RW, PRIVATE | 0x2000));
    let effect = space.apply(&mremap(3, A, 0x2000, 0x2000, DONTUNMAP, B));
    assert_eq!((effect.mapped.0, effect.doubt), (0x2000, None));
    let left = piece(&space, A);
    assert_eq!(left.content, Content::Discarded { at: Nanos(4) });
    assert!(!left.traits.locked);
    assert_eq!(left.origin.how, Provenance::Call(Syscall::Mremap));
    let moved = piece(&space, B);
    assert!(moved.traits.locked);
    assert_eq!(moved.origin.how, Provenance::Call(Syscall::Mmap));
    assert_eq!(size_by_flows(&space, Bytes(0)), 0x4000);
}

#[test]
fn length_zero_doubles_shared_memory() {
    let mut space = space();
    space.apply(&mmap(1, A, 0x4000, RW, 0x21));
    space.apply(&mremap(3, A + 0x1000, 0, 0x2000, MAYMOVE, B));
    assert_eq!(space.vm_size().0, 0x6000);
    let vmas = space.to_vmas();
    assert_eq!((vmas[1].offset, vmas[1].shared), (0x1000, true));
}

#[test]
fn a_huge_page_is_resized_by_huge_pages() {
    const HUGE: u64 = 2 << 20;
    let mut space = space();
    space.apply(&mmap(1, 0x1000_0000, 1, RW, PRIVATE | 0x4_0000));
    assert_eq!(space.vm_size().0, HUGE);
    space.apply(&mremap(3, 0x1000_0000, 1, HUGE + 1, 0, 0x1000_0000));
    assert_eq!(space.vm_size().0, 2 * HUGE);
    // 1 GiB pages, by the exponent in the flags.
    space.apply(&mmap(5, 1 << 40, 1, RW, PRIVATE | 0x4_0000 | 30 << 26));
    assert_eq!(space.vm_size().0, 2 * HUGE + (1 << 30));
}

#[test]
fn bytes_not_known_are_found_where_they_must_be() {
    let mut space = space();
    let effect = space.apply(&mremap(3, A, 0x2000, 0x3000, MAYMOVE, B));
    assert_eq!(effect.doubt, Some(Doubt::UnknownRange(span(A, 0x2000))));
    assert_eq!(space.vm_size().0, 0x3000);
    assert_eq!(piece(&space, B).origin.how, Provenance::Found);
    let how = piece(&space, B + 0x2000).origin.how;
    assert_eq!(how, Provenance::Call(Syscall::Mremap));
}

#[test]
fn what_does_not_grow_may_have_holes() {
    let mut space = space();
    space.apply(&mmap(1, A, 0x4000, RW, PRIVATE));
    space.apply(&munmap(3, A + 0x1000, 0x1000));
    for new_len in [0x4000, 0x3000] {
        let effect = space.apply(&mremap(5, A, 0x4000, new_len, MAYMOVE, A));
        assert_eq!(effect.doubt, None);
        assert_eq!(space.vm_size().0, new_len - 0x1000);
    }
    let effect = space.apply(&mremap(7, B, 0x1000, 0x1000, 0, B));
    assert_eq!(effect.doubt, Some(Doubt::UnknownRange(span(B, 0x1000))));
}

/// `PAGE_ALIGN` of such a length is 0.
#[test]
fn an_old_length_that_overflows_is_zero() {
    let mut space = space();
    space.apply(&mmap(1, A, 0x2000, RW, 0x21));
    space.apply(&mremap(3, A, u64::MAX - 0x10, 0x2000, MAYMOVE, B));
    assert_eq!(space.vm_size().0, 0x4000);
}

#[test]
fn a_failure_with_a_target_of_its_own_may_have_moved_a_part() {
    let mut space = space();
    space.apply(&mmap(1, A, 0x2000, RW, PRIVATE));
    let failed = |old_len, flags, to| {
        let request = Request::Remap {
            old: span(A, old_len),
            new_len: old_len,
            flags,
        };
        let mut event = call(3, Syscall::Mremap, request, Err(14));
        if let EventKind::Call(call) = &mut event.kind {
            call.args[4] = to;
        }
        event
    };
    let mut doubt = |event| space.apply(&event).doubt;
    let partly = Some(Doubt::PartialFailure(span(A, 0x4000)));
    assert_eq!(doubt(failed(0x4000, TO, B)), partly);
    assert_eq!(doubt(failed(0x4000, MAYMOVE, B)), None);
    assert_eq!(
        doubt(failed(0x4000, DONTUNMAP, B)),
        partly,
        "one by one too"
    );
    // Refused before anything was done.
    assert_eq!(doubt(failed(0x4000, TO, A + 0x1000)), None, "they overlap");
    assert_eq!(doubt(failed(0x4000, TO, B + 1)), None, "not of a page");
}

#[test]
fn what_is_there_already_is_kept() {
    let mut space = space();
    let lines = [line(B, 0x2000, "r--p", 0x1000, 7, "/file")];
    space.adopt(&lines, Provenance::PreExisting, Nanos(100));
    let effect = space.apply(&mremap(3, A, 0x2000, 0x2000, MAYMOVE, B));
    assert_eq!(effect.doubt, None);
    assert_eq!(space.compare(&lines), []);
}

#[test]
fn a_move_told_after_its_place_was_taken_still_knows_what_it_moved() {
    let mut space = space();
    space.apply(&mmap_file(10, A, 0x4000, 1, 0x5000));
    space.apply(&mprotect(12, A, 0x1000, RW, Ok(0)));
    // Another thread is given the old place, and gives it back, before this one is told.
    space.apply(&mmap(30, A, 0x2000, RW, PRIVATE));
    space.apply(&munmap(32, A, 0x1000));
    let request = Request::Remap {
        old: span(A, 0x4000),
        new_len: 0x4000,
        flags: MAYMOVE,
    };
    let effect = space.apply(&call_between((20, 50), Syscall::Mremap, request, Ok(B)));
    assert_eq!(effect.doubt, None);
    let vmas = space.to_vmas();
    assert_eq!(vmas[0].span, span(A + 0x1000, 0x1000));
    assert_eq!((vmas[1].span, vmas[1].offset), (span(B, 0x1000), 0x5000));
    assert_eq!(vmas[1].prot.to_string(), "rw-");
    assert_eq!(vmas[2].span, span(B + 0x1000, 0x3000));
    assert_eq!(size_by_flows(&space, Bytes(0)), space.vm_size().0);
}

#[test]
fn a_decommit_is_not_mistaken_for_a_reuse() {
    let mut space = space();
    space.apply(&mmap(1, A, 0x2000, RW, PRIVATE));
    space.apply(&mmap(3, A, 0x2000, 0, PRIVATE | FIXED));
    // Unknown bytes would come back if the overlay had been noted as a reuse.
    space.apply(&mremap(5, A, 0x2000, 0x2000, MAYMOVE, B));
    assert_eq!(piece(&space, B).content, Content::Overlaid { at: Nanos(4) });
    assert_eq!(space.vm_size().0, 2 * PAGE);
}
