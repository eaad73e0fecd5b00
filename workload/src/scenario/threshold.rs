//! One block at a time, of sizes around and above glibc's mmap threshold of
//! 128 KiB, written and freed at once; the whole sweep twice.
//!
//! Shows glibc's dynamic threshold: freeing a block that had a mapping of its
//! own raises the threshold to its size, at most 32 MiB, so in the second
//! sweep blocks up to that come from the heap instead.

use crate::error::Error;
use crate::memory::Block;
use crate::report::{Action, Event};
use crate::stage::Stage;
use crate::units::Bytes;

const SWEEPS: usize = 2;

/// The sizes of a sweep; those above the scenario's size are left out.
const SIZES: [Bytes; 13] = [
    Bytes::kib(64),
    Bytes::kib(127),
    Bytes::kib(128),
    Bytes::kib(129),
    Bytes::kib(256),
    Bytes::kib(512),
    Bytes::mib(1),
    Bytes::mib(2),
    Bytes::mib(4),
    Bytes::mib(8),
    Bytes::mib(16),
    Bytes::mib(31),
    Bytes::mib(33),
];

/// Runs both sweeps.
pub fn run(stage: &mut Stage) -> Result<(), Error> {
    for _ in 0..SWEEPS {
        for size in SIZES {
            if size <= stage.size {
                alloc_and_free(stage, size)?;
            }
        }
    }
    Ok(())
}

fn alloc_and_free(stage: &mut Stage, size: Bytes) -> Result<(), Error> {
    let mut block = Block::new(stage.allocator, size)?;
    block.touch(Bytes::ZERO);
    let freed = Event::one(Action::Free, &block);
    stage.step(Event::one(Action::Alloc, &block))?;
    block.free();
    stage.step(freed)
}
