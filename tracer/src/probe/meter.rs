//! What the programs cost: the kernel's statistics for a moment, summed over them.
//!
//! While anybody has the statistics switched on the kernel reads a clock before and after each
//! run of each program of the machine. So they are on for the first moment only, from the attach
//! on. Switching them off takes no right, which is given up by then.

use std::{
    fs,
    os::fd::{OwnedFd, RawFd},
    time::{Duration, Instant},
};

use aya::{
    Ebpf,
    sys::{Stats, enable_stats},
};

use super::skips::descriptor;
use crate::cost::ProbeCost;

/// How long is measured.
const MOMENT: Duration = Duration::from_millis(250);

/// A measurement, under way or done.
#[derive(Debug)]
pub struct Meter {
    programs: Vec<RawFd>,
    /// Switched on, and since when; until it is done.
    running: Option<(OwnedFd, Instant)>,
    measured: Option<ProbeCost>,
}

impl Meter {
    /// Begins to measure the programs that were loaded, if the kernel lets it.
    pub(super) fn begin(ebpf: &Ebpf) -> Self {
        let programs = ebpf.programs();
        // It takes `cap_sys_admin`, which a tracer without root has no other use for.
        let on = enable_stats(Stats::RunTime).ok();
        Self {
            programs: programs
                .filter_map(|(_, program)| descriptor(program))
                .collect(),
            running: on.map(|on| (on, Instant::now())),
            measured: None,
        }
    }

    /// Ends the measurement if its moment has passed.
    pub(super) fn turn(&mut self) {
        if let Some((_, since)) = &self.running
            && since.elapsed() >= MOMENT
        {
            self.measured = self.sum();
            self.running = None;
        }
    }

    /// What was measured, so far or in all; `None` if nothing could be.
    pub(super) fn cost(&mut self) -> Option<ProbeCost> {
        self.turn();
        match self.running {
            Some(_) => self.sum(),
            None => self.measured,
        }
    }

    fn sum(&self) -> Option<ProbeCost> {
        let (_, since) = self.running.as_ref()?;
        let mut cost = ProbeCost {
            measured_ns: u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX),
            ..ProbeCost::default()
        };
        for program in &self.programs {
            let facts = fs::read_to_string(format!("/proc/self/fdinfo/{program}")).ok()?;
            let field = |name: &str| {
                let mut lines = facts.lines();
                lines.find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok())
            };
            cost.runs += field("run_cnt:")?;
            cost.run_time_ns += field("run_time_ns:")?;
        }
        Some(cost)
    }
}
