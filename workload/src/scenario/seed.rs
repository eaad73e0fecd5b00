//! The experiment that began it: eight large blocks, freed one by one. With
//! `Pages::Written` it is the scenario `touched`.
//!
//! Shows whether an allocator gives a large block's addresses back on free.

use crate::error::Error;
use crate::memory::Block;
use crate::report::{Action, Event};
use crate::stage::Stage;
use crate::units::Bytes;

const BLOCKS: usize = 8;

/// What is done with the blocks while they are allocated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pages {
    /// Nothing: they take address space but no memory.
    Untouched,
    /// Every page is written, which takes memory.
    Written,
}

/// Allocates eight blocks of an eighth of the size, then frees them in order.
pub fn run(stage: &mut Stage, pages: Pages) -> Result<(), Error> {
    let size = Bytes(stage.size.0 / BLOCKS);
    let mut blocks = [const { None }; BLOCKS];
    for slot in &mut blocks {
        let mut block = Block::new(stage.allocator, size)?;
        stage.step(Event::one(Action::Alloc, &block))?;
        if pages == Pages::Written {
            block.touch(Bytes::ZERO);
            stage.step(Event::one(Action::Touch, &block))?;
        }
        *slot = Some(block);
    }
    for block in blocks.into_iter().flatten() {
        let event = Event::one(Action::Free, &block);
        block.free();
        stage.step(event)?;
    }
    Ok(())
}
