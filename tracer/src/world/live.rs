//! This host: questions in, answers of `/proc`, of files and of the probes out.

use std::{
    collections::BTreeSet, ffi::OsString, io, os::fd::OwnedFd, pin::Pin, process::Child,
    time::Duration,
};

use anyhow::{Context as _, Result};
use tokio::{
    io::unix::AsyncFd,
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
    time::{Interval, MissedTickBehavior, Sleep, interval, sleep},
};

use super::{
    Calls, CodeFile, CodeNews, ElfFacts, Limits, Losses, Memory, Outcome, Subject, Symbols, Turn,
    Unwound, World,
    heap::{self, HeapView, Stands},
    heap_cost,
};
use crate::{
    attribute::evidence::{HeapWalk, PageCensus, Resident, Settings},
    cost::OwnCost,
    event::{PidFd, StackSlice},
    heap::{Look, Sums, Wish},
    host::{
        clock, elf, heap_walk, kernel, launch, maps, own, pages, privilege, process as host,
        settings, stacks::Stacks,
    },
    probe::{self, CaptureWish, Probes, Ring, StackWish},
    report::Target,
    space::{reading::Reading, vma::Vma},
    units::{Addr, Bytes, Nanos, PageSize, Pid, Span},
};

/// How often the ring is read at least, usually. The kernel side wakes the reader only when much is
/// waiting, or for what must be seen at once.
pub const TURN: Duration = Duration::from_millis(20);

/// What to observe, and how long.
#[derive(Clone, Debug)]
pub struct Wishes {
    /// Whom.
    pub subject: Subject,
    /// Whether children are observed too.
    pub follow: bool,
    /// When to end at the latest.
    pub duration: Option<Duration>,
    /// How long between two turns in which nothing else calls for one.
    pub turn: Duration,
    /// Size of the ring.
    pub ring: Bytes,
    /// How calls are captured.
    pub capture: CaptureWish,
    /// What is copied of callers' stacks.
    pub stacks: StackWish,
    /// How much is read of an object file.
    pub files: elf::Limits,
    /// What observing may cost.
    pub limits: Limits,
    /// What the heap view tracks, if it is wanted.
    pub heap: Option<Wish>,
    /// Whether a file is to be put into the folder of another user at the end.
    pub elsewhere: bool,
}

/// This host with its probes attached. The kernel takes seconds to detach them when this is
/// dropped, so a report is to be written before.
pub struct Live {
    subject: Subject,
    begun: Nanos,
    limits: Limits,
    files: elf::Limits,
    page: PageSize,
    probes: Probes,
    ring: Ring,
    clockwork: Clockwork,
    rights: Rights,
    heap: Option<HeapView>,
    /// What the heap view costs the traced processes, in words.
    cost: Option<String>,
    /// Whose map may not be read.
    refused: BTreeSet<Pid>,
    stacks: Stacks,
    /// Whether callers' stacks are wanted.
    has_stacks: bool,
    // Last: what the fields above registered with it goes before it.
    runtime: Runtime,
    command: Command,
}

/// What ends a wait.
struct Clockwork {
    wakeups: AsyncFd<OwnedFd>,
    interrupt: Signal,
    terminate: Signal,
    /// How long from the first wait on, until there is the deadline.
    duration: Option<Duration>,
    deadline: Option<Pin<Box<Sleep>>>,
    turns: Interval,
}

/// How far the command is.
enum Command {
    None,
    Held(launch::Held),
    Loaded(Pid, launch::Loaded),
    Running(Child),
}

/// How far rights were given up.
enum Rights {
    /// Not yet: there is more to attach.
    All { elsewhere: bool },
    /// All that is not needed any more, or what went wrong with it.
    Few(Option<String>),
}

