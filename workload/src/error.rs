//! What can go wrong, each said in one sentence with the way out.

use std::fmt;
use std::io;

use crate::allocator::Allocator;
use crate::units::Bytes;

/// The reason why a scenario stopped.
#[derive(Debug)]
pub enum Error {
    /// The allocator returned a null pointer.
    OutOfMemory(Allocator, Bytes),
    /// A line could not be printed.
    Output(io::Error),
    /// Standard input could not be read.
    Input(io::Error),
    /// The program's own figures could not be read.
    Status(io::Error),
    /// A thread could not be started.
    Thread(io::Error),
    /// What the random calls need could not be had.
    Fuzz(&'static str, io::Error),
    /// The kernel did not give as much as was asked for.
    Bulk(&'static str, io::Error),
    /// A line on standard input is no order.
    Order(String),
    /// The empty programs were refused.
    Floor(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfMemory(allocator, bytes) => write!(
                f,
                "cannot allocate {bytes} with {allocator}: lower --size-mib, or raise the limit \
                 on address space (ulimit -v) or of the cgroup"
            ),
            Self::Output(error) => write!(f, "cannot write to standard output: {error}"),
            Self::Input(error) => write!(
                f,
                "cannot read standard input: {error}; give it a line or close it, or drop \
                 --wait-start and --hold"
            ),
            Self::Status(error) => write!(
                f,
                "cannot read VmSize and VmRSS from /proc/self/status: {error}; check that /proc \
                 is mounted"
            ),
            Self::Thread(error) => write!(
                f,
                "cannot start a thread: {error}; raise the limit on processes (ulimit -u) or on \
                 address space (ulimit -v)"
            ),
            Self::Bulk(what, error) => write!(
                f,
                "cannot {what} once more: {error}; lower --count, or raise the limit that it \
                 meets (vm.max_map_count, kernel.pid_max, ulimit -u, ulimit -v)"
            ),
            Self::Order(line) => write!(
                f,
                "cannot carry out {line:?}: an order is `CALL COUNT [PER_SECOND]`, a call is one of pair, \
                 brk, madvise, getppid"
            ),
            Self::Floor(error) => write!(
                f,
                "cannot attach programs that do nothing: {error}; run this as root, on Linux 5.10 or newer"
            ),
            Self::Fuzz(what, error) => write!(
                f,
                "cannot {what} for random calls: {error}; give fewer --threads, or raise the \
                 limits on files and address space (ulimit -n, ulimit -v)"
            ),
        }
    }
}

impl std::error::Error for Error {}
