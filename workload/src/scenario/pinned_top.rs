//! A heap of equal blocks with one small block above them; only that one is
//! kept.
//!
//! Shows that a heap which can shrink only from its top (brk) cannot shrink
//! below a live block there. The small block and the table of pointers stay
//! until the process ends.

use crate::error::Error;
use crate::memory::{Block, Blocks};
use crate::report::{Action, Event};
use crate::sizes::Sizes;
use crate::stage::Stage;
use crate::units::Bytes;

const BLOCK: Bytes = Bytes::kib(64);
/// Above the 1032 bytes that glibc would keep in a per-thread cache.
const PIN: Bytes = Bytes(2000);
/// How many blocks to try before taking one that is not on top: free places
/// below are filled first, and some allocators never place it there.
const TRIES: usize = 64;

/// Fills the heap, pins its top, frees the rest.
pub fn run(stage: &mut Stage) -> Result<(), Error> {
    let sizes = Sizes::even(BLOCK, BLOCK, stage.size);
    let (count, bytes) = sizes.totals();
    let mut blocks = Blocks::fill(stage.allocator, sizes)?;
    stage.step(Event::phase(Action::Alloc, count, bytes))?;

    let pin = pin(&mut blocks, stage)?;
    stage.step(Event::one(Action::Alloc, &pin))?;

    blocks.free_where(|_| true);
    stage.step(Event::phase(Action::Free, count, bytes))
}

/// Allocates a block above all the others if one can be had.
fn pin(blocks: &mut Blocks, stage: &Stage) -> Result<Block, Error> {
    let top = blocks.highest();
    let mut below = [const { None }; TRIES];
    let mut pin = Block::new(stage.allocator, PIN)?;
    for slot in &mut below {
        if Some(pin.address()) > top {
            break;
        }
        *slot = Some(pin);
        pin = Block::new(stage.allocator, PIN)?;
    }
    pin.touch(Bytes::ZERO);
    for block in below.into_iter().flatten() {
        block.free();
    }
    Ok(pin)
}
