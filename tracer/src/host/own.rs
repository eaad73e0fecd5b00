//! What this process itself has used.

use std::fs;

use nix::sys::resource::{UsageWho, getrusage};

use super::{clock, kernel::page_size};
use crate::{
    cost::{OwnCost, ProbeCost},
    units::{Bytes, Nanos},
};

/// What it has used since it began, of which the probes' part is given.
#[must_use]
pub fn cost(since: Nanos, probes: Option<ProbeCost>) -> OwnCost {
    let peak = getrusage(UsageWho::RUSAGE_SELF).map_or(0, |usage| usage.max_rss());
    OwnCost {
        cpu_ns: clock::cpu().0,
        elapsed_ns: clock::now().since(since),
        rss: rss(),
        // In KiB (getrusage(2)).
        peak_rss: Bytes(u64::try_from(peak).unwrap_or(0) << 10),
        probes,
    }
}

/// Gives memory that is free back to the kernel, which the C library keeps otherwise: loading
/// probes takes tens of MiB for a moment.
pub fn return_memory() {
    #[cfg(target_env = "gnu")]
    {
        #[expect(unsafe_code, reason = "nothing safe gives memory back")]
        // SAFETY: it may be called at any time, and moves nothing that is in use.
        unsafe {
            libc::malloc_trim(0)
        };
    }
}

fn rss() -> Bytes {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    page_size().pages(pages.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_used_something() {
        let cost = cost(Nanos(0), None);
        assert!(cost.rss > Bytes(0) && cost.peak_rss >= Bytes(cost.rss.0 / 2));
        assert!(cost.elapsed_ns > 0);
    }
}
