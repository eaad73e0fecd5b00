//! Sixteen threads, each with a working set of its own, all at the same time.
//!
//! Shows per-thread arenas and caches, and what they keep when the threads
//! are gone. Stacks are 8 MiB, the usual default of the C library.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex, OnceLock, PoisonError};

use crate::allocator::Allocator;
use crate::error::Error;
use crate::memory::Blocks;
use crate::report::{Action, Event};
use crate::sizes::Sizes;
use crate::stage::Stage;
use crate::thread::{Body, Thread};
use crate::units::{Bytes, Count};

const THREADS: usize = 16;
const STACK: Bytes = Bytes::mib(8);

/// What the threads are to allocate, each in an order of its own.
static PLAN: OnceLock<(Allocator, Sizes)> = OnceLock::new();
/// Where the threads and the reporter meet: once all are started, then after
/// each phase and before the next.
static MEETING: Barrier = Barrier::new(THREADS + 1);
/// What the threads have allocated.
static BLOCKS: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicUsize = AtomicUsize::new(0);
/// Why one of them could not.
static FAILURE: Mutex<Option<Error>> = Mutex::new(None);

/// Starts the threads, then reports when all have allocated, when all have
/// freed, and when all have ended.
pub fn run(stage: &mut Stage) -> Result<(), Error> {
    let share = Bytes(stage.size.0 / THREADS);
    let sizes = Sizes::doublings(Bytes(16), Bytes::kib(256), share);
    PLAN.get_or_init(|| (stage.allocator, sizes));

    let mut threads = [const { None }; THREADS];
    for (index, thread) in threads.iter_mut().enumerate() {
        *thread = Some(Thread::start::<Worker>(index, STACK)?);
    }
    MEETING.wait();
    for action in [Action::Alloc, Action::Free] {
        MEETING.wait();
        let failure = FAILURE
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        failure.map_or(Ok(()), Err)?;
        let blocks = Count(BLOCKS.load(Ordering::Relaxed));
        let bytes = Bytes(BYTES.load(Ordering::Relaxed));
        stage.step(Event::phase(action, blocks, bytes))?;
        MEETING.wait();
    }
    for thread in threads.into_iter().flatten() {
        thread.join()?;
    }
    stage.step(Event::bare(Action::Join))
}

struct Worker;

impl Body for Worker {
    fn run(index: usize) {
        let Some((allocator, sizes)) = PLAN.get() else {
            return;
        };
        MEETING.wait();
        let sizes = sizes.clone().sequence(index);
        let (count, bytes) = sizes.totals();
        let blocks = Blocks::fill(*allocator, sizes).map_err(|error| {
            *FAILURE.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        });
        BLOCKS.fetch_add(count.0, Ordering::Relaxed);
        BYTES.fetch_add(bytes.0, Ordering::Relaxed);
        MEETING.wait();
        MEETING.wait();
        if let Ok(blocks) = blocks {
            blocks.free_all();
        }
        MEETING.wait();
        MEETING.wait();
        allocator.leave_thread();
    }
}
