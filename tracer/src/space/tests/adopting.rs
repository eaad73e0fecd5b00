//! The kernel's map against the model.

use proptest::prelude::*;

use super::{
    super::{
        effect::Difference,
        piece::{Backing, Content, Piece, Provenance},
        vma::Vma,
    },
    PRIVATE, RW, assert_sound,
    kernel::When,
    line, madvise, mmap, mmap_file, mprotect, munmap,
    ops::{Op, ops},
    piece,
    serial::attached,
    space, span,
};
use crate::{
    event::{Event, EventKind, FileSeen, Request},
    units::{Addr, Nanos, Span, Tid},
};

const A: u64 = 0x10_0000;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(100) })]

    #[test]
    fn its_own_map_is_no_news(ops in ops(40)) {
        let (mut kernel, mut space) = attached();
        for (n, op) in (1..).zip(&ops) {
            let when = When { tid: Tid(1), entered: Nanos(n * 10), exited: Nanos(n * 10 + 5) };
            if let Some(event) = kernel.run(op, when) {
                space.apply(&event);
            }
        }
        let before: Vec<(Span, Piece)> = space.pieces().map(|(s, p)| (s, *p)).collect();
        prop_assert_eq!(space.compare(&space.to_vmas()), vec![]);
        prop_assert_eq!(space.adopt(&space.to_vmas(), Provenance::Found, Nanos(1)), vec![]);
        let after: Vec<(Span, Piece)> = space.pieces().map(|(s, p)| (s, *p)).collect();
        prop_assert_eq!(before, after);
    }

    #[test]
    fn a_map_adopted_is_the_map(ops in ops(40), others in ops(40)) {
        let lines = |ops: &[Op]| {
            let (mut kernel, mut space) = attached();
            for (n, op) in (1..).zip(ops) {
                let when = When { tid: Tid(1), entered: Nanos(n * 10), exited: Nanos(n * 10 + 5) };
                if let Some(event) = kernel.run(op, when) {
                    space.apply(&event);
                }
            }
            // Files have names in a map that a kernel gives.
            let mut vmas = space.to_vmas();
            for vma in vmas.iter_mut().filter(|vma| vma.name == Vma::UNNAMED_FILE) {
                (vma.name, vma.inode) = ("/file".to_owned(), vma.offset.wrapping_sub(vma.span.start.0));
            }
            (space, vmas)
        };
        let (mut space, _) = lines(&ops);
        let (_, vmas) = lines(&others);
        let compared = space.compare(&vmas);
        let adopted = space.adopt(&vmas, Provenance::Found, Nanos(9999));
        // To compare learns no names, so one unnamed file may stand for several there.
        prop_assert!(compared.len() <= adopted.len());
        assert_sound(&space);
        prop_assert_eq!(space.compare(&vmas), vec![]);
    }
}

#[test]
fn a_first_map_is_taken_as_it_is() {
    let mut space = space();
    let lines = [
        line(A, 0x1000, "r-xp", 0x2000, 7, "/bin/true"),
        line(A + 0x1000, 0x3000, "rw-p", 0, 0, "[heap]"),
        line(A + 0x8000, 0x1000, "---p", 0, 0, ""),
        line(A + 0x9000, 0x1000, "rw-p", 0, 0, "[anon:arena]"),
        line(A + 0xa000, 0x1000, "r-xp", 0, 0, "[vdso]"),
        line(A + 0xb000, 0x1000, "rw-p", 0, 0, "[stack]"),
        line(A + 0xc000, 0x1000, "--xp", 0, 0, "[vsyscall]"),
    ];
    let differences = space.adopt(&lines, Provenance::PreExisting, Nanos(5));
    assert_eq!(differences.len(), 6);
    assert_eq!(
        space.vm_size().0,
        0x8000,
        "the gate page is no part of VmSize"
    );
    assert_eq!(space.to_vmas(), lines[..6]);
    let heap = piece(&space, A + 0x1000);
    assert_eq!(heap.backing, Backing::Heap);
    assert_eq!(heap.origin.how, Provenance::PreExisting);
    assert_eq!((heap.origin.at, heap.placed), (Nanos(5), Nanos(0)));
    assert_eq!(piece(&space, A + 0x8000).content, Content::NeverAccessible);
    assert!(piece(&space, A + 0xb000).traits.grows_down);
    let flows: u64 = space.flows().iter().map(|(_, flow)| flow.mapped.0).sum();
    assert_eq!(flows, 0, "what was there before did not come");
    space.apply(&munmap(10, A + 0x1000, 0x1000));
    let flows: u64 = space.flows().iter().map(|(_, flow)| flow.unmapped.0).sum();
    assert_eq!(flows, 0x1000, "but it went");
}

