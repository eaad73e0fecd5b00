//! Joins the stages: events of the ring to address spaces, address spaces to reports.
//!
//! Owns what runs: processes, bounds, the end. The only place that decides *when* something
//! is read; what is read and what follows from it is decided elsewhere. All it learns it
//! learns through a [`World`], so that a recording of the answers gives the same report.

mod bounds;
mod checks;
mod facts;
mod finish;
mod heap;
mod identity;
mod mappings;
mod news;
mod process;
mod readings;
mod run;
mod stacks;
mod watch;

pub use run::{Audience, Silence, run};
pub use watch::{Account, Commander, Order, watch};

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
};

use news::News;
use process::{Process, SpaceId};

use crate::{
    event::{Event, EventKind, Fork, PidFd, Request, StackSlice},
    report::{Ending, ProcessReport},
    space::{piece::Provenance, reading::Reading},
    track::Tracked,
    units::{Bytes, Nanos, PageSize, Pid},
    world::{CodeNews, Losses, World},
};

/// Events handled before signals and timers get a turn.
const EVENTS_PER_TURN: usize = 1 << 16;
/// Fewer records than these do not fill the smallest ring, so none was lost before them.
const FEWEST_LOST: usize = 512;
/// Drains in a row after which a turn goes on: as many records as the largest ring holds.
const MOST_DRAINS: usize = 128;
/// How much later than others of the same moment a record may come.
const LATE: u64 = 50_000_000;
/// Events that wait for readings, usually: some 60 MiB.
const MOST_WAITING: usize = 1 << 18;
/// Processes looked at in one turn. That many cost about a twentieth of a processor.
const LOOKED_AT: usize = 64;
/// Children whose reports are kept after their end; of more only the number.
const MOST_ENDED: usize = 1000;

/// A run under way.
pub struct Session<'w, W> {
    world: &'w mut W,
    page: PageSize,
    started: Nanos,
    processes: BTreeMap<Pid, Process>,
    spaces: HashMap<SpaceId, Tracked>,
    next_space: SpaceId,
    seen: u64,
    /// With the order in which they came.
    ended: Vec<(u64, ProcessReport)>,
    ended_unreported: u64,
    /// Whether anybody will ask for those.
    keeps_ended: bool,
    /// Events that wait for readings of all maps together; if there are more, all are let go of.
    most_waiting: usize,
    losses: Losses,
    undecodable: u64,
    handled: u64,
    /// Those handled since the waiting ones were counted.
    uncounted: usize,
    /// The latest moment that an event told of.
    heard: Nanos,
    /// Waiting events from here on are needed by a reading.
    needed_from: Nanos,
    /// The last process that was looked at in the rounds that sample.
    looked_at: Pid,
    notes: Vec<String>,
    elf: facts::ElfCache,
    stacks: stacks::Stacks,
    checks: checks::Checks,
    bounds: bounds::Bounds,
    heap: heap::Watch,
    /// When the loss counters were read last.
    losses_read: Nanos,
}

impl<'w, W: World> Session<'w, W> {
    fn new(world: &'w mut W) -> Self {
        let bounds = bounds::Bounds::new(world.limits());
        Self {
            notes: world.notes(),
            page: world.page_size(),
            started: world.now(),
            world,
            processes: BTreeMap::new(),
            spaces: HashMap::new(),
            next_space: SpaceId::default(),
            seen: 0,
            ended: Vec::new(),
            ended_unreported: 0,
            keeps_ended: true,
            most_waiting: MOST_WAITING,
            losses: Losses::default(),
            undecodable: 0,
            handled: 0,
            uncounted: 0,
            heard: Nanos(0),
            needed_from: Nanos(u64::MAX),
            looked_at: Pid(0),
            elf: facts::ElfCache::default(),
            stacks: stacks::Stacks::default(),
            checks: checks::Checks::default(),
            bounds,
            heap: heap::Watch::default(),
            losses_read: Nanos(0),
        }
    }

