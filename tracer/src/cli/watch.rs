//! Which processes of a host are watched, and at what pace: what may be typed, and what is meant.

use super::{args::Capture, values};
use crate::units::Bytes;

/// What `tracer audit` and `tracer serve` share.
#[derive(Debug, clap::Args)]
pub struct WatchArgs {
    /// Only processes of this name; "*" at its beginning or end stands for anything
    #[arg(long, value_name = "NAME")]
    pub comm: Option<String>,

    /// Only processes of this user, by name or id
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,

    /// Only processes whose control group's path contains this: a unit, a container's id, …
    #[arg(long, value_name = "PART")]
    pub cgroup: Option<String>,

    /// Only processes whose VmSize is at least this; smaller ones are only counted
    ///
    /// Their maps are not read either. Bytes, or with K, M, G, T.
    #[arg(short = 'z', long, value_name = "SIZE", default_value = "16M", value_parser = values::size)]
    pub min_size: u64,

    /// Use at most about this share of one processor, per cent
    ///
    /// Maps are read more slowly, and processes are not traced all the time, to keep to it. A
    /// first round of maps at the start takes up to two seconds of a processor beyond it.
    #[arg(long, value_name = "PERCENT", default_value = "2", value_parser = values::percent)]
    pub max_cpu: u32,

    /// How many processes can be counted at once; of more, those that called least recently are
    /// let go of, and that is reported
    #[arg(long, value_name = "N", default_value = "16384", value_parser = values::count)]
    pub max_processes: u32,

    /// Trace a process call by call once its VmSize has grown by this much
    #[arg(long, value_name = "SIZE", default_value = "256M", value_parser = values::size)]
    pub pick_growth: u64,

    /// Where the kernel is tapped; auto: by trampolines if it allows them
    #[arg(long, value_name = "HOW", default_value = "auto")]
    pub capture: Capture,
}

/// What is watched, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// Its name.
    pub comm: Option<String>,
    /// Its user.
    pub user: Option<String>,
    /// A part of its control group.
    pub cgroup: Option<String>,
    /// Its VmSize.
    pub min_size: Bytes,
    /// Per cent of one processor that it may take.
    pub max_cpu: u32,
    /// How many processes can be counted at once.
    pub max_processes: u32,
    /// From what growth on a process is traced, if any may be.
    pub pick_growth: Bytes,
    /// How calls are captured.
    pub capture: Capture,
}

impl From<WatchArgs> for Watch {
    fn from(args: WatchArgs) -> Self {
        Self {
            comm: args.comm,
            user: args.user,
            cgroup: args.cgroup,
            min_size: Bytes(args.min_size),
            max_cpu: args.max_cpu,
            max_processes: args.max_processes,
            pick_growth: Bytes(args.pick_growth),
            capture: args.capture,
        }
    }
}
