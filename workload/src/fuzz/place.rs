//! Deeds that map: `mmap` in many ways, segments, rings, stacks that grow.

use super::ground::{PAGE, Range};
use super::kernel::{self, Kit};
use super::storm::Hand;
use super::tally::Call;
use super::{change, ground::Window};
use crate::random::Xorshift;

const NONE: usize = 0;
const READ: usize = libc::PROT_READ as usize;
const WRITE: usize = libc::PROT_WRITE as usize;
const EXEC: usize = libc::PROT_EXEC as usize;
const PRIVATE: usize = libc::MAP_PRIVATE as usize;
const SHARED: usize = libc::MAP_SHARED as usize;
const ANONYMOUS: usize = libc::MAP_ANONYMOUS as usize;
const FIXED: usize = libc::MAP_FIXED as usize;
const FIXED_NOREPLACE: usize = libc::MAP_FIXED_NOREPLACE as usize;
const POPULATE: usize = libc::MAP_POPULATE as usize;
const NORESERVE: usize = libc::MAP_NORESERVE as usize;
const STACK: usize = libc::MAP_STACK as usize;
const GROWSDOWN: usize = libc::MAP_GROWSDOWN as usize;
const LOCKED: usize = libc::MAP_LOCKED as usize;

/// Longest range that is filled with pages.
const MOST_FILLED: usize = 16;
/// Every segment has this many pages.
const SEGMENT: usize = 8;

/// What a new mapping is of.
struct Kind {
    prot: usize,
    flags: usize,
    file: usize,
}

/// Any protection, the usual one most often.
pub fn any_prot(random: &mut Xorshift) -> usize {
    let usual = READ | WRITE;
    random.one_of(&[
        usual,
        usual,
        usual,
        NONE,
        NONE,
        READ,
        READ,
        READ | EXEC,
        WRITE,
        usual | EXEC,
    ])
}

fn any_kind(hand: &mut Hand) -> Kind {
    let random = &mut *hand.random;
    let none = usize::MAX;
    let prot = any_prot(random);
    let (flags, file) = match random.below(16) {
        0..8 => (PRIVATE | ANONYMOUS, none),
        8 => (PRIVATE | ANONYMOUS | NORESERVE, none),
        9 => (SHARED | ANONYMOUS, none),
        10 => (PRIVATE, hand.kit.memory as usize),
        11 => (SHARED, hand.kit.memory as usize),
        12 => (PRIVATE, hand.kit.program as usize),
        // To be written to it would have to be opened for that.
        13 => (SHARED, hand.kit.program as usize),
        14 if random.once_in(20) => (PRIVATE | ANONYMOUS | GROWSDOWN, none),
        14 => (PRIVATE | ANONYMOUS | STACK, none),
        // No such descriptor.
        _ if random.once_in(4) => (PRIVATE, none),
        _ => (PRIVATE | ANONYMOUS, none),
    };
    Kind { prot, flags, file }
}

/// A length in pages: mostly short, rarely MiBs.
fn any_length(random: &mut Xorshift) -> usize {
    let longest = match random.below(32) {
        0..24 => 16,
        24..31 => 128,
        _ => 2048,
    };
    1 + random.below(longest)
}

/// `mmap`.
pub fn map(hand: &mut Hand) {
    if hand.ground.is_full() {
        return change::unmap_placed(hand);
    }
    let Kind {
        prot,
        mut flags,
        file,
    } = any_kind(hand);
    let pages = any_length(hand.random);
    if pages <= MOST_FILLED && hand.random.once_in(16) {
        flags |= hand.random.one_of(&[POPULATE, LOCKED]);
    }
    let window = hand.ground.window;
    let len = pages * PAGE;
    let (target, fixed) = match hand.random.below(10) {
        0..5 => (Range { start: 0, len }, 0),
        5 | 6 => (window.room(hand.random, len), FIXED),
        7 => (window.room(hand.random, len), FIXED_NOREPLACE),
        8 => (window.room(hand.random, len), 0),
        _ => (hand.ground.placed_range(hand.random), FIXED),
    };
    // Lengths that overflow and starts that are no user's fail; without `MAP_FIXED` another
    // start is a hint.
    let target = match hand.maybe_spoilt(target) {
        spoilt if fixed == FIXED || spoilt.len != target.len => spoilt,
        _ => target,
    };
    let offset = offset(hand.random, target.len);
    let arguments = [target.start, target.len, prot, flags | fixed, file, offset];
    let placed = hand.call(Call::Mmap, arguments);
    if let Some(start) = placed.filter(|_| fixed != FIXED) {
        hand.ground.add(Range {
            start,
            len: target.len.next_multiple_of(PAGE),
        });
    }
}