    /// Begins to observe a process that runs already.
    fn attach(&mut self, pid: Pid) -> anyhow::Result<()> {
        self.world.check_observable(pid)?;
        // From here on its events wait in the ring; what was before is in its map.
        self.world.add_target(pid)?;
        self.world.code(pid, CodeNews::Unknown);
        let tracked = Tracked::unread(self.page, Provenance::PreExisting);
        let space = self.add_space(tracked);
        let memory = self.world.memory(pid)?;
        let process = Process::running(self.world, pid, space, memory);
        self.observe(process);
        self.look_at_heap(pid);
        Ok(())
    }

    /// Begins to observe a child that has yet to execute its command.
    fn attach_held(&mut self, pid: Pid) -> anyhow::Result<()> {
        self.world.add_target(pid)?;
        let space = self.add_space(Tracked::unread(self.page, Provenance::Exec));
        let begun = self.world.now();
        self.observe(Process::held(pid, space, begun));
        Ok(())
    }

    fn observe(&mut self, mut process: Process) {
        process.order = self.seen;
        self.seen += 1;
        self.processes.insert(process.pid, process);
    }

    fn add_space(&mut self, mut tracked: Tracked) -> SpaceId {
        if self.heap.is_on() {
            tracked.set_probed();
        }
        let id = self.next_space;
        self.next_space = id.next();
        self.spaces.insert(id, tracked);
        id
    }

    /// Handles waiting events, each shown to `show` first; returns whether more may wait.
    fn drain(&mut self, show: &mut dyn FnMut(&Event)) -> bool {
        let mut news = Vec::new();
        let (page, undecodable) = (self.page, &mut self.undecodable);
        let drained =
            self.world
                .drain(EVENTS_PER_TURN, |record| match News::decode(record, page) {
                    Ok(one) => news.push(one),
                    Err(_) => *undecodable += 1,
                });
        // Before they are handled: what is missing among them must be no mismatch.
        if drained >= FEWEST_LOST {
            self.check_losses();
        }
        for one in news {
            match one {
                News::Stack(stack) => self.unwind(&stack),
                News::Event(event) => {
                    self.handled += 1;
                    self.uncounted += 1;
                    self.heard = self.heard.max(event.exited);
                    self.handle(event, show);
                }
            }
        }
        if self.uncounted >= EVENTS_PER_TURN.min(self.most_waiting) {
            self.uncounted = 0;
            self.bound_waiting();
        }
        drained >= EVENTS_PER_TURN
    }

    /// Handles all events of calls that were left before a reading ended; returns whether there
    /// are many more. Processes that make calls faster than they are handled would keep it busy
    /// for ever otherwise.
    fn catch_up(&mut self, reading: &Reading, show: &mut dyn FnMut(&Event)) -> bool {
        self.needed_from = reading.begun;
        let mut behind = true;
        for _ in 0..MOST_DRAINS {
            behind = self.drain(show);
            if !behind || self.heard.since(reading.ended) > LATE {
                break;
            }
        }
        self.needed_from = Nanos(u64::MAX);
        behind
    }

    /// Lets go of waiting events if they are too many: first of those that the reading which is
    /// being taken does not need.
    fn bound_waiting(&mut self) {
        for before in [self.needed_from, Nanos(u64::MAX)] {
            let waiting: usize = self.spaces.values().map(Tracked::waiting).sum();
            if waiting <= self.most_waiting {
                return;
            }
            let spaces = self.spaces.values_mut();
            spaces.for_each(|tracked| tracked.shed(before));
        }
    }

    /// A stack came, before the call that refers to it.
    fn unwind(&mut self, stack: &StackSlice) {
        let process = self.processes.get(&stack.pid);
        if process.is_some_and(|process| !process.awaits_exec) {
            let unwound = self.world.unwind(stack);
            self.stacks.take(stack, &unwound);
        }
    }

