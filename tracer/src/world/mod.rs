//! The boundary of a run: all that a session asks of the world and all that comes to it goes
//! through [`World`].
//!
//! [`live::Live`] asks this host and the probes; `recording` has one that writes down every
//! answer and one that reads answers written down before. A session that gets the same answers
//! comes to the same report. Nothing here decides anything.

mod heap;
mod heap_cost;
pub mod live;

use std::{collections::BTreeSet, ffi::OsString};

use anyhow::Result;

use crate::{
    attribute::evidence::{HeapWalk, PageCensus, Resident, Settings},
    cost::OwnCost,
    event::{PidFd, StackSlice},
    heap::{Look, Sums},
    report::Target,
    space::{reading::Reading, vma::Vma},
    units::{Addr, Nanos, PageSize, Pid, Span},
};
pub use crate::{
    host::{
        elf::ElfFacts,
        process::Memory,
        stacks::{CodeFile, CodeNews, FoundBy, FramePlace, StackEnd, Symbol, Unwound},
    },
    probe::{Calls, Losses, ProbeError, WithoutStack},
};

/// Whom a run is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Processes that run already.
    Running(Vec<Pid>),
    /// A command to start: its program and its arguments.
    Command(Vec<OsString>),
}

/// What lies at places of a file: functions, the innermost first.
pub type Symbols = Vec<(u64, Vec<Symbol>)>;
/// What observing may cost; beyond, it is interrupted for a while.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Limits {
    /// Events handled per second.
    pub events_per_second: Option<u64>,
    /// Processor time of the tracer's own, per cent of one processor.
    pub cpu_percent: Option<u32>,
}

/// Why the session gets a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The ring has something that should not wait.
    Wake,
    /// Time has passed: a fiftieth of a second.
    Tick {
        /// Whether what the end of a run needs of files is to be asked now, in case the answers
        /// to come get lost.
        checkpoint: bool,
    },
    /// The run is to end: a signal, its time is over, or nobody listens any more.
    End,
}

/// Why a run could not be made. The message says what to do.
#[derive(Debug)]
pub enum Outcome {
    /// The target is not there, cannot be observed, or cannot be started.
    NoTarget(anyhow::Error),
    /// The probes cannot be had.
    NoProbes(ProbeError),
    /// Something failed on the way.
    Failed(anyhow::Error),
}

/// What a session sees of the world. All answers are of the moment of the question.
///
/// Errors of questions about a process mean that it is gone, may not be read, or (in a
/// recording) that the answer is not there.
pub trait World {
    /// Whom the run is about.
    fn subject(&self) -> Subject;
    /// The size of a page there.
    fn page_size(&self) -> PageSize;
    /// What observing may cost.
    fn limits(&self) -> Limits;
    /// What the probes could not do, in words with what that costs.
    fn notes(&self) -> Vec<String>;
    /// What was attached, in words.
    fn details(&self) -> Vec<String>;
    /// Waits for the next turn; `listening`: whether anybody wants the run to go on.
    fn wait(&mut self, listening: bool) -> Turn;
    /// Hands up to `most` waiting ring records to `take`, oldest first; returns how many.
    fn drain(&mut self, most: usize, take: impl FnMut(&[u8])) -> usize;
    /// What should be said at the end of how the run was seen.
    fn closing_notes(&mut self) -> Vec<String>;

    /// `CLOCK_MONOTONIC`, the clock of events.
    fn now(&mut self) -> Nanos;
    /// Makes sure that a process can be observed.
    ///
    /// # Errors
    /// It cannot, in words for the user.
    fn check_observable(&mut self, pid: Pid) -> Result<()>;
    /// From now on the calls of this process come as records.
    ///
    /// # Errors
    /// The table of processes is full.
    fn add_target(&mut self, pid: Pid) -> Result<()>;
    /// No further call of this process comes.
    fn remove_target(&mut self, pid: Pid);
    /// The calls of a target that can change its map.
    ///
    /// # Errors
    /// They cannot be read.
    fn calls(&mut self, pid: Pid) -> Result<Calls>;
    /// Records that the kernel side could not deliver so far.
    ///
    /// # Errors
    /// The counters cannot be read.
    fn losses(&mut self) -> Result<Losses>;
    /// What the tracer itself has used so far; `None` if that is not known.
    fn own_cost(&mut self) -> Option<OwnCost>;
    /// Processor time that the session has used so far, nanoseconds; `None` if that is not known.
    fn cpu_used(&mut self) -> Option<u64>;
    /// What the kernel side said since the last call.
    fn words(&mut self) -> Vec<String>;