#[test]
fn what_agrees_keeps_what_is_known_of_it() {
    let mut space = space();
    space.apply(&mmap(1, A, 0x4000, RW, PRIVATE));
    space.apply(&madvise(3, A, 0x2000, 4));
    // The kernel merged it with what it calls the heap; one page has other protection.
    let lines = [
        line(A - 0x1000, 0x4000, "rw-p", 0, 0, "[heap]"),
        line(A + 0x3000, 0x1000, "r--p", 0, 0, ""),
    ];
    let expected = [
        Difference {
            span: span(A - 0x1000, 0x1000),
            model: None,
            kernel: Some(line(A - 0x1000, 0x1000, "rw-p", 0, 0, "[heap]")),
        },
        Difference {
            span: span(A + 0x3000, 0x1000),
            model: Some(line(A + 0x3000, 0x1000, "rw-p", 0, 0, "")),
            kernel: Some(line(A + 0x3000, 0x1000, "r--p", 0, 0, "")),
        },
    ];
    assert_eq!(space.compare(&lines), expected);
    assert_eq!(space.adopt(&lines, Provenance::Found, Nanos(9)), expected);
    let kept = piece(&space, A);
    assert_eq!(kept.content, Content::Discarded { at: Nanos(4) });
    assert_eq!(kept.backing, Backing::Anonymous);
    assert_eq!(piece(&space, A + 0x3000).origin.how, Provenance::Found);
    assert_eq!(piece(&space, A - 0x1000).backing, Backing::Heap);
}

#[test]
fn differences_are_as_long_as_both_sides_go_on() {
    let mut space = space();
    for n in 0..4 {
        space.apply(&mmap(1 + n, A + n * 0x1000, 0x1000, RW, PRIVATE));
    }
    let model = Some(line(A, 0x4000, "rw-p", 0, 0, ""));
    let one = Difference {
        span: span(A, 0x4000),
        model,
        kernel: None,
    };
    assert_eq!(space.compare(&[]), [one]);
    assert_eq!(space.adopt(&[], Provenance::Found, Nanos(9)).len(), 1);
    assert_eq!(space.vm_size().0, 0);
}

#[test]
fn names_of_files_are_learnt() {
    let mut space = space();
    space.apply(&mmap_file(1, A, 0x4000, 1, 0));
    space.apply(&mmap_file(3, A + 0x1000, 0x1000, 5, 0x1000));
    assert!(space.has_unnamed_files());
    assert_eq!(space.to_vmas()[0].name, Vma::UNNAMED_FILE);
    let lines = [
        line(A, 0x1000, "r--p", 0, 7, "/lib/c.so"),
        line(A + 0x1000, 0x1000, "r-xp", 0x1000, 7, "/lib/c.so"),
        // At another offset: not what the model has there.
        line(A + 0x2000, 0x2000, "r--p", 0, 8, "/other"),
    ];
    space.learn_names(&lines);
    assert!(!space.has_unnamed_files());
    let names: Vec<_> = space
        .names()
        .files()
        .map(|(_, file)| file.clone())
        .collect();
    assert_eq!(names.len(), 2, "each call made an id");
    assert_eq!(names[0], names[1]);
    assert_eq!(names[0].name.as_deref(), Some("/lib/c.so"));
    assert_eq!(space.compare(&lines).len(), 1);
    // Names alone are no difference: the file may have been deleted since.
    let deleted = [line(A, 0x1000, "r--p", 0, 7, "/lib/c.so (deleted)")];
    assert!(space.compare(&deleted).iter().all(|d| d.kernel.is_none()));
}

#[test]
fn shared_memory_is_a_file_to_the_kernel() {
    let mut space = space();
    space.apply(&mmap(1, A, 0x2000, RW, 0x21));
    space.apply(&mmap(3, A + 0x20_0000, 1, RW, PRIVATE | 0x4_0000));
    let lines = [
        line(A, 0x2000, "rw-s", 0, 99, "/dev/zero (deleted)"),
        line(
            A + 0x20_0000,
            0x20_0000,
            "rw-p",
            0,
            98,
            "/anon_hugepage (deleted)",
        ),
    ];
    assert_eq!(space.adopt(&lines, Provenance::Found, Nanos(9)), []);
    assert_eq!(space.to_vmas(), lines);
}

#[test]
fn a_name_of_memory_is_learnt_and_not_unlearnt() {
    let mut space = space();
    space.apply(&mmap(1, A, 0x2000, RW, PRIVATE));
    let named = [line(A, 0x2000, "rw-p", 0, 0, "[anon:arena]")];
    assert_eq!(space.adopt(&named, Provenance::Found, Nanos(9)), []);
    let plain = [line(A, 0x2000, "rw-p", 0, 0, "")];
    assert_eq!(space.adopt(&plain, Provenance::Found, Nanos(9)), []);
    assert_eq!(space.to_vmas(), named);
    assert_eq!(piece(&space, A).origin.at, Nanos(2));
}

