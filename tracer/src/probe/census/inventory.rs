//! The programs that count, one by one: whether each is attached, why not, and what it costs.

use std::{fs, os::fd::OwnedFd};

use aya::sys::{Stats, enable_stats};

use super::{Census, ProbeError, refused};
use crate::units::Nanos;

/// What the names of programs that count begin with.
const PREFIX: &str = "count_";

/// A program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its name.
    pub name: String,
    /// Whether counting is complete only with it, as calls are counted here.
    pub is_needed: bool,
    /// Why it is not attached; `None`: it is.
    pub why_not: Option<String>,
    /// How often it ran, and for how long; `None` unless the kernel measures that.
    pub runs: Option<(u64, Nanos)>,
}

/// Makes the kernel measure how long programs run, for as long as this is there.
#[derive(Debug)]
pub struct Measuring(#[expect(dead_code, reason = "held open: that is what it does")] OwnedFd);

impl Measuring {
    /// Begins. It costs each run of each program of the host two readings of the clock.
    ///
    /// # Errors
    /// This kernel or this user's rights do not allow it: it takes Linux 5.8 and `cap_sys_admin`.
    pub fn begin() -> Result<Self, ProbeError> {
        enable_stats(Stats::RunTime)
            .map(Self)
            .map_err(|error| refused("making the kernel measure programs", &error))
    }
}

/// Whether the host measures programs anyway (`kernel.bpf_stats_enabled`).
#[must_use]
pub fn host_measures() -> bool {
    fs::read_to_string("/proc/sys/kernel/bpf_stats_enabled").is_ok_and(|text| text.trim() == "1")
}

impl Census {
    /// All programs that count, attached or not, by name.
    #[must_use]
    pub fn programs(&self, is_measured: bool) -> Vec<Program> {
        let programs = self.ebpf.programs();
        let mut programs: Vec<Program> = programs
            .filter(|(name, _)| name.starts_with(PREFIX))
            .map(|(name, program)| {
                // What is loaded is attached: see `attach`.
                let info = program.info().ok();
                let (is_needed, why_not) = match &info {
                    Some(_) => (true, None),
                    None => self.why_not(name),
                };
                let runs = info.filter(|_| is_measured).map(|info| {
                    let nanos = u64::try_from(info.run_time().as_nanos()).unwrap_or(u64::MAX);
                    (info.run_count(), Nanos(nanos))
                });
                Program {
                    name: name.to_owned(),
                    is_needed,
                    why_not,
                    runs,
                }
            })
            .collect();
        programs.sort_by(|one, other| one.name.cmp(&other.name));
        programs
    }

    /// Whether a program that is not attached is needed, and why it is not.
    fn why_not(&self, name: &str) -> (bool, Option<String>) {
        let because = |is_needed: bool, why: &str| (is_needed, Some(why.to_owned()));
        match (name, self.by_trampolines, &self.refusal) {
            ("count_end", ..) if !self.sees_ends => because(
                true,
                "without this kernel's BTF it cannot be told which thread of a process is the \
                 last: ends are noticed at the next look",
            ),
            ("count_exit", true, _) => {
                because(false, "not needed: calls are counted by trampolines")
            }
            (_, true, _) => because(false, "this kernel has no such call, or not as a function"),
            (_, false, Some(refusal)) => because(
                false,
                &format!(
                    "not needed: calls are counted at a raw tracepoint, because this kernel \
                          refuses trampolines: {refusal}"
                ),
            ),
            (_, false, None) => because(
                false,
                "not needed: calls are counted at a raw tracepoint, as was asked for",
            ),
        }
    }
}