    fn handle(&mut self, mut event: Event, show: &mut dyn FnMut(&Event)) {
        let Some(process) = self.processes.get_mut(&event.pid) else {
            return;
        };
        let exec = matches!(event.kind, EventKind::Exec { .. });
        if process.awaits_exec && !exec {
            return;
        }
        process.names_wanted = true;
        if maps_file(&event) {
            process.names_wait = (0, 1);
        }
        if let Some(news) = news::of_code(&event) {
            self.world.code(event.pid, news);
        }
        if let EventKind::Call(call) = &mut event.kind {
            call.path = self.stacks.of(event.pid, call.stack);
        }
        self.heap.note(&event);
        show(&event);
        if !exec {
            self.identify(&event);
        }
        match &event.kind {
            EventKind::Fork(fork) => {
                self.born(&event, fork);
                self.take(event);
            }
            EventKind::Exec { comm } => self.executed(&event, comm),
            EventKind::ThreadEnd { last: true } => {
                let pid = event.pid;
                self.take(event);
                self.finish(pid, Ending::Exited);
            }
            EventKind::Call(call) => match call.request {
                Request::Advise {
                    target: Some(fd), ..
                } => self.advise_other(event, fd),
                _ => self.take(event),
            },
            EventKind::Exiting | EventKind::ThreadEnd { last: false } => self.take(event),
        }
    }

    fn take(&mut self, event: Event) {
        let space = self.processes.get(&event.pid).map(|process| process.space);
        if let Some(tracked) = space.and_then(|space| self.spaces.get_mut(&space)) {
            tracked.take(event);
        }
    }

    fn born(&mut self, event: &Event, fork: &Fork) {
        let Some(parent) = self.processes.get(&event.pid) else {
            return;
        };
        if fork.child == event.pid || fork.child == Pid(0) {
            return;
        }
        let Some(tracked) = self.spaces.get(&parent.space) else {
            return;
        };
        let mm = |figures: Option<crate::event::KernelFigures>| figures.map(|figures| figures.mm);
        let shares = fork.figures.is_some() && mm(fork.figures) == mm(event.kernel);
        self.world.code(fork.child, CodeNews::ForkOf(event.pid));
        let mut child = parent.child(fork.child, event.exited, fork.figures);
        if !shares {
            let tracked = Tracked::forked(tracked, fork.figures, event.quiet);
            child.space = self.add_space(tracked);
        }
        let space = child.space;
        self.observe(child);
        self.note_sharing(space);
    }

    /// A new image: a new address space, whose map the kernel made without a call.
    fn executed(&mut self, event: &Event, comm: &str) {
        let unread = Tracked::unread(self.page, Provenance::Exec);
        if let Some(space) = self.replace_space(event, comm, unread)
            && let Some(tracked) = self.spaces.get_mut(&space)
        {
            // After the figures of exec itself: they are of the new space.
            tracked.take(event.clone());
        }
    }

    /// Begins anew with another address space; `None` if it cannot be observed.
    fn replace_space(&mut self, event: &Event, comm: &str, new: Tracked) -> Option<SpaceId> {
        let space = self.add_space(new);
        let process = self.processes.get_mut(&event.pid)?;
        let left = std::mem::replace(&mut process.space, space);
        process.executed(self.world, event, comm);
        self.world.heap_executed(event.pid);
        let pid = event.pid;
        self.leave(left);
        if self.world.is_32_bit(pid) {
            self.notes.push(format!(
                "process {pid} executed a 32-bit program, whose calls the kernel's tracepoints do \
                 not show: it was not observed from there on"
            ));
            self.drop_process(pid);
            return None;
        }
        Some(space)
    }

    /// `process_madvise` on another process: its space, if it is observed.
    fn advise_other(&mut self, mut event: Event, fd: PidFd) {
        let Some(pid) = self.world.pid_of_pidfd(event.pid, fd) else {
            self.note_once("a process_madvise was about a process that could not be told");
            return;
        };
        if let EventKind::Call(call) = &mut event.kind
            && let Request::Advise { target, .. } = &mut call.request
        {
            *target = None;
        }
        if pid != event.pid {
            // Its figures are the caller's, and so are the calls that were under way.
            event.kernel = None;
            event.quiet = false;
            event.pid = pid;
        }
        self.take(event);
    }