#[test]
fn events_from_before_a_reading_can_be_replayed_onto_it() {
    // Mapped, protected, cut, moved: the map was read behind all of it.
    let to = A + 0x10_0000;
    let events = [
        mmap(1, A, 0x8000, 0, PRIVATE),
        mprotect(3, A, 0x4000, RW, Ok(0)),
        munmap(5, A + 0x6000, 0x2000),
        super::moves::mremap(7, A, 0x4000, 0x4000, 1, to),
    ];
    let lines = [
        line(A + 0x4000, 0x2000, "---p", 0, 0, ""),
        line(to, 0x4000, "rw-p", 0, 0, ""),
    ];
    for from in 0..=events.len() {
        let mut space = space();
        space.adopt(&lines, Provenance::PreExisting, Nanos(100));
        for event in &events[from..] {
            space.apply(event);
        }
        assert_eq!(space.compare(&lines), [], "replayed from event {from}");
        assert_sound(&space);
    }
    assert!(space().piece_at(Addr(A)).is_none());
}

fn mmap_told(time: u64, at: u64, offset: u64, path: Option<&str>, inode: u64) -> Event {
    let mut event = mmap_file(time, at, 0x1000, 1, offset);
    if let EventKind::Call(call) = &mut event.kind
        && let Request::Map { file, .. } = &mut call.request
    {
        *file = Some(Box::new(FileSeen {
            path: path.map(str::to_owned),
            device: 8 << 32 | 1,
            inode,
        }));
    }
    event
}

#[test]
fn a_file_that_the_call_told_has_one_id() {
    let mut space = space();
    space.apply(&mmap_told(1, A, 0, Some("/root/lib/c.so"), 7));
    space.apply(&mmap_told(3, A + 0x8000, 0x1000, Some("/root/lib/c.so"), 7));
    assert_eq!(space.names().files().count(), 1);
    assert_eq!(space.to_vmas()[0].name, "/root/lib/c.so");
    assert!(space.has_unnamed_files(), "the map may name it otherwise");
    // The map shows the path as the process sees it: that is the one to show.
    let line_at = |at, offset| line(at, 0x1000, "r--p", offset, 7, "/lib/c.so");
    let lines = [line_at(A, 0), line_at(A + 0x8000, 0x1000)];
    assert_eq!(space.adopt(&lines, Provenance::Found, Nanos(9)), []);
    assert_eq!(space.to_vmas(), lines);
    // And what the map has confirmed is known from then on.
    space.apply(&mmap_told(11, A + 0x4000, 0, Some("/root/lib/c.so"), 7));
    assert_eq!(space.names().files().count(), 1);
    let other = line(A, 0x1000, "r--p", 0, 8, "/lib/c.so");
    assert_eq!(space.compare(&[other])[0].span, span(A, 0x1000));
}

#[test]
fn a_file_that_the_kernel_swapped_is_the_one_in_its_map() {
    // `/dev/zero` mapped shared: each mapping gets a file of its own.
    for adopts in [true, false] {
        let mut space = space();
        space.apply(&mmap_told(1, A, 0, Some("/dev/zero"), 5));
        space.apply(&mmap_told(3, A + 0x8000, 0, Some("/dev/zero"), 5));
        let lines = [
            line(A, 0x1000, "r--p", 0, 1001, "/dev/zero (deleted)"),
            line(A + 0x8000, 0x1000, "r--p", 0, 1002, "/dev/zero (deleted)"),
        ];
        assert_eq!(space.compare(&lines), []);
        if adopts {
            assert_eq!(space.adopt(&lines, Provenance::Found, Nanos(9)), []);
        } else {
            space.learn_names(&lines);
        }
        assert_eq!(space.to_vmas(), lines);
        assert_eq!(piece(&space, A).origin.at, Nanos(2));
    }
}

#[test]
fn a_file_without_a_path_waits_for_one() {
    let mut space = space();
    space.apply(&mmap_told(1, A, 0, None, 7));
    assert!(space.has_unnamed_files());
    space.learn_names(&[line(A, 0x1000, "r--p", 0, 7, "/deep/file")]);
    assert!(!space.has_unnamed_files());
}

#[test]
fn a_large_map_is_adopted_whole() {
    let one = |index: u64| line(A + index * 0x2000, 0x1000, "rw-p", 0, 0, "");
    let vmas: Vec<Vma> = (0..5000).map(one).collect();
    let mut space = space();
    space.adopt(&vmas, Provenance::PreExisting, Nanos(1));
    assert_eq!(space.to_vmas(), vmas);
    assert_sound(&space);
    space.apply(&munmap(10, A + 0x2000, 0x1000));
    assert_eq!(space.pieces().count(), 4999);
    assert_sound(&space);
}
