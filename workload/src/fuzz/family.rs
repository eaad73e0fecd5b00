//! Threads and processes that come and go while calls are made, and stacks
//! that grow.

use std::hint::black_box;
use std::sync::atomic::Ordering;

use super::kernel;
use super::storm::{Stage, Worker};
use super::{SHARED, STACK, WARM_UP};
use crate::thread::{Body, Thread};

/// Who depends on a thread.
#[derive(Debug)]
pub struct Family {
    /// The helper's place among the workers.
    helper_index: usize,
    helper: Option<Thread>,
    child: Option<libc::pid_t>,
    /// Pages to which the stack may be used: the main thread's grows.
    deepest: usize,
}

impl Family {
    pub fn new(index: usize, threads: usize) -> Self {
        Self {
            helper_index: threads + index,
            helper: None,
            child: None,
            deepest: if index == 0 { 1024 } else { 16 },
        }
    }

    /// Waits until nobody is left who ends by itself.
    pub fn end(&mut self) {
        self.end_helper();
        self.end_child();
    }

    fn end_helper(&mut self) -> bool {
        let Some(helper) = self.helper.take() else {
            return false;
        };
        // It was started joinable and is joined once: that cannot fail.
        helper.join().is_ok()
    }

    fn end_child(&mut self) {
        if let Some(child) = self.child.take() {
            kernel::wait_for(child);
        }
    }
}

/// One of these things.
pub fn step(worker: &mut Worker, stage: &Stage) {
    match worker.random.below(8) {
        0 => fork(worker, stage),
        1 => borrow(worker, stage),
        2..5 => thread(worker),
        _ => deepen(worker),
    }
}

/// A thread is made, or one that was made before is waited for.
fn thread(worker: &mut Worker) {
    let family = &mut worker.family;
    if !family.end_helper() {
        // Where threads are limited there is none.
        family.helper = Thread::start::<Helper>(family.helper_index, STACK).ok();
    }
}

struct Helper;

impl Body for Helper {
    fn run(index: usize) {
        if let Some(stage) = SHARED.get() {
            stage.help(index);
        }
    }
}

/// A child makes calls of its own, then ends or lives on.
fn fork(worker: &mut Worker, stage: &Stage) {
    worker.family.end_child();
    let tally = stage.kit.tally;
    // Who attaches to this process then does not see the children that it has already.
    if WARM_UP.load(Ordering::Relaxed) {
        return;
    }
    if !tally.may_fork(stage.most_children) {
        return;
    }
    let lives = worker.random.once_in(4);
    let place = lives.then(|| tally.promise_to_live()).flatten();
    match (kernel::fork(), place) {
        (Some(0), place) => {
            worker.is_last = true;
            worker.alone(stage, 200);
            if let Some(place) = place {
                tally.settle(place, kernel::own_id());
                kernel::outlive_nobody(&stage.kit);
            }
            kernel::exit_now();
        }
        (None, Some(_)) => tally.settle_without(),
        (child, None) => worker.family.child = child,
        (Some(_), Some(_)) => {}
    }
}

/// A child makes calls in this very address space.
fn borrow(worker: &mut Worker, stage: &Stage) {
    kernel::borrow(&mut || worker.alone(stage, 20));
}

/// Uses the stack deeply.
fn deepen(worker: &mut Worker) {
    let depth = worker.random.below(worker.family.deepest);
    let limit = worker.random.one_of(&[8, 64, 1024]);
    descend(depth.min(limit));
}

/// Each level takes a page and some.
#[inline(never)]
fn descend(depth: usize) -> u8 {
    let mut page = [0_u8; 4096];
    let used = black_box(&mut page)[depth % 4096];
    // Added afterwards, so that no level can take the place of the one before.
    depth.checked_sub(1).map_or(0, descend).wrapping_add(used)
}
