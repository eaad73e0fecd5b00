//! What an audit tells: plain data, the contract of `docs/audit.md`. Nothing here computes.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    counts::{Sizes, Turnover},
    group::Group,
    judgement::Basis,
};
use crate::{
    attribute::explanation::{AllocatorFound, Confidence},
    cost::OwnCost,
    units::{Bytes, Pid},
};

/// A host, judged process by process.
#[derive(Clone, Debug, Serialize)]
pub struct Audit {
    /// How long it was watched so far, nanoseconds.
    pub elapsed_ns: u64,
    /// The processes that were asked for, ranked.
    pub processes: Vec<Row>,
    /// Sums over all processes that the filters let pass, ranked or not.
    pub totals: Totals,
    /// What was looked at, and what was not.
    pub coverage: Coverage,
    /// The kernel side's table of counts; `None` where calls are not counted.
    pub counting: Option<Turnover>,
    /// What tracing single processes came to; `None` if none was.
    pub tracing: Option<Tracing>,
    /// What the audit has cost so far; `None` if that is not known.
    pub own_cost: Option<OwnCost>,
    /// What could not be seen, in words.
    pub notes: Vec<String>,
}

/// What tracing single processes came to since the audit began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tracing {
    /// Processes that were picked, each as often as it was.
    pub processes: u64,
    /// Events of theirs.
    pub events: u64,
    /// Events that were lost.
    pub lost: u64,
    /// How often tracing was interrupted to keep to the bounds.
    pub pauses: u64,
    /// How long it was, nanoseconds.
    pub paused_ns: u64,
}

/// One process.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its id.
    pub pid: Pid,
    /// Its id in its own pid namespace, if that is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ns_pid: Option<Pid>,
    /// Its main thread's name.
    pub comm: String,
    /// Its effective user.
    pub uid: Option<u32>,
    /// That user's name.
    pub user: Option<String>,
    /// VmSize.
    pub vm_size: Bytes,
    /// RSS.
    pub rss: Bytes,
    /// What of VmSize is not in memory.
    pub gap: Bytes,
    /// VmSize now less VmSize when the audit began (0 if it was not there then).
    pub growth: i64,
    /// Address space given back and kept; null where no call was seen.
    pub retained: Option<Bytes>,
    /// Bytes given back at once by advice since the audit began, counted each time.
    pub purged: Bytes,
    /// In memory and free for the kernel to take (`LazyFree`), if read.
    pub lazy_free: Option<Bytes>,
    /// Address space that is not accessible, if the map was read.
    pub reserved: Option<Bytes>,
    /// Calls that change an address space since the audit began.
    pub calls: u64,
    /// The same for each second since the last report.
    pub calls_per_second: f64,
    /// Failed calls among them.
    pub failed_calls: u64,
    /// Calls by kind, those that were not made left out.
    pub by_call: BTreeMap<&'static str, CallCount>,
    /// What the calls asked for.
    pub asked: Sizes,
    /// Whether its counts began anew because the table was full: then they are too low.
    pub counts_incomplete: bool,
    /// Mappings, if the map was read.
    pub vmas: Option<u64>,
    /// Allocators in it.
    pub allocators: Vec<AllocatorFound>,
    /// Why VmSize is what it is: the largest part.
    pub reason: &'static str,
    /// How much of VmSize that accounts for.
    pub reason_bytes: Bytes,
    /// How sure that is.
    pub confidence: Confidence,
    /// The reason in a sentence.
    pub summary: String,
    /// What to do, in a line.
    pub advice: &'static str,
    /// The path of its control group.
    pub cgroup: Option<String>,
    /// What that path tells of.
    pub group: Option<Group>,
    /// What the reason rests on; null where it was not looked at more closely.
    pub basis: Option<Basis>,
    /// How old the snapshot is, nanoseconds.
    pub snapshot_age_ns: Option<u64>,
}

/// Calls of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct CallCount {
    /// Made, failed ones included.
    pub calls: u64,
    /// Failed.
    pub failed: u64,
}

/// Sums over processes.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Totals {
    /// All of them.
    #[serde(flatten)]
    pub all: Sums,
    /// By control group, largest VmSize first.
    pub by_cgroup: Vec<GroupTotal>,
    /// By allocator, most address space first. A process counts for each allocator in it.
    pub by_allocator: Vec<AllocatorTotal>,
}

/// Sums of figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Sums {
    /// How many processes.
    pub processes: u64,
    /// VmSize.
    pub vm_size: Bytes,
    /// RSS; what processes share counts in each.
    pub rss: Bytes,
    /// Growth.
    pub growth: i64,
    /// Given back at once since the audit began.
    pub purged: Bytes,
    /// Address space given back and kept, of those processes where it is known.
    pub retained: Bytes,
    /// Calls.
    pub calls: u64,
    /// Calls per second.
    pub calls_per_second: f64,
}

/// A control group.
#[derive(Clone, Debug, Serialize)]
pub struct GroupTotal {
    /// Its path.
    pub cgroup: String,
    /// What that tells of.
    pub group: Group,
    /// The sums.
    #[serde(flatten)]
    pub sums: Sums,
}

/// An allocator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AllocatorTotal {
    /// Its name.
    pub allocator: String,
    /// Processes that contain it.
    pub processes: u64,
    /// Address space that is its own.
    pub bytes: Bytes,
    /// What of it is not accessible.
    pub reserved: Bytes,
    /// What of it was given back and kept, of those processes where it is known.
    pub retained: Bytes,
}

/// What was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// Processes with an address space.
    pub processes: u64,
    /// Threads of the kernel, which have none.
    pub kernel_threads: u64,
    /// Processes that ended and were not waited for.
    pub zombies: u64,
    /// Processes of 32 bits: their calls are not counted.
    pub of_32_bits: u64,
    /// Processes whose map may not be read.
    pub unreadable: u64,
    /// Processes that are too small to be looked at closely.
    pub below_min_size: u64,
    /// Processes whose map was read.
    pub judged: u64,
    /// Processes whose map is still to be read.
    pub waiting: u64,
    /// Processes that are traced.
    pub traced: u64,
    /// The kernel's bound on the mappings of a process; `None` if it cannot be read.
    pub max_map_count: Option<u64>,
    /// Maps that were read since the audit began.
    pub snapshots: u64,
    /// What reading them took, nanoseconds of one processor.
    pub snapshots_ns: u64,
    /// Object files that were read for what they tell of allocators.
    pub files: u64,
}
