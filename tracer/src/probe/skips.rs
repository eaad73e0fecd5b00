//! Runs of the programs that the kernel skipped: descriptors in, a sum out.
//!
//! A program that is preempted while it runs is not run again on that processor until it is
//! done: a call of another thread then passes unseen. The kernel counts that for each
//! program (`recursion_misses` in its fdinfo, since Linux 5.12), for all processes of the
//! machine.

use std::{
    fs,
    os::fd::{AsFd as _, AsRawFd as _, RawFd},
    time::{Duration, Instant},
};

use aya::{Ebpf, programs::Program};

/// Between two looks: each reads a file for each program.
const INTERVAL: Duration = Duration::from_secs(1);
const FIELD: &str = "recursion_misses:";

/// The counters, as they were last.
#[derive(Debug, Default)]
pub struct Skips {
    programs: Vec<RawFd>,
    read: Option<Instant>,
    sum: u64,
}

impl Skips {
    /// Those of all programs that were loaded.
    pub(super) fn of(ebpf: &Ebpf) -> Self {
        let loaded = ebpf
            .programs()
            .filter_map(|(_, program)| descriptor(program));
        Self {
            programs: loaded.collect(),
            read: None,
            sum: 0,
        }
    }

    /// How many runs were skipped so far, as of the last second.
    pub(super) fn sum(&mut self) -> u64 {
        if self.read.is_none_or(|read| read.elapsed() >= INTERVAL) {
            self.read = Some(Instant::now());
            self.sum = self.programs.iter().filter_map(|fd| skipped(*fd)).sum();
        }
        self.sum
    }
}

pub(super) fn descriptor(program: &Program) -> Option<RawFd> {
    let fd = match program {
        Program::RawTracePoint(program) => program.fd(),
        Program::FEntry(program) => program.fd(),
        Program::FExit(program) => program.fd(),
        _ => return None,
    };
    fd.ok().map(|fd| fd.as_fd().as_raw_fd())
}

fn skipped(fd: RawFd) -> Option<u64> {
    let facts = fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).ok()?;
    facts
        .lines()
        .find_map(|line| line.strip_prefix(FIELD)?.trim().parse().ok())
}
