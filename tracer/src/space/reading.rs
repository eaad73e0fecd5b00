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
}

impl Reading {
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
