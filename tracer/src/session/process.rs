//! A process under observation: who it is, since when, and which address space it uses.

use crate::{
    attribute::evidence::Settings,
    event::{Event, KernelFigures},
    report::Target,
    space::reading::Reading,
    units::{Bytes, MmId, Nanos, Pid},
    world::{Memory, World},
};

/// Which address space; several processes may use one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SpaceId(u64);

impl SpaceId {
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// A process under observation.
#[derive(Clone, Debug)]
pub struct Process {
    pub pid: Pid,
    /// The how-manieth process of the run it is.
    pub order: u64,
    /// Whether it is a child of another that is observed, not one the user named.
    pub is_child: bool,
    pub space: SpaceId,
    pub target: Target,
    pub settings: Settings,
    /// Since when, nanoseconds of `CLOCK_MONOTONIC`.
    pub begun: Nanos,
    /// VmSize then.
    pub vm_at_attach: Option<Bytes>,
    /// RSS then.
    pub rss_at_attach: Option<Bytes>,
    /// `VmHWM` then: a higher one at the end is of this observation.
    pub rss_high_at_attach: Option<Bytes>,
    /// Events up to the first exec are the tracer's own child's, not the command's.
    pub awaits_exec: bool,
    /// Whether the name of some file may not be known: events came since all were.
    pub names_wanted: bool,
    /// Turns until file names are looked for again, and how many to wait after that.
    pub names_wait: (u32, u32),
    /// When its whole map is compared next.
    pub next_check: Nanos,
    /// The identity of its address space by the last event that told it.
    pub mm: Option<MmId>,
    /// How many times in a row it was not found alive.
    gone: u32,
}

impl Process {
    /// One that runs already.
    pub fn running(world: &mut impl World, pid: Pid, space: SpaceId, memory: Memory) -> Self {
        let begun = world.now();
        Self {
            target: world.target(pid),
            settings: world.settings(pid),
            vm_at_attach: Some(memory.vm_size),
            rss_at_attach: Some(memory.rss),
            rss_high_at_attach: Some(memory.rss_high),
            awaits_exec: false,
            ..Self::held(pid, space, begun)
        }
    }

    /// One that will execute its command soon.
    pub fn held(pid: Pid, space: SpaceId, begun: Nanos) -> Self {
        Self {
            pid,
            order: 0,
            is_child: false,
            space,
            target: Target {
                pid,
                ..Target::default()
            },
            settings: Settings::default(),
            begun,
            vm_at_attach: None,
            rss_at_attach: None,
            rss_high_at_attach: None,
            awaits_exec: true,
            names_wanted: true,
            names_wait: (0, 1),
            next_check: begun,
            mm: None,
            gone: 0,
        }
    }

    /// A child forked now; uses this process' space until it is given its own.
    pub fn child(&self, pid: Pid, begun: Nanos, figures: Option<KernelFigures>) -> Self {
        Self {
            pid,
            is_child: true,
            target: Target {
                pid,
                ns_pid: None,
                ..self.target.clone()
            },
            begun,
            vm_at_attach: figures.map(|figures| figures.vm_size),
            rss_at_attach: figures.map(|figures| figures.rss),
            rss_high_at_attach: figures.map(|figures| figures.peak_rss),
            names_wanted: true,
            names_wait: (0, 1),
            next_check: begun,
            mm: figures.map(|figures| figures.mm),
            gone: 0,
            ..self.clone()
        }
    }

    /// It runs another program now: observation begins anew.
    pub fn executed(&mut self, world: &mut impl World, event: &Event, comm: &str) {
        let figures = event.kernel;
        let target = world.target(self.pid);
        // Gone already: its name came with the event.
        let named = Target {
            pid: self.pid,
            comm: comm.to_owned(),
            ..Target::default()
        };
        self.target = if target.exe.is_empty() { named } else { target };
        self.settings = world.settings(self.pid);
        self.begun = event.exited;
        self.next_check = event.exited;
        self.mm = figures.map(|figures| figures.mm);
        self.vm_at_attach = figures.map(|figures| figures.vm_size);
        self.rss_at_attach = figures.map(|figures| figures.rss);
        self.rss_high_at_attach = figures.map(|figures| figures.peak_rss);
        self.awaits_exec = false;
    }

    /// RSS at exec is not settled in the kernel's approximate counters: the first reading
    /// tells it better.
    pub fn note_first_reading(&mut self, reading: &Reading) {
        if self.rss_at_attach.is_none_or(|rss| rss == Bytes(0)) {
            self.rss_at_attach = Some(reading.rss);
        }
    }

    /// It was not found alive. True at the second time in a row: its last event had a
    /// turn to arrive in between.
    pub const fn seen_gone(&mut self) -> bool {
        self.gone += 1;
        self.gone > 1
    }
}
