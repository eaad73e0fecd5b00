//! What views may see: the result of a run, plain and serialisable.
//!
//! The JSON document is made from this, so names here are the contract of
//! `docs/json.md`. Nothing here computes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    attribute::{
        Owner,
        evidence::{Frame, Trend},
        explanation::Explanation,
    },
    cost::OwnCost,
    event::Syscall,
    heap::{Estimate, ProbedFile, Totals, Wish},
    space::piece::Prot,
    units::{Bytes, Nanos, Pid, Span},
};

/// A run: one or several processes.
#[derive(Clone, Debug)]
pub struct Report {
    /// In the order in which they came under observation.
    pub processes: Vec<ProcessReport>,
    /// What observing cost; `None` if that is not known.
    pub own_cost: Option<OwnCost>,
    /// How much was left unobserved to keep to the bounds that were set; `None` without any.
    pub sampling: Option<Sampling>,
    /// What holds for the whole run, and could not be observed.
    pub notes: Vec<String>,
}

/// What a run left unobserved to keep to its bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sampling {
    /// Events per second that were allowed, if bounded.
    pub max_events_per_second: Option<u64>,
    /// Per cent of a processor that were allowed, if bounded.
    pub max_cpu_percent: Option<u32>,
    /// How often observation was interrupted.
    pub pauses: u64,
    /// How long in all, nanoseconds.
    pub paused_ns: u64,
}

/// One process.
#[derive(Clone, Debug)]
pub struct ProcessReport {
    /// Who it was.
    pub target: Target,
    /// How its observation ended.
    pub ending: Ending,
    /// How long it was observed, nanoseconds.
    pub observed: u64,
    /// VmSize.
    pub vm_size: Trend,
    /// VmSize by the kernel's word at the end.
    pub kernel_vm_size_at_end: Option<Bytes>,
    /// RSS.
    pub rss: Trend,
    /// What arrived.
    pub events: EventCounts,
    /// The model against the kernel.
    pub reconciliation: Reconciliation,
    /// When it was not observed, because events were lost. In order of time.
    pub unobserved: Vec<Gap>,
    /// The final map, adjacent pieces of equal perms, backing and owner joined.
    pub mappings: Vec<Mapping>,
    /// Whose, in what state, and why.
    pub explanation: Explanation,
    /// What it asked of its allocator, if the heap view was wanted.
    pub heap: Option<HeapReport>,
    /// VmSize and RSS over time, thinned to a bounded number of points.
    pub timeline: Vec<TimelinePoint>,
    /// What could not be observed of this process, in words.
    pub notes: Vec<String>,
}

/// What a process asked of its allocator, by probes in the allocator's functions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeapReport {
    /// What was tracked.
    pub wish: Wish,
    /// Counts.
    pub totals: Totals,
    /// What it holds at the end of what it got since the probes were there.
    pub outstanding: Estimate,
    /// Blocks of it that are tracked.
    pub outstanding_blocks: u64,
    /// How long after the beginning of the observation the last probes came that code of the
    /// process may have run before, nanoseconds; `None` if none came late.
    pub late_ns: Option<u64>,
    /// What is probed.
    pub files: Vec<ProbedFile>,
    /// Who asked for what it holds, the largest first.
    pub places: Vec<HeapPlace>,
    /// What the places that are left out hold.
    pub rest: Estimate,
    /// How many were left out.
    pub left_out: u64,
    /// What could not be probed, in words.
    pub trouble: Vec<String>,
}

impl HeapReport {
    /// Whether every block handed out and given back since the beginning of the observation is
    /// accounted for, whatever its size.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let totals = &self.totals;
        self.wish.is_exact()
            && self.late_ns.is_none()
            && !self.files.is_empty()
            && self.trouble.is_empty()
            && totals.lost == 0
            && totals.reused == 0
            && totals.abandoned == 0
    }
}

/// A place in a program that asked for memory, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeapPlace {
    /// The return addresses found there, innermost first.
    pub frames: Vec<Frame>,
    /// What it holds.
    pub outstanding: Estimate,
    /// Tracked blocks of it.
    pub blocks: u64,
    /// Bytes it got.
    pub allocated_bytes: Bytes,
    /// Bytes of them that were given back.
    pub freed_bytes: Bytes,
    /// Tracked blocks it got.
    pub allocated: u64,
    /// Those of them that were given back.
    pub freed: u64,
}

/// Who was observed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Target {
    /// Its process id.
    pub pid: Pid,
    /// Its id in its own pid namespace, if that is another one than the tracer's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ns_pid: Option<Pid>,
    /// The name of its main thread.
    pub comm: String,
    /// Its executable.
    pub exe: String,
    /// Its command line.
    pub cmdline: Vec<String>,
}

/// How the observation of a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// It still ran.
    StillRunning,
    /// It ended; the figures are those of its last moment.
    Exited,
}

/// What arrived of the calls of a process.
#[derive(Clone, Debug, Default, Serialize)]
pub struct EventCounts {
    /// Events received.
    pub received: u64,
    /// Events that the kernel side counted as lost (of the whole run: it cannot tell whose).
    pub lost: u64,
    /// By call.
    pub by_call: BTreeMap<Syscall, CallCount>,
}

/// How often a call was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CallCount {
    /// Made, failed ones included.
    pub calls: u64,
    /// Failed.
    pub failed: u64,
    /// Bytes mapped, unmapped, advised, … by those that did not fail.
    pub bytes: Bytes,
}

/// The model held against the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reconciliation {
    /// Comparisons made.
    pub checks: u64,
    /// Comparisons that failed.
    pub mismatches: u64,
    /// Times the model was taken anew from the kernel.
    pub resyncs: u64,
    /// Comparisons of the whole map among the checks.
    pub full_checks: u64,
    /// Calls of threads that raced for the same bytes, so that their order cannot be told from
    /// outside: a reason to take the model anew, not a mismatch.
    pub races: u64,
    /// How long after the beginning of the observation the model was first known to equal the
    /// kernel's, nanoseconds.
    pub exact_after_ns: Option<u64>,
    /// Model minus kernel at the end, bytes.
    pub drift_bytes: i64,
}

/// An interval in which events were lost. Nanoseconds after the beginning of the observation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// The last moment before it at which none had been.
    pub from_ns: u64,
    /// When the kernel's map had been read anew.
    pub to_ns: u64,
}

/// A line of the final map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The addresses.
    pub span: Span,
    /// `rwx`.
    pub prot: Prot,
    /// `s` rather than `p`.
    pub shared: bool,
    /// `anonymous`, `heap`, `stack`, `file`, `shared-memory`, `special`.
    pub kind: &'static str,
    /// Whose.
    pub owner: Owner,
    /// As the last column of `/proc/<pid>/maps`.
    pub name: String,
}

/// VmSize and RSS at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TimelinePoint {
    /// When.
    pub at: Nanos,
    /// VmSize by the model.
    pub vm_size: Bytes,
    /// RSS by the kernel's counters.
    pub rss: Option<Bytes>,
}
