//! Readings that race with calls, stacks that grow, models that go wrong.

use super::*;
use crate::{
    event::{Call, Request, Syscall},
    space::{piece::Prot, reading::Reading, vma::Vma},
    units::{Addr, MmId, Pid, Span, Tid},
};

const PAGE: PageSize = PageSize(4096);

fn event(at: u64, kernel: Option<u64>, syscall: Syscall, outcome: u64, request: Request) -> Event {
    Event {
        pid: Pid(1),
        tid: Tid(1),
        entered: Nanos(at),
        exited: Nanos(at + 1),
        kernel: kernel.map(|pages| KernelFigures {
            mm: MmId(1),
            vm_size: PAGE.pages(pages),
            ..KernelFigures::default()
        }),
        quiet: true,
        kind: EventKind::Call(Call {
            syscall,
            args: [0; 6],
            outcome: Ok(outcome),
            request,
            stack: Default::default(),
            path: Default::default(),
            callers: None,
        }),
    }
}

fn map(at: u64, kernel: Option<u64>, start: u64, pages: u64) -> Event {
    let len = pages * PAGE.0;
    let request = Request::Map {
        len,
        prot: 3,
        flags: 0x22,
        fd: None,
        offset: 0,
        file: None,
    };
    event(at, kernel, Syscall::Mmap, start, request)
}

fn unmap(at: u64, kernel: Option<u64>, start: u64, pages: u64) -> Event {
    let span = Span::new(Addr(start), pages * PAGE.0);
    event(at, kernel, Syscall::Munmap, 0, Request::Unmap(span))
}

fn line(start: u64, pages: u64, name: &str) -> Vma {
    Vma {
        span: Span::new(Addr(start), pages * PAGE.0),
        prot: Prot {
            read: true,
            write: true,
            exec: false,
        },
        shared: false,
        offset: 0,
        device: 0,
        inode: 0,
        name: name.to_owned(),
    }
}

fn reading(begun: u64, ended: u64, vmas: Vec<Vma>) -> Reading {
    let vm_size = vmas.iter().map(|vma| vma.span.len()).sum();
    Reading {
        disturbed: None,
        other_stacks: false,
        vmas,
        begun: Nanos(begun),
        ended: Nanos(ended),
        vm_size,
        ..Reading::default()
    }
}

fn pages(tracked: &Tracked) -> u64 {
    tracked.space().vm_size().0 / PAGE.0
}

#[test]
fn calls_before_during_and_after_a_reading_count_once() {
    let mut tracked = Tracked::unread(PAGE, Provenance::PreExisting);
    tracked.take(map(10, None, 0x10000, 2)); // in the reading
    tracked.take(map(25, None, 0x20000, 4)); // during it, and in it
    tracked.take(unmap(27, None, 0x40000, 1)); // during it, not in it yet
    tracked.take(map(40, None, 0x30000, 8)); // after it
    let vmas = vec![
        line(0x10000, 2, ""),
        line(0x20000, 4, ""),
        line(0x40000, 1, ""),
    ];
    let reading = reading(20, 30, vmas);
    assert_eq!(tracked.offer(&reading, false), Accepted::Disturbed);
    assert!(tracked.wants_reading());
    assert_eq!(tracked.offer(&reading, true), Accepted::Replayed);
    assert_eq!(pages(&tracked), 2 + 4 + 8);
    assert_eq!(tracked.counts().by_call[&Syscall::Mmap].calls, 3);
}

#[test]
fn figures_older_than_the_reading_are_not_held_against_the_model() {
    let mut tracked = Tracked::unread(PAGE, Provenance::PreExisting);
    tracked.take(map(22, Some(3), 0x20000, 1)); // the reading has both of these already
    tracked.take(map(24, Some(4), 0x30000, 1));
    let vmas = vec![
        line(0x10000, 2, ""),
        line(0x20000, 1, ""),
        line(0x30000, 1, ""),
    ];
    assert_eq!(
        tracked.offer(&reading(20, 30, vmas), true),
        Accepted::Replayed
    );
    tracked.take(map(40, Some(5), 0x40000, 1));
    assert!(!tracked.wants_reading());
    let sums = tracked.reconciler().sums();
    assert_eq!((sums.checks, sums.mismatches), (1, 0));
}

#[test]
fn a_peak_before_the_first_reading_is_known_from_the_kernels_figures() {
    let mut tracked = Tracked::unread(PAGE, Provenance::PreExisting);
    tracked.take(map(10, Some(1002), 0x100_0000, 1000));
    tracked.take(unmap(12, Some(2), 0x100_0000, 1000));
    let reading = reading(20, 30, vec![line(0x10000, 2, "")]);
    assert_eq!(tracked.offer(&reading, false), Accepted::Exact);
    assert_eq!(pages(&tracked), 2);
    assert_eq!(tracked.peak(), PAGE.pages(1002));
}

