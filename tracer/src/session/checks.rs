//! Whole comparisons with the kernel's map while a run goes on, at a bounded cost.
//!
//! The comparison of sizes after each quiet event cannot see what leaves VmSize as it is.

use super::Session;
use crate::{
    event::Event,
    units::{Nanos, Pid},
    world::World,
};

/// From one comparison of a process to its next, at least.
const INTERVAL: u64 = 10_000_000_000;
/// After a comparison that calls disturbed.
const RETRY: u64 = 1_000_000_000;
/// How many times as long as a reading took no map is read for a comparison: a fiftieth of
/// one processor at most.
const PAUSE_PER_READING: u64 = 50;

/// When the next comparisons are made.
#[derive(Debug, Default)]
pub struct Checks {
    /// No map is read for one before.
    not_before: Nanos,
}

impl<W: World> Session<'_, W> {
    /// Compares the process that has waited longest, if one is due.
    pub(super) fn check_one(&mut self, show: &mut dyn FnMut(&Event)) {
        let now = self.world.now();
        if now < self.checks.not_before {
            return;
        }
        let spaces = &self.spaces;
        let is_live = |space| {
            spaces
                .get(space)
                .is_some_and(|tracked| !tracked.wants_reading())
        };
        let waiting = self
            .processes
            .values()
            .filter(|process| !process.awaits_exec && process.next_check <= now)
            .filter(|process| is_live(&process.space));
        let Some(pid) = waiting
            .min_by_key(|process| process.next_check)
            .map(|process| process.pid)
        else {
            return;
        };
        let pause = match self.compare_whole(pid, show) {
            Some(true) => INTERVAL,
            Some(false) | None => RETRY,
        };
        let ended = self.world.now();
        let took = ended.since(now);
        self.checks.not_before = Nanos(ended.0.saturating_add(took * PAUSE_PER_READING));
        if let Some(process) = self.processes.get_mut(&pid) {
            process.next_check = Nanos(ended.0.saturating_add(pause));
        }
    }

    /// Whether the comparison decided; `None` if the map could not be read.
    fn compare_whole(&mut self, pid: Pid, show: &mut dyn FnMut(&Event)) -> Option<bool> {
        let before = self.space_of(pid)?;
        let reading = self.read(pid).ok()?;
        self.catch_up(reading.ended, show);
        let space = self.space_of(pid)?;
        if space != before {
            return None;
        }
        let tracked = self.spaces.get_mut(&space)?;
        Some(!tracked.wants_reading() && tracked.verify(&reading, false))
    }
}
