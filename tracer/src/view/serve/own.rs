//! What a daemon tells of itself, as plain data.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::units::{Bytes, Nanos};

/// A daemon, seen from inside.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Own {
    /// Its version.
    pub version: &'static str,
    /// The kernel it runs on.
    pub kernel: String,
    /// When it began, seconds since 1970.
    pub started_seconds: f64,
    /// When this was made, seconds since 1970.
    pub published_seconds: f64,
    /// What making it took, nanoseconds of one processor.
    pub publishing_ns: u64,
    /// What it asks of the host.
    pub settings: BTreeMap<&'static str, String>,
    /// Its programs in the kernel.
    pub probes: Vec<Probe>,
    /// What was attached, in words.
    pub capture: String,
    /// Processor time used, in the kernel and out of it, by system calls and interrupts of others
    /// not: nanoseconds.
    pub cpu_ns: u64,
    /// What is in memory.
    pub rss: Bytes,
    /// Its address space.
    pub vm_size: Bytes,
    /// Files that are open.
    pub open_files: u64,
    /// How many may be.
    pub open_files_limit: Option<u64>,
    /// Whether the kernel measures the running time of its programs.
    pub measures_probes: bool,
    /// How settings were read.
    pub reload: Reload,
    /// How clients were served.
    pub requests: Requests,
    /// What could not be seen, in words.
    pub notes: Vec<String>,
}

/// A program in the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Probe {
    /// Its name.
    pub name: String,
    /// Whether counting is complete only with it.
    pub needed: bool,
    /// Whether it is attached.
    pub attached: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why_not: Option<String>,
    /// How often it ran, and for how long, where the kernel measures that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runs: Option<(u64, Nanos)>,
}

/// How settings were read again.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Reload {
    /// How often since the start.
    pub reloads: u64,
    /// Why the last time failed, if it did: then the settings before it are in force.
    pub error: Option<String>,
    /// Settings that were changed and wait for the next start.
    pub waiting: Vec<String>,
    /// When settings were last taken over, seconds since 1970.
    pub success_seconds: f64,
}

/// How clients were served.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Requests {
    /// Connections at the moment.
    pub open: u64,
    /// Connections that were turned away or cut off, because there were too many.
    pub refused: u64,
    /// Connections that were cut off, because they were too slow.
    pub timed_out: u64,
    /// Answers by status code.
    pub answers: BTreeMap<u16, u64>,
}
