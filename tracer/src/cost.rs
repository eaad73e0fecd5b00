//! What the tracer itself costs: plain data.

use serde::{Deserialize, Serialize};

use crate::units::Bytes;

/// What the tracer has used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnCost {
    /// Processor time of its own, in the kernel and out of it, nanoseconds.
    pub cpu_ns: u64,
    /// How long it has run, nanoseconds.
    pub elapsed_ns: u64,
    /// Its RSS.
    pub rss: Bytes,
    /// The highest RSS so far.
    pub peak_rss: Bytes,
    /// What its programs in the kernel cost whoever makes calls; `None` if the kernel did not
    /// tell.
    pub probes: Option<ProbeCost>,
}

/// What programs in the kernel cost, by the kernel's own statistics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeCost {
    /// How long it was measured, nanoseconds. Measuring costs something at each run itself, so
    /// the kernel is asked to for a moment only.
    pub measured_ns: u64,
    /// Runs in that time.
    pub runs: u64,
    /// What they took, nanoseconds.
    pub run_time_ns: u64,
}

impl OwnCost {
    /// The share of one processor, in thousandths.
    #[must_use]
    pub fn share(&self) -> u64 {
        if self.elapsed_ns == 0 {
            return 0;
        }
        let share = u128::from(self.cpu_ns) * 1000 / u128::from(self.elapsed_ns);
        u64::try_from(share).unwrap_or(u64::MAX)
    }
}

impl ProbeCost {
    /// Nanoseconds that a run took; `None` if there was none.
    #[must_use]
    pub const fn per_run(&self) -> Option<u64> {
        self.run_time_ns.checked_div(self.runs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_means_are_defined_from_the_start() {
        assert_eq!(OwnCost::default().share(), 0);
        assert_eq!(ProbeCost::default().per_run(), None);
        let cost = OwnCost {
            cpu_ns: 15,
            elapsed_ns: 1000,
            ..OwnCost::default()
        };
        assert_eq!(cost.share(), 15);
    }
}
