//! Blocks of many sizes, written and all freed, then a pause, then a little
//! traffic.
//!
//! Shows that some allocators give memory back only some time after a free,
//! and then only when the program calls them again. On jemalloc the age of
//! freed memory counts from such a call: there this traffic releases nothing,
//! and only its going on for the 10 s of the decay time would.

use std::thread;

use crate::error::Error;
use crate::memory::{Block, Blocks};
use crate::random::Xorshift;
use crate::report::{Action, Event};
use crate::sizes::Sizes;
use crate::stage::Stage;
use crate::units::{Bytes, Count};

/// How many small blocks the traffic allocates and frees in turn.
const TICKS: usize = 4000;

/// Allocates, frees, idles and ticks.
pub fn run(stage: &mut Stage) -> Result<(), Error> {
    let sizes = Sizes::doublings(Bytes::kib(8), Bytes::mib(6), stage.size);
    let (count, bytes) = sizes.totals();
    let blocks = Blocks::fill(stage.allocator, sizes)?;
    stage.step(Event::phase(Action::Alloc, count, bytes))?;
    blocks.free_all();
    stage.step(Event::phase(Action::Free, count, bytes))?;

    thread::sleep(stage.idle.0);
    stage.step(Event::bare(Action::Idle))?;

    let mut random = Xorshift::new(1);
    let mut bytes = Bytes::ZERO;
    for _ in 0..TICKS {
        let mut block = Block::new(stage.allocator, random.between(Bytes(16), Bytes::kib(1)))?;
        block.touch(Bytes::ZERO);
        bytes = bytes + block.bytes();
        block.free();
    }
    stage.step(Event::phase(Action::Tick, Count(TICKS), bytes))
}
