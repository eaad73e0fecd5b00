//! Deeds that change what is mapped: `munmap`, `mremap`, `mprotect`, `brk`.

use std::sync::{Mutex, PoisonError};

use super::ground::{PAGE, Range};
use super::place::any_prot;
use super::storm::Hand;
use super::tally::Call;

const MAYMOVE: usize = libc::MREMAP_MAYMOVE as usize;
const FIXED: usize = libc::MREMAP_FIXED as usize;
const DONTUNMAP: usize = libc::MREMAP_DONTUNMAP as usize;
const GROWSDOWN: usize = libc::PROT_GROWSDOWN as usize;
/// The heap's end moves within so many pages.
const HEAP: usize = 512;

/// `munmap`.
pub fn unmap(hand: &mut Hand) {
    let range = hand.ground.range(hand.random);
    unmap_range(hand, range);
}

/// `munmap` of what the kernel placed, to keep down how much that is.
pub fn unmap_placed(hand: &mut Hand) {
    let range = hand.ground.placed_range(hand.random);
    unmap_range(hand, range);
}

fn unmap_range(hand: &mut Hand, range: Range) {
    let asked = hand.maybe_spoilt(range);
    if hand
        .call(Call::Munmap, [asked.start, asked.len, 0, 0, 0, 0])
        .is_some()
    {
        hand.ground.remove(asked);
    }
}

/// `mremap`.
pub fn remap(hand: &mut Hand) {
    if hand.ground.is_crowded() {
        return unmap_placed(hand);
    }
    let old = hand.ground.range(hand.random);
    let is_placed = !hand.ground.window.holds(old);
    // In a window there are holes, so that most of these fail. Some should: a part may have moved.
    let may_fix = is_placed || hand.random.once_in(20);
    let pages = old.len / PAGE;
    let new_pages = match hand.random.below(8) {
        0..3 => 1 + hand.random.below(pages),
        3..6 => pages + 1 + hand.random.below(16),
        _ => pages,
    };
    let spoilt = hand.maybe_spoilt(old);
    let (old_len, new_len) = (spoilt.len, new_pages * PAGE);
    let (flags, old_len, new_len) = match hand.random.below(12) {
        0 | 1 => (0, old_len, new_len),
        // Where it fails it may have cut off the end first: what is not ours alone keeps its
        // length.
        2..=4 if !may_fix => (MAYMOVE, old_len, new_len),
        2 if is_placed => (MAYMOVE | FIXED, old_len, old_len),
        2 => (MAYMOVE | FIXED, old_len, new_len),
        3 => (MAYMOVE | FIXED, old_len, old_len),
        4 => (MAYMOVE | DONTUNMAP | FIXED, old_len, old_len),
        5 => (MAYMOVE | DONTUNMAP, old_len, old_len),
        6 => (MAYMOVE, 0, new_len),
        // Needs to be allowed to move.
        7 if hand.random.once_in(4) => (FIXED, old_len, new_len),
        _ => (MAYMOVE, old_len, new_len),
    };
    let target = hand.ground.window.room(hand.random, new_len.min(1 << 30));
    if flags & FIXED != 0 && new_len > target.len {
        // It would not fit into the window.
        return;
    }
    let arguments = [spoilt.start, old_len, new_len, flags, target.start, 0];
    let Some(start) = hand.call(Call::Mremap, arguments) else {
        return;
    };
    // The kernel rounds up to pages without regard to overflow: then it is 0, and what was there
    // stays.
    let gone = pages_up(old_len);
    if flags & DONTUNMAP == 0 && gone != 0 {
        hand.ground.remove(Range {
            start: spoilt.start,
            len: gone,
        });
    }
    hand.ground.add(Range {
        start,
        len: pages_up(new_len),
    });
}

const fn pages_up(len: usize) -> usize {
    len.wrapping_add(PAGE - 1) & !(PAGE - 1)
}

/// `mprotect` and `pkey_mprotect`.
pub fn protect(hand: &mut Hand) {
    let mut prot = any_prot(hand.random);
    let range = if hand.random.once_in(200) {
        prot |= GROWSDOWN;
        // Elsewhere the mapping may go on below with what is another thread's.
        hand.ground.window.range(hand.random)
    } else {
        hand.ground.range(hand.random)
    };
    let Range { start, len } = hand.maybe_spoilt(range);
    if hand.random.once_in(10) {
        let no_key = usize::MAX;
        hand.call(Call::PkeyMprotect, [start, len, prot, no_key, 0, 0]);
    } else {
        hand.call(Call::Mprotect, [start, len, prot, 0, 0, 0]);
    }
}

/// `brk`, up and down.
pub fn heap(hand: &mut Hand) {
    static HEAP_TURN: Mutex<()> = Mutex::new(());
    let pages = hand.random.below(HEAP);
    let _turn = hand
        .is_ordered
        .then(|| HEAP_TURN.lock().unwrap_or_else(PoisonError::into_inner));
    hand.brk(pages);
}
