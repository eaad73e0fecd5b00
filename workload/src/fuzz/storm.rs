//! A thread's share of the calls: which ground, which deed, in turn.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::family::{self, Family};
use super::ground::{Ground, Range, Window};
use super::kernel::Kit;
use super::tally::{Call, Tally};
use super::{DONE, Mode, Settings, WARM_UP, advise, change, place};
use crate::error::Error;
use crate::random::Xorshift;

/// Grounds that threads use in turn.
const SHARED: usize = 8;
/// The window that all threads change at the same time.
const COMMON: Window = Window::new(SHARED);
/// Steps between two looks of the main thread's watch.
const STEPS: usize = 64;

/// What all threads see.
#[derive(Debug)]
pub struct Stage {
    pub kit: Kit,
    mode: Mode,
    /// Calls each thread makes.
    share: u64,
    /// How many children are made at most.
    pub most_children: usize,
    /// For each thread, then for the short-lived helper of each.
    workers: Vec<Mutex<Worker>>,
    shared: Vec<Mutex<Ground>>,
}

impl Stage {
    pub fn new(kit: Kit, settings: &Settings, threads: usize) -> Self {
        let windows = SHARED + 1;
        let workers = (0..2 * threads).map(|index| {
            let window = Window::new(windows + index);
            Mutex::new(Worker::new(settings.seed, index, threads, window))
        });
        let shared = (0..SHARED).map(|index| Mutex::new(Ground::new(Window::new(index))));
        Self {
            kit,
            mode: settings.mode,
            share: settings.calls.div_ceil(threads as u64),
            most_children: 16
                + usize::try_from(settings.calls / 50_000)
                    .unwrap_or(0)
                    .min(200),
            workers: workers.collect(),
            shared: shared.collect(),
        }
    }

    /// Makes a thread's share of the calls; the main thread has a watch to look at.
    pub fn run(
        &self,
        index: usize,
        look: &mut dyn FnMut(&Tally) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut worker = lock(&self.workers[index]);
        for step in 0_usize.. {
            super::rest();
            worker.step(self, self.mode);
            if WARM_UP.load(Ordering::Relaxed) {
                worker.made = 0;
            } else if worker.made >= self.share {
                break;
            }
            if step.is_multiple_of(STEPS) {
                look(self.kit.tally)?;
            }
        }
        worker.family.end();
        DONE.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// What a helper does.
    pub fn help(&self, index: usize) {
        let mut worker = lock(&self.workers[index]);
        let end = worker.made + 20 + worker.random.below(100) as u64;
        while worker.made < end {
            worker.deed(self, self.mode);
        }
    }
}

/// A thread of which another died holding it does not go on either.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A thread's own.
#[derive(Debug)]
pub struct Worker {
    pub random: Xorshift,
    own: Ground,
    /// The common window, and what this thread alone was given.
    conflict: Ground,
    pub family: Family,
    /// A ring of asynchronous I/O.
    ring: usize,
    made: u64,
    /// In a forked child: other threads' locks stay as they were at the fork.
    pub is_last: bool,
}

impl Worker {
    fn new(seed: u64, index: usize, threads: usize, window: Window) -> Self {
        // Odd constants, so that no two threads of neighbouring seeds begin alike.
        let own = (index as u64 + 1).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let state = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ own;
        Self {
            random: Xorshift::new(state),
            own: Ground::new(window),
            conflict: Ground::new(COMMON),
            family: Family::new(index, threads),
            ring: 0,
            made: 0,
            is_last: false,
        }
    }

    /// One deed, rarely one that makes or ends threads and processes.
    fn step(&mut self, stage: &Stage, mode: Mode) {
        if self.random.once_in(400) {
            family::step(self, stage);
        } else {
            self.deed(stage, mode);
        }
    }

