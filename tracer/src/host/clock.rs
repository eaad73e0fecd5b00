//! The clock that the probes use.

use nix::time::{ClockId, clock_gettime};

use crate::units::Nanos;

/// Now, by `CLOCK_MONOTONIC`: comparable with the times of events.
#[must_use]
pub fn now() -> Nanos {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Nanos(0), |time| {
        let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
        let nanos = u64::try_from(time.tv_nsec()).unwrap_or(0);
        Nanos(seconds * 1_000_000_000 + nanos)
    })
}
