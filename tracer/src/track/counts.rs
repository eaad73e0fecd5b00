//! What arrived, by call.

use std::collections::BTreeMap;

use crate::{
    event::{Event, EventKind, Syscall},
    report::CallCount,
    space::effect::Effect,
    units::Nanos,
};

/// Events of one address space.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Events received.
    pub received: u64,
    /// Calls that were applied, by call.
    pub by_call: BTreeMap<Syscall, CallCount>,
    /// When the last applied call was left.
    pub(super) last_exit: Nanos,
}

impl Counts {
    pub(super) fn note(&mut self, event: &Event, effect: &Effect) {
        let EventKind::Call(call) = &event.kind else {
            return;
        };
        let count = self.by_call.entry(call.syscall).or_default();
        count.calls += 1;
        count.failed += u64::from(call.outcome.is_err());
        count.bytes += effect.concerned;
        if !call.syscall.is_task_call() {
            self.last_exit = self.last_exit.max(event.exited);
        }
    }
}
