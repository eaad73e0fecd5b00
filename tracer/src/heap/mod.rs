//! The heap view: what a program asked of its allocator. Sums of the kernel side in, estimates
//! with their error out.
//!
//! Plain data and arithmetic, shared by who probes, who judges and who shows. Nothing here
//! reads anything.

mod estimate;
pub mod functions;

pub use estimate::{Estimate, Tracked};
use serde::{Deserialize, Serialize};

use crate::units::{Addr, Bytes, Nanos};

/// What is tracked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// Smaller blocks are only counted.
    pub min: Bytes,
    /// Blocks are tracked by chance, one in so many bytes; `None`: all of them.
    pub sample: Option<Bytes>,
    /// Blocks tracked at the same time, of all processes together.
    pub most: u32,
}

impl Wish {
    /// Whether every block is tracked.
    #[must_use]
    pub const fn is_exact(&self) -> bool {
        self.sample.is_none() && self.min.0 == 0
    }
}

/// What was found when the files of a process were looked at for functions to probe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// Files with functions of allocators, probed now or before; those told of earlier are not
    /// told again.
    pub files: Vec<ProbedFile>,
    /// What could not be probed, in words.
    pub trouble: Vec<String>,
}

/// A file with probed functions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbedFile {
    /// Its path, as the process' map shows it.
    pub path: String,
    /// How many functions of it are probed.
    pub functions: u32,
    /// Whether code of it may have run before.
    pub late: bool,
    /// Since when they are.
    pub since: Nanos,
}

/// Counts of one process, all exact whatever is tracked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Blocks handed out.
    pub allocated: u64,
    /// The bytes that were asked for them.
    pub allocated_bytes: Bytes,
    /// Calls that returned no block.
    pub failed: u64,
    /// Tracked blocks that were given back.
    pub freed: u64,
    /// Their bytes.
    pub freed_bytes: Bytes,
    /// Blocks given back that are not tracked: too small, not sampled, or older than the probes.
    pub unmatched: u64,
    /// Blocks that are only counted, because they are too small or were not sampled.
    pub untracked: u64,
    /// Their bytes.
    pub untracked_bytes: Bytes,
    /// Blocks that should be tracked and are not, because the table was full.
    pub lost: u64,
    /// Their bytes.
    pub lost_bytes: Bytes,
    /// Tracked blocks that were handed out again although nobody was seen giving them back.
    pub reused: u64,
    /// Calls that were entered and never seen returning.
    pub abandoned: u64,
    /// Blocks tracked without a place, because the table of places was full.
    pub unplaced: u64,
}

/// What the kernel side has of one process at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    /// What was tracked.
    pub wish: Wish,
    /// Counts.
    pub totals: Totals,
    /// What is handed out, of each range that was asked about.
    pub spans: Vec<Tracked>,
    /// What is handed out anywhere.
    pub outstanding: Tracked,
    /// Places that allocate, the one with the most bytes handed out first.
    pub places: Vec<Place>,
    /// What the places that are left out have handed out.
    pub rest: Tracked,
    /// How many were left out.
    pub left_out: u64,
}

/// A place in a program that allocates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The instruction behind the call; 0 if unknown.
    pub ip: Addr,
    /// The stack pointer there, the first time.
    pub sp: Addr,
    /// The frame pointer then, or whatever its register had.
    pub fp: Addr,
    /// The top of the stack then.
    pub stack: Vec<u64>,
    /// Tracked blocks handed out so far.
    pub allocated: u64,
    /// Their bytes, or how many they stand for.
    pub allocated_bytes: Bytes,
    /// Tracked blocks given back.
    pub freed: u64,
    /// Their bytes, or how many they stand for.
    pub freed_bytes: Bytes,
    /// What is handed out.
    pub outstanding: Tracked,
}
