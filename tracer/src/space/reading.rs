//! A reading of the kernel's map, and whether calls went on meanwhile.

use super::vma::Vma;
use crate::{
    event::{Event, EventKind},
    units::{Bytes, Nanos},
};

/// The kernel's map of a process, read between two moments.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Reading {
    /// Its lines.
    pub vmas: Vec<Vma>,
    /// When the reading began.
    pub begun: Nanos,
    /// When it ended.
    pub ended: Nanos,
    /// VmSize, read in between.
    pub vm_size: Bytes,
    /// `VmStk`: stacks that grow, read in between.
    pub stack: Bytes,
    /// `VmRSS`, read in between.
    pub rss: Bytes,
    /// Whether calls were under way, by the kernel side's own counters. `None`: they could
    /// not be read.
    #[serde(skip)]
    pub disturbed: Option<bool>,
    /// Whether there are stacks that grow besides the main one. The map does not tell which
    /// of its lines they are.
    #[serde(skip)]
    pub other_stacks: bool,
}

impl Reading {
    /// Whether the kernel counts more as stacks that grow than the main one has in a map read
    /// `later`: it can only have grown meanwhile.
    #[must_use]
    pub fn has_more_stacks_than(&self, later: &[Vma]) -> bool {
        self.stack > main_stack(later)
    }

    /// Whether nothing can have changed the map while it was read: none of these calls, and
    /// none whose record is still to come.
    #[must_use]
    pub fn is_quiet(&self, calls: &[Event]) -> bool {
        self.disturbed != Some(true)
            && !calls.iter().any(|event| {
                let EventKind::Call(call) = &event.kind else {
                    return false;
                };
                !call.syscall.is_task_call()
                    && call.outcome.is_ok()
                    && event.entered <= self.ended
                    && event.exited >= self.begun
            })
    }
}

/// The size of the main thread's stack in a map.
fn main_stack(vmas: &[Vma]) -> Bytes {
    let lines = vmas.iter().filter(|vma| vma.name == "[stack]");
    lines.map(|vma| vma.span.len()).sum()
}
