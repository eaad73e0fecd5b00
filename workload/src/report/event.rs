//! What a step did.

use std::fmt;

use crate::memory::Block;
use crate::units::{Address, Bytes, Count};

/// The kind of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Nothing was done yet.
    Start,
    /// Allocated blocks.
    Alloc,
    /// Freed blocks.
    Free,
    /// Changed the size of a block.
    Realloc,
    /// Wrote to every page of a block.
    Touch,
    /// Did nothing for a while.
    Idle,
    /// Allocated and freed small blocks in turn.
    Tick,
    /// Waited for threads to end.
    Join,
    /// The scenario is over.
    End,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Start => "start",
            Self::Alloc => "alloc",
            Self::Free => "free",
            Self::Realloc => "realloc",
            Self::Touch => "touch",
            Self::Idle => "idle",
            Self::Tick => "tick",
            Self::Join => "join",
            Self::End => "end",
        })
    }
}

/// A step: what was done, and to how much memory.
#[derive(Debug, Clone, Copy)]
pub struct Event {
    /// What was done.
    pub action: Action,
    /// How many blocks it was done to; 0 if it was not done to blocks.
    pub blocks: Count,
    /// Their sizes added up, as asked of the allocator.
    pub bytes: Bytes,
    /// Where the block starts, if there was just one.
    pub address: Option<Address>,
}

impl Event {
    /// Something done to no block.
    pub fn bare(action: Action) -> Self {
        Self::phase(action, Count(0), Bytes::ZERO)
    }

    /// Something done to one block.
    pub fn one(action: Action, block: &Block) -> Self {
        Self {
            address: Some(block.address()),
            ..Self::phase(action, Count(1), block.bytes())
        }
    }

    /// Something done to many blocks of `bytes` in all.
    pub fn phase(action: Action, blocks: Count, bytes: Bytes) -> Self {
        Self {
            action,
            blocks,
            bytes,
            address: None,
        }
    }
}
