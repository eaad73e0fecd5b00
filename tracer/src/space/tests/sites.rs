//! Call sites: which words of a stack count, and that they are kept once.

use super::{
    super::{
        piece::{Provenance, SiteId},
        sites::Sites,
    },
    PRIVATE, RW, line, mmap, mmap_file, piece, space,
};
use crate::{
    event::{Event, EventKind, StackTop},
    units::{Addr, Nanos},
};

const CODE: u64 = 0x40_0000;
const A: u64 = 0x10_0000;

fn from(mut event: Event, ip: u64, words: &[u64]) -> Event {
    let EventKind::Call(call) = &mut event.kind else {
        return event;
    };
    let mut top = StackTop {
        ip: Addr(ip),
        ..StackTop::default()
    };
    for (slot, &word) in top.words.iter_mut().zip(words) {
        *slot = word;
    }
    call.callers = Some(Box::new(top));
    event
}

fn offsets(space: &super::Space, id: SiteId) -> Vec<u64> {
    let addresses = space.sites().get(id).iter();
    addresses.map(|address| address.offset).collect()
}

fn program() -> super::Space {
    let mut space = space();
    let lines = [
        line(CODE, 0x4000, "r-xp", 0x1000, 7, "/bin/program"),
        line(CODE + 0x4000, 0x1000, "rw-p", 0x5000, 7, "/bin/program"),
        line(CODE + 0x8000, 0x1000, "rwxp", 0, 0, ""),
    ];
    space.adopt(&lines, Provenance::Exec, Nanos(0));
    space
}

#[test]
fn words_that_point_into_code_of_files_are_kept() {
    let mut space = program();
    let words = [
        7,
        CODE + 0x10,
        CODE + 0x4010,
        CODE + 0x8010,
        CODE + 0x3fff,
        CODE - 1,
    ];
    space.apply(&from(mmap(1, A, 0x1000, RW, PRIVATE), 0, &words));
    let site = piece(&space, A).origin.site;
    assert_eq!(offsets(&space, site), [0x1010, 0x4fff]);
    let file = space.sites().get(site)[0].file;
    assert_eq!(
        space.names().file(file).name.as_deref(),
        Some("/bin/program")
    );
    // The address behind the call comes first, if it is in a file.
    space.apply(&from(
        mmap(3, A + 0x2000, 0x1000, RW, PRIVATE),
        CODE + 1,
        &words,
    ));
    let site = piece(&space, A + 0x2000).origin.site;
    assert_eq!(offsets(&space, site), [0x1001, 0x1010, 0x4fff]);
}

#[test]
fn a_site_is_kept_once_and_unknown_is_zero() {
    let mut space = program();
    for n in 0..4 {
        let map = mmap(1 + n, A + n * 0x1000, 0x1000, RW, PRIVATE);
        // What is no code differs from call to call.
        space.apply(&from(map, 0, &[n, CODE + 8 * (n / 2)]));
    }
    assert_eq!(piece(&space, A).origin.site, SiteId(1));
    assert_eq!(piece(&space, A + 0x1000).origin.site, SiteId(1));
    assert_eq!(piece(&space, A + 0x3000).origin.site, SiteId(2));
    space.apply(&from(mmap(9, A, 0x1000, RW, PRIVATE), 0, &[1, 2]));
    assert_eq!(piece(&space, A).origin.site, SiteId(0));
    assert_eq!(space.sites().iter().count(), 3);
    assert!(space.sites().get(SiteId(0)).is_empty());
    assert!(space.sites().get(SiteId(99)).is_empty());
}

#[test]
fn code_mapped_later_counts_and_keeps_its_id_when_named() {
    let mut space = program();
    let words = [CODE + 0x10_0010];
    space.apply(&from(mmap(1, A, 0x1000, RW, PRIVATE), 0, &words));
    assert_eq!(piece(&space, A).origin.site, SiteId(0));
    space.apply(&mmap_file(3, CODE + 0x10_0000, 0x1000, 5, 0x2000));
    space.apply(&from(mmap(5, A, 0x1000, RW, PRIVATE), 0, &words));
    let site = piece(&space, A).origin.site;
    assert_eq!(offsets(&space, site), [0x2010]);
    let library = line(CODE + 0x10_0000, 0x1000, "r-xp", 0x2000, 8, "/lib/late.so");
    space.learn_names(&[library]);
    let file = space.sites().get(site)[0].file;
    assert_eq!(
        space.names().file(file).name.as_deref(),
        Some("/lib/late.so")
    );
}

#[test]
fn sites_are_bounded_in_number_and_depth() {
    let mut space = program();
    for n in 0..2 * Sites::LIMIT as u64 {
        let words = [CODE + n % 0x4000, CODE + n / 0x4000];
        space.apply(&from(mmap(1 + n, A, 0x1000, RW, PRIVATE), 0, &words));
    }
    assert_eq!(space.sites().iter().count(), Sites::LIMIT + 1);
    assert_eq!(piece(&space, A).origin.site, SiteId(0));
    let mut space = program();
    space.apply(&from(mmap(1, A, 0x1000, RW, PRIVATE), CODE, &[CODE; 16]));
    assert_eq!(offsets(&space, SiteId(1)).len(), Sites::DEPTH);
}
