//! Many small blocks, written, then all freed in the order of allocation.
//!
//! Shows how much an allocator keeps of memory that is wholly free.

use crate::error::Error;
use crate::memory::Blocks;
use crate::report::{Action, Event};
use crate::sizes::Sizes;
use crate::stage::Stage;
use crate::units::Bytes;

/// The blocks of this scenario and of `fragmented`.
pub fn sizes(total: Bytes) -> Sizes {
    Sizes::even(Bytes(64), Bytes::kib(4), total)
}

/// Allocates and frees.
pub fn run(stage: &mut Stage) -> Result<(), Error> {
    let sizes = sizes(stage.size);
    let (count, bytes) = sizes.totals();
    let blocks = Blocks::fill(stage.allocator, sizes)?;
    stage.step(Event::phase(Action::Alloc, count, bytes))?;
    blocks.free_all();
    stage.step(Event::phase(Action::Free, count, bytes))
}