    /// Forks the command, which waits before it is executed.
    ///
    /// # Errors
    /// It cannot be forked.
    fn hold(&mut self) -> Result<Pid>;
    /// Lets it execute, up to its first instruction.
    ///
    /// # Errors
    /// It is gone.
    fn load(&mut self) -> Result<()>;
    /// Lets it run.
    ///
    /// # Errors
    /// It could not be executed.
    fn resume(&mut self) -> Result<()>;

    /// Who a process is. What cannot be told stays empty.
    fn target(&mut self, pid: Pid) -> Target;
    /// The settings that its allocators obey. What cannot be told stays empty.
    fn settings(&mut self, pid: Pid) -> Settings;
    /// Its memory figures.
    ///
    /// # Errors
    /// See [`World`].
    fn memory(&mut self, pid: Pid) -> Result<Memory>;
    /// Its map with its figures, and when that was.
    ///
    /// # Errors
    /// See [`World`].
    fn reading(&mut self, pid: Pid) -> Result<Reading>;
    /// Its map alone.
    ///
    /// # Errors
    /// See [`World`].
    fn maps(&mut self, pid: Pid) -> Result<Vec<Vma>>;
    /// What is in memory of it.
    ///
    /// # Errors
    /// See [`World`].
    fn residency(&mut self, pid: Pid) -> Result<Vec<Resident>>;
    /// Which pages of these ranges of it are in memory, as far as there is time to look.
    ///
    /// # Errors
    /// See [`World`].
    fn pages(&mut self, pid: Pid, spans: &[Span]) -> Result<PageCensus>;
    /// glibc's main heap in it, chunk by chunk, if there is one that holds still.
    fn heap_walk(&mut self, pid: Pid, heap: Span) -> Option<HeapWalk>;
    /// Whether it still has an address space.
    fn is_alive(&mut self, pid: Pid) -> bool;
    /// Whether it runs a 32-bit program.
    fn is_32_bit(&mut self, pid: Pid) -> bool;
    /// The process that a descriptor of `holder` names.
    fn pid_of_pidfd(&mut self, holder: Pid, fd: PidFd) -> Option<Pid>;
    /// The code that a process runs is another now.
    fn code(&mut self, pid: Pid, news: CodeNews);
    /// The frames of a stack.
    fn unwind(&mut self, stack: &StackSlice) -> Unwound;
    /// What lies at offsets of a file whose code it runs: functions, the innermost first.
    ///
    /// # Errors
    /// Why the file cannot be read, in words.
    fn symbols(&mut self, pid: Pid, file: &CodeFile, offsets: &[u64]) -> Result<Symbols, String>;
    /// The names that it gives to code which it made itself.
    fn made_code(&mut self, pid: Pid, addresses: &[Addr]) -> Vec<(Addr, String)>;
    /// What an object file that it has mapped says of itself and of `offsets` (bytes from its
    /// start). `inode` is the file's where it was mapped, 0 if unknown.
    ///
    /// # Errors
    /// Why the file cannot be read, in words.
    fn object_file(
        &mut self,
        pid: Pid,
        path: &str,
        inode: u64,
        offsets: &BTreeSet<u64>,
    ) -> Result<ElfFacts, String>;
    /// Has the allocators that a process has mapped probed, and tells which were found since the
    /// last time; `None` if the heap view is not wanted.
    fn heap_look(&mut self, pid: Pid) -> Option<Look>;
    /// A process has executed another program, with other files. Nothing is answered.
    fn heap_executed(&mut self, pid: Pid);
    /// Ends the heap view of a process: its sums, and what is handed out in each of `spans` (in
    /// order of address, apart); `None` if there are none.
    fn heap_sums(&mut self, pid: Pid, spans: &[Span]) -> Option<Sums>;
}