    fn drop_process(&mut self, pid: Pid) {
        self.world.remove_target(pid);
        if let Some(process) = self.processes.remove(&pid) {
            self.leave(process.space);
        }
    }

    /// A process no longer uses this space: it goes with its last user.
    fn leave(&mut self, space: SpaceId) {
        if self.users(space) == 0 {
            self.spaces.remove(&space);
        } else {
            self.note_sharing(space);
        }
    }

    fn note_sharing(&mut self, space: SpaceId) {
        let shared = self.users(space) > 1;
        if let Some(tracked) = self.spaces.get_mut(&space) {
            tracked.set_shared(shared);
        }
    }

    fn users(&self, space: SpaceId) -> usize {
        self.processes
            .values()
            .filter(|process| process.space == space)
            .count()
    }

    /// Reads the loss counters; what was lost makes every model doubtful.
    fn check_losses(&mut self) {
        let before = self.world.now();
        let Ok(losses) = self.world.losses() else {
            return;
        };
        if losses.total() != self.losses.total() {
            let since = self.losses_read.max(self.started);
            let spaces = self.spaces.values_mut();
            spaces.for_each(|tracked| tracked.lost_events(since));
        } else if losses.skipped != self.losses.skipped {
            self.spaces.values_mut().for_each(Tracked::doubt);
        }
        self.losses = losses;
        self.losses_read = before;
        let words = self.world.words();
        self.notes.extend(
            words
                .into_iter()
                .map(|words| format!("the probes say: {words}")),
        );
    }

    fn lost(&self) -> u64 {
        self.losses.total() + self.undecodable
    }

    /// Looks at processes of which no event may tell for long: at their RSS, and whether they
    /// are still there. Of many only some at a time.
    fn sample(&mut self) {
        let round = self.next_round();
        let now = self.world.now();
        for pid in &round {
            if let Some(process) = self.processes.get(pid)
                && !process.awaits_exec
                && let Ok(memory) = self.world.memory(*pid)
                && let Some(tracked) = self.spaces.get_mut(&process.space)
            {
                tracked.note_rss(memory.rss, Some(memory.rss_anon), now);
            }
        }
        self.reap(round);
    }

    /// Processes that ended without an event of theirs (it was lost, or there is no BTF).
    fn reap(&mut self, mut gone: Vec<Pid>) {
        gone.retain(|pid| !self.world.is_alive(*pid));
        for pid in gone {
            if let Some(process) = self.processes.get_mut(&pid)
                && process.seen_gone()
            {
                self.finish(pid, Ending::Exited);
            }
        }
    }

    /// All processes if they are few, else those whose turn it is.
    fn next_round(&mut self) -> Vec<Pid> {
        if self.processes.len() <= LOOKED_AT {
            return self.processes.keys().copied().collect();
        }
        let behind = (Bound::Excluded(self.looked_at), Bound::Unbounded);
        let round = self.processes.range(behind).chain(&self.processes);
        let round: Vec<Pid> = round.map(|(pid, _)| *pid).take(LOOKED_AT).collect();
        self.looked_at = round.last().copied().unwrap_or_default();
        round
    }

    fn note_once(&mut self, note: &str) {
        if !self.notes.iter().any(|known| known == note) {
            self.notes.push(note.to_owned());
        }
    }

    /// Sums over all living processes: VmSize, RSS, address space kept after a release.
    fn totals(&self) -> (Bytes, Option<Bytes>, Bytes) {
        let spaces = self.spaces.values();
        spaces.fold(
            (Bytes(0), None, Bytes(0)),
            |(vm_size, rss, retained), tracked| {
                let last = tracked.rss().last;
                (
                    vm_size + tracked.space().vm_size(),
                    last.map(|last| last + rss.unwrap_or_default()).or(rss),
                    retained + mappings::retained(tracked.space()),
                )
            },
        )
    }
}

/// Whether there is a new file whose name is to be read.
fn maps_file(event: &Event) -> bool {
    matches!(
        &event.kind,
        EventKind::Call(call) if matches!(call.request, Request::Map { fd: Some(_), .. })
    )
}
