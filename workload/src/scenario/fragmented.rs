//! Many small blocks, written, then freed except every hundredth.
//!
//! Shows what a few live blocks scattered over the heap keep from returning.
//! The kept blocks and the table of pointers stay until the process ends.

use super::small;
use crate::error::Error;
use crate::memory::Blocks;
use crate::report::{Action, Event};
use crate::stage::Stage;
use crate::units::Count;

/// One block in this many is kept.
const KEPT: usize = 100;

/// Whether the block with this index is freed.
fn freed(index: usize) -> bool {
    !(index + 1).is_multiple_of(KEPT)
}

/// Allocates and frees.
pub fn run(stage: &mut Stage) -> Result<(), Error> {
    let sizes = small::sizes(stage.size);
    let (count, bytes) = sizes.totals();
    let mut blocks = Blocks::fill(stage.allocator, sizes.clone())?;
    stage.step(Event::phase(Action::Alloc, count, bytes))?;

    blocks.free_where(freed);
    let indexed = sizes.enumerate().filter(|(index, _)| freed(*index));
    let bytes = indexed.map(|(_, size)| size).sum();
    let count = Count(count.0 - count.0 / KEPT);
    stage.step(Event::phase(Action::Free, count, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_block_in_a_hundred_is_kept() {
        let kept: Vec<_> = (0..1000).filter(|&index| !freed(index)).collect();
        assert_eq!(kept.len(), 10);
        assert_eq!(kept[..2], [99, 199]);
    }
}
