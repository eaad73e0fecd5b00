//! What one look at a process gives. Plain data, gathered elsewhere.

use super::group::Group;
use crate::units::{Bytes, Pid};

/// When a process began, in the clock ticks of `/proc/<pid>/stat`: with its id, who it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Began(pub u64);

/// A process at a moment, as `/proc/<pid>/stat` shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Its id.
    pub pid: Pid,
    /// When it began.
    pub began: Began,
    /// Its main thread's name.
    pub comm: String,
    /// VmSize; 0 without an address space.
    pub vm_size: Bytes,
    /// RSS, as exact as the kernel keeps it.
    pub rss: Bytes,
    /// Of what kind it is.
    pub kind: Kind,
}

/// Kinds of processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// It has an address space.
    #[default]
    User,
    /// A thread of the kernel.
    Kernel,
    /// It has ended, and its parent has not waited for it yet.
    Zombie,
}

/// Who a process is: what is read once for each program it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Who {
    /// Its effective user.
    pub uid: u32,
    /// That user's name, if it has one here.
    pub user: Option<String>,
    /// Its control group.
    pub group: Group,
    /// Its executable, empty if it may not be read.
    pub exe: String,
    /// Its id in its own pid namespace, if that is another one.
    pub ns_pid: Option<Pid>,
    /// Whether it runs a 32-bit program, whose calls are not counted.
    pub is_32_bit: bool,
}

/// The sums of `/proc/<pid>/smaps_rollup`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rollup {
    /// `Rss`.
    pub rss: Bytes,
    /// `Anonymous`.
    pub anonymous: Bytes,
    /// `LazyFree`: in `rss`, free for the taking.
    pub lazy_free: Bytes,
    /// `Swap`.
    pub swap: Bytes,
}