impl Live {
    /// Loads and attaches the probes. Nothing is observed until the session asks for it.
    ///
    /// # Errors
    /// A process cannot be observed, or the probes cannot be had.
    pub fn open(wishes: Wishes) -> Result<Self, Outcome> {
        let begun = clock::now();
        if let Subject::Running(pids) = &wishes.subject {
            for pid in pids {
                host::check_observable(*pid).map_err(Outcome::NoTarget)?;
            }
        }
        let options = probe::Options {
            ring: wishes.ring,
            follow: wishes.follow,
            capture: wishes.capture,
            stacks: wishes.stacks,
            heap: wishes.heap,
        };
        let (mut probes, ring) = Probes::load(options).map_err(Outcome::NoProbes)?;
        let mut heap = probes.has_heap().then(HeapView::default);
        let cost = heap.as_mut().map(|heap| {
            heap_cost::measure(heap, &mut probes).map_or_else(
                |error| format!("what the heap view costs could not be measured: {error:#}"),
                heap_cost::Cost::describe,
            )
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the asynchronous runtime")
            .map_err(Outcome::Failed)?;
        let clockwork = {
            let _within = runtime.enter();
            Clockwork::new(&ring, wishes.turn, wishes.duration)
                .map_err(|error| Outcome::Failed(error.into()))?
        };
        Ok(Self {
            subject: wishes.subject,
            begun,
            limits: wishes.limits,
            files: wishes.files,
            page: kernel::page_size(),
            probes,
            ring,
            clockwork,
            rights: Rights::All {
                elsewhere: wishes.elsewhere,
            },
            heap,
            cost,
            refused: BTreeSet::new(),
            stacks: Stacks::default(),
            has_stacks: wishes.stacks.most > Bytes(0),
            runtime,
            command: Command::None,
        })
    }

    /// Whoever is to be observed is, and a command runs with the rights it was given: from here
    /// on little is needed. This is the only thread: that of the command's start has ended.
    fn give_up_rights(&mut self) {
        if let Rights::All { elsewhere } = self.rights {
            let kept = privilege::Kept {
                folders: elsewhere,
                attaching: self.heap.is_some(),
            };
            let given_up = privilege::confine(kept, || self.probes.maps_work());
            let failure = given_up.err().map(|error| {
                format!("tracer kept rights that it did not need any more: {error:#}")
            });
            self.rights = Rights::Few(failure);
        }
    }

    fn words_of_command(&self) -> &[OsString] {
        match &self.subject {
            Subject::Command(words) => words,
            Subject::Running(_) => &[],
        }
    }
}

impl Clockwork {
    fn new(ring: &Ring, turn: Duration, duration: Option<Duration>) -> io::Result<Self> {
        let mut turns = interval(turn);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            wakeups: ring.wakeups()?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            duration,
            deadline: None,
            turns,
        })
    }

    async fn next(&mut self) -> Turn {
        if let Some(duration) = self.duration.take() {
            self.deadline = Some(Box::pin(sleep(duration)));
        }
        let deadline = async {
            match &mut self.deadline {
                Some(deadline) => deadline.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => Turn::End,
            _ = self.terminate.recv() => Turn::End,
            () = deadline => Turn::End,
            _ = self.turns.tick() => Turn::Tick { checkpoint: false },
            ready = self.wakeups.readable() => {
                if let Ok(mut ready) = ready {
                    ready.clear_ready();
                }
                Turn::Wake
            }
        }
    }
}

impl World for Live {
    fn subject(&self) -> Subject {
        self.subject.clone()
    }

