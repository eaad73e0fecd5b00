//! What this process itself has used.

use std::fs;

use nix::{
    sys::resource::{RLIM_INFINITY, Resource, UsageWho, getrlimit, getrusage},
    time::{ClockId, clock_gettime},
};

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

/// What this process holds at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Its address space.
    pub vm_size: Bytes,
    /// What is in memory.
    pub rss: Bytes,
    /// Files that are open.
    pub open_files: u64,
    /// How many may be; `None`: as many as there can be.
    pub open_files_limit: Option<u64>,
}

/// Looks. What cannot be read stays 0.
#[must_use]
pub fn holdings() -> Holdings {
    let files = fs::read_dir("/proc/self/fd").map_or(0, |files| files.count());
    let limit = getrlimit(Resource::RLIMIT_NOFILE).ok();
    Holdings {
        vm_size: statm(0),
        rss: rss(),
        // One of them is the folder that is being read.
        open_files: u64::try_from(files).unwrap_or(0).saturating_sub(1),
        open_files_limit: limit.and_then(|(soft, _)| (soft != RLIM_INFINITY).then_some(soft)),
    }
}

/// Now, in seconds since 1970.
#[must_use]
pub fn unix_time() -> f64 {
    clock_gettime(ClockId::CLOCK_REALTIME).map_or(0.0, |time| {
        let millis = time.tv_sec() * 1000 + time.tv_nsec() / 1_000_000;
        u64::try_from(millis).map_or(0.0, |millis| {
            std::time::Duration::from_millis(millis).as_secs_f64()
        })
    })
}

/// From now on what is large is given back as soon as it is free. The C library keeps larger and
/// larger pieces otherwise, between which small ones settle. For one that runs for long beside
/// others.
pub fn return_large_at_once() {
    #[cfg(target_env = "gnu")]
    {
        const LARGE: libc::c_int = 1 << 20;
        #[expect(unsafe_code, reason = "nothing safe sets how memory is kept")]
        // SAFETY: it may be called at any time, and takes numbers only.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE)
        };
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
    statm(1)
}

/// A field of `/proc/self/statm`, of which all are pages.
fn statm(field: usize) -> Bytes {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split_whitespace().nth(field);
    page_size().pages(pages.and_then(|pages| pages.parse().ok()).unwrap_or(0))
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

    #[test]
    fn this_process_holds_something() {
        let file = fs::File::open("/proc/self/stat").expect("it is there");
        let own = holdings();
        assert!(own.vm_size > own.rss && own.rss > Bytes(0));
        assert!(own.open_files > 3);
        let limit = own.open_files_limit;
        assert!(limit.is_none_or(|limit| limit >= own.open_files));
        drop(file);
        assert!(unix_time() > 1.7e9);
    }
}