#[test]
fn events_from_before_a_reading_can_be_dropped() {
    let mut tracked = Tracked::unread(PAGE, Provenance::PreExisting);
    for at in 0..MOST_PENDING as u64 {
        tracked.take(map(at, None, 0x10000, 1));
    }
    let last = MOST_PENDING as u64;
    tracked.take(unmap(last + 20, None, 0x10000, 1));
    assert_eq!(tracked.waiting(), 1);
    assert_eq!(tracked.dropped(), last);
    let vmas = || vec![line(0x10000, 1, ""), line(0x20000, 3, "")];
    let too_early = reading(last, last + 10, vmas());
    assert_eq!(tracked.offer(&too_early, true), Accepted::Disturbed);
    let later = reading(last + 1, last + 10, vmas());
    assert_eq!(tracked.offer(&later, true), Accepted::Exact);
    assert_eq!(pages(&tracked), 3, "what came after it was kept");
    assert_eq!(
        tracked.gaps(Nanos(last + 30)),
        [(Nanos(1), Nanos(last + 1))]
    );
}

#[test]
fn a_quiet_reading_is_taken_at_once() {
    let mut tracked = Tracked::unread(PAGE, Provenance::PreExisting);
    tracked.take(map(40, None, 0x30000, 8));
    let reading = reading(20, 30, vec![line(0x10000, 2, "")]);
    assert_eq!(tracked.offer(&reading, false), Accepted::Exact);
    assert_eq!(pages(&tracked), 10);
    assert_eq!(tracked.offer(&reading, false), Accepted::NotNeeded);
}

fn live(vmas: Vec<Vma>) -> Tracked {
    let mut tracked = Tracked::unread(PAGE, Provenance::PreExisting);
    assert_eq!(tracked.offer(&reading(1, 2, vmas), false), Accepted::Exact);
    tracked
}

#[test]
fn a_difference_is_healed_at_the_second_quiet_event() {
    let mut tracked = live(vec![line(0x10000, 2, "")]);
    tracked.take(map(10, Some(4), 0x20000, 1)); // the kernel has one page more
    assert!(!tracked.wants_reading());
    tracked.take(map(20, Some(5), 0x30000, 1));
    assert!(tracked.wants_reading());
    assert_eq!(tracked.reconciler().sums().mismatches, 1);
    let truth = vec![
        line(0x10000, 2, ""),
        line(0x20000, 1, ""),
        line(0x30000, 2, ""),
    ];
    tracked.offer(&reading(30, 31, truth), false);
    assert_eq!(pages(&tracked), 5);
    assert_eq!(tracked.reconciler().sums().resyncs, 1);
    tracked.take(map(40, Some(6), 0x50000, 1));
    assert_eq!(tracked.reconciler().sums().mismatches, 1);
}

#[test]
fn stack_growth_is_no_mismatch() {
    let mut tracked = live(vec![line(0x7000_0000, 4, "[stack]")]);
    let mut grown = map(10, Some(5), 0x20000, 1);
    tracked.take(grown.clone());
    grown = map(20, Some(9), 0x30000, 1);
    if let Some(figures) = &mut grown.kernel {
        figures.stack = PAGE.pages(3);
    }
    tracked.take(grown);
    assert_eq!(pages(&tracked), 9);
    assert_eq!(tracked.reconciler().sums().mismatches, 0);
    let lowest = tracked
        .space()
        .pieces()
        .find(|(span, _)| span.end.0 > 0x6000_0000);
    assert_eq!(
        lowest.map(|(span, _)| span.start),
        Some(Addr(0x7000_0000 - 3 * PAGE.0))
    );
}

/// A call took a page of one such stack, which had grown by two: neither the growth of all
/// stacks nor that of VmSize tells of it.
#[test]
fn stacks_mapped_before_the_attach_grow_without_a_mismatch() {
    let lines = || {
        vec![
            line(0x10000, 2, ""),
            line(0x40000, 3, ""),
            line(0x7000_0000, 4, "[stack]"),
        ]
    };
    for (other_stacks, mismatches) in [(true, 0), (false, 1)] {
        let mut tracked = Tracked::unread(PAGE, Provenance::PreExisting);
        let mut first = reading(1, 2, lines());
        first.stack = PAGE.pages(7);
        first.other_stacks = other_stacks;
        assert_eq!(tracked.offer(&first, false), Accepted::Exact);
        for (at, size) in [(10, 12), (20, 13)] {
            let mut event = map(at, Some(size), 0x20_0000 + at * PAGE.0, 1);
            if let Some(figures) = &mut event.kernel {
                figures.stack = PAGE.pages(8);
            }
            tracked.take(event);
        }
        assert_eq!(tracked.reconciler().sums().mismatches, mismatches);
        assert!(tracked.wants_reading());
    }
}