/// Within the file as a rule; rarely at no page's start.
fn offset(random: &mut Xorshift, len: usize) -> usize {
    let room = Kit::FILE_PAGES.saturating_sub(len / PAGE).max(1);
    let odd = if random.once_in(50) { 1 } else { 0 };
    random.below(room) * PAGE + odd
}

/// A file of its own, mapped, its descriptor closed at once.
pub fn map_new_file(hand: &mut Hand) {
    if hand.ground.is_full() {
        return;
    }
    let pages = 1 + hand.random.below(MOST_FILLED);
    let Ok(file) = kernel::new_file(pages) else {
        return;
    };
    let flags = hand.random.one_of(&[SHARED, PRIVATE]);
    let len = pages * PAGE;
    let arguments = [0, len, READ | WRITE, flags, file as usize, 0];
    if let Some(start) = hand.call(Call::Mmap, arguments) {
        hand.ground.add(Range { start, len });
    }
    kernel::close(file);
}

/// `shmat`, at an address of the kernel's choice or of ours; perhaps `shmdt` of what was changed
/// in between.
pub fn attach_segment(hand: &mut Hand) {
    if hand.ground.is_full() {
        return;
    }
    let Some(id) = kernel::new_segment(SEGMENT) else {
        return;
    };
    let len = SEGMENT * PAGE;
    let room = hand.ground.window.room(hand.random, len);
    let (read_only, remap) = (libc::SHM_RDONLY as usize, libc::SHM_REMAP as usize);
    let (start, flags) = match hand.random.below(8) {
        0 => (room.start, 0),
        1 => (room.start, remap),
        2 => (0, read_only),
        _ => (0, 0),
    };
    let placed = hand.call(Call::Shmat, [id, start, flags, 0, 0, 0]);
    kernel::drop_segment(id);
    let Some(start) = placed else {
        return;
    };
    let whole = Range { start, len };
    if hand.random.once_in(2) {
        hand.ground.add(whole);
        return;
    }
    if hand.random.once_in(2) {
        let part = Range {
            start: start + PAGE,
            len: PAGE,
        };
        let call = hand.random.one_of(&[Call::Munmap, Call::Mprotect]);
        hand.call(call, [part.start, part.len, READ, 0, 0, 0]);
    }
    hand.call(Call::Shmdt, [start, 0, 0, 0, 0, 0]);
}

/// `shmdt` of any range: mostly there is no segment.
pub fn detach_segment(hand: &mut Hand) {
    let Range { start, .. } = hand.ground.range(hand.random);
    if hand.call(Call::Shmdt, [start, 0, 0, 0, 0, 0]).is_some() {
        hand.ground.remove(Range {
            start,
            len: SEGMENT * PAGE,
        });
    }
}

/// `io_setup`, or `io_destroy` of what it made. Rare: the latter waits for many milliseconds.
pub fn ring(hand: &mut Hand) {
    if !hand.random.once_in(10) {
        return;
    }
    if *hand.ring != 0 {
        hand.call(Call::IoDestroy, [*hand.ring, 0, 0, 0, 0, 0]);
        *hand.ring = 0;
        return;
    }
    let mut ring = 0_usize;
    hand.call(Call::IoSetup, [8, (&raw mut ring).addr(), 0, 0, 0, 0]);
    *hand.ring = ring;
}

/// A mapping that grows when what lies below it is written to.
pub fn grow_stack(hand: &mut Hand) {
    let window: Window = hand.ground.window;
    if hand.random.once_in(4) {
        let hem = window.hem();
        hand.call(Call::Munmap, [hem.start, hem.len, 0, 0, 0, 0]);
        return;
    }
    let (stack, below) = window.stack(hand.random);
    let flags = PRIVATE | ANONYMOUS | FIXED | GROWSDOWN;
    let arguments = [stack.start, stack.len, READ | WRITE, flags, usize::MAX, 0];
    hand.call(Call::Mmap, arguments);
    hand.kit.touch(below);
}
