//! The clock that the probes use, and what this process itself has used of processors.

use nix::time::{ClockId, clock_gettime};

use crate::units::Nanos;

/// Now, by `CLOCK_MONOTONIC`: comparable with the times of events.
#[must_use]
pub fn now() -> Nanos {
    read(ClockId::CLOCK_MONOTONIC)
}

/// Processor time that all threads of this process have used so far, in the kernel and out of it.
#[must_use]
pub fn cpu() -> Nanos {
    read(ClockId::CLOCK_PROCESS_CPUTIME_ID)
}

/// Processor time that this thread has used so far.
#[must_use]
pub fn thread_cpu() -> Nanos {
    read(ClockId::CLOCK_THREAD_CPUTIME_ID)
}

fn read(clock: ClockId) -> Nanos {
    clock_gettime(clock).map_or(Nanos(0), |time| {
        let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
        let nanos = u64::try_from(time.tv_nsec()).unwrap_or(0);
        Nanos(seconds * 1_000_000_000 + nanos)
    })
}