/// The kernel adds to VmSize first: an event may have the one figure of before and the other of
/// after. And the first event behind a reading may be the one that shows the growth.
#[test]
fn a_stack_that_grows_between_two_figures_is_no_mismatch() {
    for (sizes, stacks) in [([5, 9, 10], [3, 3, 3]), ([8, 9, 10], [3, 3, 3])] {
        let mut tracked = live(vec![line(0x7000_0000, 4, "[stack]")]);
        for (n, (size, stack)) in (1..).zip(sizes.into_iter().zip(stacks)) {
            let mut event = map(10 * n, Some(size), 0x20000 * n, 1);
            if let Some(figures) = &mut event.kernel {
                figures.stack = PAGE.pages(stack);
            }
            tracked.take(event);
        }
        assert_eq!(tracked.reconciler().sums().mismatches, 0, "{sizes:?}");
        assert_eq!(pages(&tracked), sizes[2]);
    }
}

/// Replayed onto a reading, one event makes the model wrong: those behind it wait for the next.
#[test]
fn what_follows_a_mismatch_in_a_replay_is_not_judged() {
    let mut tracked = Tracked::unread(PAGE, Provenance::PreExisting);
    for at in [20, 30, 40, 50] {
        let start = 0x10_0000 + at * PAGE.0;
        tracked.take(map(at, Some(100), start, 1));
    }
    tracked.offer(&reading(10, 15, vec![line(0x1000, 1, "")]), true);
    assert_eq!(tracked.reconciler().sums().mismatches, 1);
    assert!(tracked.wants_reading());
}

#[test]
fn verification_finds_and_heals_what_sizes_do_not_show() {
    let mut tracked = live(vec![line(0x10000, 2, "")]);
    assert!(tracked.verify(&reading(10, 11, vec![line(0x10000, 2, "")]), false));
    assert_eq!(tracked.reconciler().sums().mismatches, 0);
    let moved = reading(20, 21, vec![line(0x50000, 2, "")]);
    assert!(!tracked.verify(&moved, false), "a call may be under way");
    assert!(tracked.verify(&moved, true));
    assert_eq!(tracked.reconciler().sums().mismatches, 1);
    assert_eq!(pages(&tracked), 2);
    assert!(tracked.space().piece_at(Addr(0x50000)).is_some());
}

#[test]
fn a_verification_that_calls_disturbed_does_not_decide() {
    let mut tracked = live(vec![line(0x10000, 2, "")]);
    tracked.take(map(25, None, 0x20000, 1));
    assert!(!tracked.verify(&reading(20, 30, vec![line(0x10000, 2, "")]), true));
    assert_eq!(pages(&tracked), 3);
}

#[test]
fn a_child_begins_with_its_parents_space_if_the_kernel_agrees() {
    let parent = live(vec![line(0x10000, 2, "")]);
    let figures = |pages| {
        Some(KernelFigures {
            mm: MmId(2),
            vm_size: PAGE.pages(pages),
            ..KernelFigures::default()
        })
    };
    assert!(!Tracked::forked(&parent, figures(2), true).wants_reading());
    assert!(Tracked::forked(&parent, figures(3), true).wants_reading());
    assert!(Tracked::forked(&parent, None, true).wants_reading());
    assert!(Tracked::forked(&parent, figures(2), false).wants_reading());
}

/// A child of `vfork` uses the space for a moment, and may be gone when its parent's events are
/// applied, which waited for a reading.
#[test]
fn what_another_process_shared_then_is_not_judged_later() {
    let mut tracked = Tracked::unread(PAGE, Provenance::PreExisting);
    tracked.set_shared(true);
    // The kernel has a page less: the other's munmap took it, whose record comes behind.
    tracked.take(map(40, Some(2), 0x20000, 1));
    tracked.take(map(50, Some(3), 0x30000, 1));
    tracked.take(unmap(35, Some(3), 0x10000, 1));
    tracked.set_shared(false);
    let accepted = tracked.offer(&reading(20, 30, vec![line(0x10000, 2, "")]), false);
    assert_eq!(accepted, Accepted::Exact);
    assert!(!tracked.wants_reading(), "nothing is doubted");
    assert_eq!(tracked.reconciler().sums().mismatches, 0);
    assert_eq!(pages(&tracked), 3);
}

#[test]
fn a_mismatch_of_sizes_is_told_with_what_the_map_then_showed() {
    let mut tracked = Tracked::unread(PAGE, Provenance::PreExisting);
    tracked.offer(&reading(20, 30, vec![line(0x10000, 2, "")]), false);
    tracked.take(map(40, Some(2), 0x20000, 1));
    tracked.take(map(50, Some(3), 0x30000, 1));
    assert!(tracked.wants_reading());
    // Before the reading, and waiting for it: no difference.
    tracked.take(map(60, Some(4), 0x50000, 1));
    let vmas = vec![
        line(0x10000, 1, ""),
        line(0x20000, 1, ""),
        line(0x30000, 1, ""),
        line(0x50000, 1, ""),
    ];
    tracked.offer(&reading(70, 80, vmas), false);
    let details: Vec<_> = tracked.reconciler().details().collect();
    assert_eq!(details.len(), 2, "{details:?}");
    assert!(details[0].contains("16384 by the model and 12288 by the kernel"));
    let found = "then at 0x11000-0x12000 the model has rw-p, the kernel nothing (differences: 1)";
    assert_eq!(details[1], found);
}
