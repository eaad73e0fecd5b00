//! Deeds that leave addresses mapped: advice, locks, names, touching.

use super::ground::{PAGE, Range};
use super::kernel::Kit;
use super::storm::Hand;
use super::tally::Call;

/// The longest range that advice may fill with pages.
const MOST_FILLED: usize = 16 * PAGE;

// include/uapi/asm-generic/mman-common.h: the C library may not know the newest.
const POPULATE_READ: usize = 22;
const POPULATE_WRITE: usize = 23;
const DONTNEED_LOCKED: usize = 24;
const COLLAPSE: usize = 25;
const GUARD_INSTALL: usize = 102;
const GUARD_REMOVE: usize = 103;
/// `PIDFD_SELF` of include/uapi/linux/pidfd.h, a whole thread group.
const THREAD_GROUP: usize = -10_001_isize as usize;

/// All but those that break memory.
const ADVICE: &[usize] = &[
    libc::MADV_DONTNEED as usize,
    libc::MADV_DONTNEED as usize,
    libc::MADV_DONTNEED as usize,
    libc::MADV_FREE as usize,
    libc::MADV_FREE as usize,
    libc::MADV_DONTFORK as usize,
    libc::MADV_DOFORK as usize,
    libc::MADV_WIPEONFORK as usize,
    libc::MADV_KEEPONFORK as usize,
    libc::MADV_HUGEPAGE as usize,
    libc::MADV_NOHUGEPAGE as usize,
    libc::MADV_COLD as usize,
    libc::MADV_PAGEOUT as usize,
    libc::MADV_REMOVE as usize,
    libc::MADV_RANDOM as usize,
    libc::MADV_SEQUENTIAL as usize,
    libc::MADV_NORMAL as usize,
    libc::MADV_WILLNEED as usize,
    libc::MADV_DONTDUMP as usize,
    libc::MADV_DODUMP as usize,
    libc::MADV_MERGEABLE as usize,
    libc::MADV_UNMERGEABLE as usize,
    POPULATE_READ,
    POPULATE_WRITE,
    DONTNEED_LOCKED,
    COLLAPSE,
    GUARD_INSTALL,
    GUARD_REMOVE,
    // No advice at all.
    77,
];

/// `madvise`.
pub fn advise(hand: &mut Hand) {
    let advice = hand.random.one_of(ADVICE);
    let mut range = hand.ground.range(hand.random);
    if matches!(advice, POPULATE_READ | POPULATE_WRITE | COLLAPSE) {
        range.len = range.len.min(MOST_FILLED);
    }
    let Range { start, len } = hand.maybe_spoilt(range);
    hand.call(Call::Madvise, [start, len, advice, 0, 0, 0]);
}

/// `process_madvise` on the process itself; in a child it is its parent.
pub fn advise_by_vector(hand: &mut Hand) {
    let mut vector = [[0_usize; 2]; 8];
    let count = hand.random.below(vector.len() + 1);
    for entry in &mut vector[..count] {
        let range = hand.ground.range(hand.random);
        let Range { start, len } = hand.maybe_spoilt(range);
        *entry = [start, len];
    }
    let advice = hand.random.one_of(ADVICE);
    if matches!(advice, POPULATE_READ | POPULATE_WRITE | COLLAPSE) {
        return;
    }
    let process = hand
        .random
        .one_of(&[hand.kit.itself as usize, THREAD_GROUP]);
    let vector = vector.as_ptr().addr();
    hand.call(Call::ProcessMadvise, [process, vector, count, advice, 0, 0]);
}

/// Writes to a page.
pub fn touch(hand: &mut Hand) {
    let range = hand.ground.range(hand.random);
    let page = hand.random.below(range.len / PAGE);
    hand.kit.touch(range.start + page * PAGE);
}

/// `mlock`, `mlock2`, `munlock`, of few pages: locking fills them.
pub fn lock(hand: &mut Hand) {
    let mut range = hand.ground.range(hand.random);
    range.len = range.len.min(MOST_FILLED);
    let Range { start, len } = hand.maybe_spoilt(range);
    let on_fault = 1;
    let call = hand
        .random
        .one_of(&[Call::Mlock, Call::Mlock2, Call::Munlock, Call::Munlock]);
    hand.call(call, [start, len, on_fault, 0, 0, 0]);
}

/// `mlockall` without filling anything, `munlockall`.
pub fn lock_all(hand: &mut Hand) {
    const CURRENT: usize = libc::MCL_CURRENT as usize;
    const FUTURE: usize = libc::MCL_FUTURE as usize;
    const ON_FAULT: usize = libc::MCL_ONFAULT as usize;
    match hand.random.below(6) {
        0 => hand.call(Call::Mlockall, [CURRENT | ON_FAULT, 0, 0, 0, 0, 0]),
        1 => hand.call(Call::Mlockall, [FUTURE | ON_FAULT, 0, 0, 0, 0, 0]),
        2 => hand.call(Call::Mlockall, [ON_FAULT, 0, 0, 0, 0, 0]),
        _ => hand.call(Call::Munlockall, [0; 6]),
    };
}

/// `prctl(PR_SET_VMA)`: names, no name, and a name that is none.
pub fn name(hand: &mut Hand) {
    const SET_VMA: usize = libc::PR_SET_VMA as usize;
    const ANON_NAME: usize = libc::PR_SET_VMA_ANON_NAME as usize;
    let range = hand.ground.range(hand.random);
    let Range { start, len } = hand.maybe_spoilt(range);
    let name = hand.random.one_of(&[
        Some(c"one"),
        Some(c"two"),
        Some(c"a name of many words"),
        Some(c"[brackets]"),
        None,
        None,
    ]);
    let name = name.map_or(0, |name| name.as_ptr().addr());
    hand.call(Call::Prctl, [SET_VMA, ANON_NAME, start, len, name, 0]);
}

/// `remap_file_pages`.
pub fn remap_file(hand: &mut Hand) {
    let range = hand.ground.range(hand.random);
    let Range { start, len } = hand.maybe_spoilt(range);
    let page = hand.random.below(Kit::FILE_PAGES);
    hand.call(Call::RemapFilePages, [start, len, 0, page, 0, 0]);
}