    fn page_size(&self) -> PageSize {
        self.page
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    fn notes(&self) -> Vec<String> {
        let notes = self.probes.availability().notes.iter();
        notes.chain(&self.cost).cloned().collect()
    }

    fn details(&self) -> Vec<String> {
        self.probes.describe()
    }

    fn wait(&mut self, listening: bool) -> Turn {
        self.stacks.catch_up();
        self.give_up_rights();
        self.probes.turn();
        // Reaped here so that no zombie keeps its id; the events tell when it is over.
        if let Command::Running(child) = &mut self.command {
            let _ = child.try_wait();
        }
        if !listening {
            return Turn::End;
        }
        self.runtime.block_on(self.clockwork.next())
    }

    fn drain(&mut self, most: usize, take: impl FnMut(&[u8])) -> usize {
        self.ring.drain(most, take)
    }

    fn closing_notes(&mut self) -> Vec<String> {
        let failure = match &self.rights {
            Rights::Few(failure) => failure.clone(),
            Rights::All { .. } => None,
        };
        let refused = (!self.refused.is_empty()).then(|| {
            let pids: Vec<_> = self.refused.iter().map(Pid::to_string).collect();
            format!(
                "the map of process {} may not be read, as after it changed its user: {}",
                pids.join(", "),
                privilege::why_refused(&[privilege::SYS_PTRACE])
            )
        });
        let left_out = self.heap.as_ref().filter(|heap| heap.was_full()).map(|_| {
            "there were more processes than the heap view has room for: some are reported without"
                .to_owned()
        });
        failure.into_iter().chain(refused).chain(left_out).collect()
    }

    fn now(&mut self) -> Nanos {
        clock::now()
    }

    fn check_observable(&mut self, pid: Pid) -> Result<()> {
        host::check_observable(pid)
    }

    fn add_target(&mut self, pid: Pid) -> Result<()> {
        Ok(self.probes.add_target(pid)?)
    }

    fn remove_target(&mut self, pid: Pid) {
        self.stacks.learn(pid, CodeNews::Gone);
        self.probes.remove_target(pid);
    }

    fn calls(&mut self, pid: Pid) -> Result<Calls> {
        Ok(self.probes.calls(pid)?)
    }

    fn losses(&mut self) -> Result<Losses> {
        Ok(self.probes.losses()?)
    }

    fn own_cost(&mut self) -> Option<OwnCost> {
        Some(own::cost(self.begun, self.probes.cost()))
    }

    /// A session has a thread to itself; in an audit others are at work besides.
    fn cpu_used(&mut self) -> Option<u64> {
        Some(clock::thread_cpu().0)
    }

    fn words(&mut self) -> Vec<String> {
        self.probes.words()
    }

    fn hold(&mut self) -> Result<Pid> {
        let held = launch::hold(self.words_of_command())?;
        let pid = held.pid;
        self.command = Command::Held(held);
        Ok(pid)
    }

    fn load(&mut self) -> Result<()> {
        if let Command::Held(held) = std::mem::replace(&mut self.command, Command::None) {
            let pid = held.pid;
            if let Some(heap) = &mut self.heap {
                heap.probe_ahead(&mut self.probes, pid);
            }
            self.command = Command::Loaded(pid, held.load()?);
            if let Some(heap) = &mut self.heap {
                heap.executed(pid);
                heap.probe(&mut self.probes, pid, Stands::Still);
            }
        }
        Ok(())
    }

    fn resume(&mut self) -> Result<()> {
        // While it is held: what it executes is there.
        self.stacks.catch_up();
        if let Command::Loaded(pid, loaded) = std::mem::replace(&mut self.command, Command::None) {
            if let Some(heap) = &mut self.heap {
                let loader = heap::loader(pid);
                while loaded.next_code(&loader) {
                    heap.probe(&mut self.probes, pid, Stands::Still);
                }
            }
            self.command = Command::Running(loaded.resume()?);
        }
        Ok(())
    }

    fn target(&mut self, pid: Pid) -> Target {
        host::target(pid)
    }

    fn settings(&mut self, pid: Pid) -> Settings {
        settings::settings(pid)
    }

    fn memory(&mut self, pid: Pid) -> Result<Memory> {
        host::memory(pid)
    }

    fn reading(&mut self, pid: Pid) -> Result<Reading> {
        let reading = host::reading(pid);
        if reading.as_ref().is_err_and(privilege::is_refusal) {
            self.refused.insert(pid);
        }
        reading
    }

    fn maps(&mut self, pid: Pid) -> Result<Vec<Vma>> {
        maps::read_maps(pid)
    }

    fn residency(&mut self, pid: Pid) -> Result<Vec<Resident>> {
        maps::read_residency(pid)
    }

    fn pages(&mut self, pid: Pid, spans: &[Span]) -> Result<PageCensus> {
        pages::census(pid, spans)
    }

    fn heap_walk(&mut self, pid: Pid, heap: Span) -> Option<HeapWalk> {
        heap_walk::walk(pid, heap)
    }

    fn is_alive(&mut self, pid: Pid) -> bool {
        host::is_alive(pid)
    }

    fn is_32_bit(&mut self, pid: Pid) -> bool {
        host::is_32_bit(pid)
    }

    fn pid_of_pidfd(&mut self, holder: Pid, fd: PidFd) -> Option<Pid> {
        host::pid_of_pidfd(holder, fd)
    }

    fn code(&mut self, pid: Pid, news: CodeNews) {
        // Tables to unwind with take some MiB for each large program.
        if self.has_stacks {
            self.stacks.learn(pid, news);
        }
    }

    fn unwind(&mut self, stack: &StackSlice) -> Unwound {
        let (unwound, news) = self.stacks.unwind(stack);
        if let Some((place, spot)) = news {
            self.probes.tell_spot(place, spot);
        }
        unwound
    }

    fn symbols(&mut self, pid: Pid, file: &CodeFile, offsets: &[u64]) -> Result<Symbols, String> {
        self.stacks.symbols(pid, file, offsets)
    }

    fn made_code(&mut self, pid: Pid, addresses: &[Addr]) -> Vec<(Addr, String)> {
        self.stacks.made_code(pid, addresses)
    }

    fn object_file(
        &mut self,
        pid: Pid,
        path: &str,
        inode: u64,
        offsets: &BTreeSet<u64>,
    ) -> Result<ElfFacts, String> {
        let file = elf::open(pid, path, inode)?;
        elf::inspect(file, offsets, self.files).map_err(|error| format!("{error:#}"))
    }

    fn heap_look(&mut self, pid: Pid) -> Option<Look> {
        let stands = match self.command {
            Command::Held(_) | Command::Loaded(..) => Stands::Still,
            Command::None | Command::Running(_) => Stands::Not,
        };
        Some(self.heap.as_mut()?.look(&mut self.probes, pid, stands))
    }

    fn heap_executed(&mut self, pid: Pid) {
        if let Some(heap) = &mut self.heap {
            heap.executed(pid);
            self.probes.forget_heap(None);
        }
    }

    fn heap_sums(&mut self, pid: Pid, spans: &[Span]) -> Option<Sums> {
        self.heap.as_ref()?;
        self.probes.conclude_heap(pid, spans).ok()
    }
}