    /// Calls that need no order with those of other threads, as many as are drawn.
    pub fn alone(&mut self, stage: &Stage, most: usize) {
        for _ in 0..1 + self.random.below(most) {
            self.deed(stage, Mode::Private);
        }
    }

    fn deed(&mut self, stage: &Stage, mode: Mode) {
        let Self {
            random,
            own,
            conflict,
            ring,
            made,
            is_last,
            ..
        } = self;
        let mode = match mode {
            Mode::Mixed => random.one_of(&[
                Mode::Private,
                Mode::Private,
                Mode::Private,
                Mode::Shared,
                Mode::Shared,
                Mode::Shared,
                Mode::Conflict,
            ]),
            mode => mode,
        };
        let mut shared = (mode == Mode::Shared).then(|| {
            let index = random.below(SHARED);
            lock(&stage.shared[index])
        });
        let ground = match &mut shared {
            Some(shared) => {
                match random.below(16) {
                    0 | 1 => own.hand_over(shared, random),
                    2 | 3 => shared.hand_over(own, random),
                    _ => {}
                }
                &mut **shared
            }
            None if mode == Mode::Conflict => conflict,
            None => own,
        };
        let hand = Hand {
            kit: &stage.kit,
            random,
            ground,
            ring,
            made,
            is_ordered: mode != Mode::Conflict && !*is_last,
        };
        hand.act();
    }
}

/// What a deed works with.
pub struct Hand<'a> {
    pub kit: &'a Kit,
    pub random: &'a mut Xorshift,
    pub ground: &'a mut Ground,
    pub ring: &'a mut usize,
    made: &'a mut u64,
    /// Whether what all threads share is changed under a lock.
    pub is_ordered: bool,
}

/// Something that is done in one call or a few.
type Deed = fn(&mut Hand);

/// How often each deed is done, and the deed.
#[rustfmt::skip]
const DEEDS: &[(usize, Deed)] = &[
    (200, place::map),
    (  1, place::grow_stack),
    (  4, place::attach_segment),
    (  2, place::detach_segment),
    (  4, place::map_new_file),
    (  1, place::ring),
    (170, change::unmap),
    ( 90, change::remap),
    (130, change::protect),
    ( 30, change::heap),
    (110, advise::advise),
    ( 12, advise::advise_by_vector),
    ( 60, advise::touch),
    ( 30, advise::lock),
    (  2, advise::lock_all),
    ( 30, advise::name),
    ( 10, advise::remap_file),
    (  4, change_appetite),
];

fn change_appetite(hand: &mut Hand) {
    hand.ground.change_appetite(hand.random);
}

impl Hand<'_> {
    fn act(mut self) {
        let mut drawn = self
            .random
            .below(DEEDS.iter().map(|(weight, _)| weight).sum());
        for (weight, deed) in DEEDS {
            match drawn.checked_sub(*weight) {
                None => return deed(&mut self),
                Some(left) => drawn = left,
            }
        }
    }

    /// Makes a call; none if it failed.
    pub fn call(&mut self, call: Call, arguments: [usize; 6]) -> Option<usize> {
        *self.made += 1;
        self.kit.call(call, arguments)
    }

    /// Moves the end of the heap.
    pub fn brk(&mut self, pages: usize) {
        *self.made += 1;
        self.kit.brk(pages);
    }

    /// The range, or rarely one that no call can be about.
    pub fn maybe_spoilt(&mut self, range: Range) -> Range {
        if !self.random.once_in(30) {
            return range;
        }
        match self.random.below(5) {
            0 => Range {
                start: range.start + 1 + self.random.below(4095),
                ..range
            },
            1 => Range { len: 0, ..range },
            2 => Range {
                // Up to the last page: rounded up to pages it overflows.
                len: usize::MAX - self.random.below(4000),
                ..range
            },
            3 => Range {
                start: 1 << 63,
                ..range
            },
            _ => Range {
                start: range.start.wrapping_neg() & !4095,
                ..range
            },
        }
    }
}
