//! Watches a whole host: a turn at a time, asks what the audit wants to know next, and hands out
//! what is known at any moment.
//!
//! Whoever owns an [`Auditor`] calls [`Auditor::turn`] when it says so, for as long as it likes,
//! and [`Auditor::audit`] whenever somebody asks. What is judged and how is decided in
//! [`crate::audit`].

mod files;
mod snapshot;
mod traced;

use std::{
    collections::BTreeMap,
    io,
    time::{Duration, Instant},
};

use crate::{
    attribute::evidence::Settings,
    audit::{
        counts::Counts,
        flow::Flow,
        judgement::Judgement,
        pace::Pace,
        roll::{self, Depth, Roll},
        row::Audit,
    },
    cost::OwnCost,
    host::{clock, crowd, kernel, own, privilege},
    probe::{CaptureWish, Census, ProbeError, Program},
    units::{Bytes, Nanos, PageSize, Pid},
    world::{Limits, Outcome},
};
use files::Files;
use traced::{Manner, Traced};

/// Between two looks at all processes, at least.
const LOOK: Duration = Duration::from_secs(1);
/// And at most.
const LONGEST_LOOK: Duration = Duration::from_secs(30);
/// A look may take one part in so many of the time between two: half a per cent of a processor.
const LOOK_SHARE: u32 = 200;
/// Between two turns while maps are waiting to be read.
const SHORT: Duration = Duration::from_millis(100);
/// Maps read in one turn, at most.
const MAPS_PER_TURN: usize = 64;
/// Processes that are introduced in one turn, at most.
const STRANGERS_PER_TURN: usize = 256;
/// Maps read per second, at most.
const MAPS_PER_SECOND: u64 = 500;
/// Processor time that the first round of maps may take beyond its share: a host is judged soon
/// after the start.
const FIRST_ROUND: Duration = Duration::from_secs(2);

/// The ring for traced processes, bytes.
const RING: Bytes = Bytes(8 << 20);

/// How to watch.
#[derive(Clone, Debug)]
pub struct Options {
    /// What is asked.
    pub wishes: roll::Wishes,
    /// How calls are counted; `None`: they are not.
    pub capture: Option<CaptureWish>,
    /// How many processes can be counted at once.
    pub room: u32,
    /// The share of a processor that reading maps may take, per cent; `None`: no bound.
    pub max_cpu: Option<u32>,
    /// Events of traced processes per second at most.
    pub max_events_per_second: Option<u64>,
}

/// So many per cent of a processor, half of it for maps and looks, half for processes that are
/// traced; and `credit` nanoseconds to begin with.
fn pace(max_cpu: Option<u32>, credit: u64) -> Pace {
    let share = max_cpu.map(|percent| u64::from(percent) * 10_000_000 / 2);
    Pace::new(MAPS_PER_SECOND, share, credit)
}

/// A host under watch.
pub struct Auditor {
    roll: Roll,
    begun: Nanos,
    manner: Manner,
    /// Those that are traced, once there were any.
    traced: Option<Traced>,
    census: Option<Census>,
    files: Files,
    users: crowd::Users,
    page: PageSize,
    pace: Pace,
    /// When all processes were looked at last, and what processor time that took.
    looked: Option<(Instant, Duration)>,
    /// Maps read, and what processor time that took, nanoseconds.
    snapshots: (u64, u64),
    max_map_count: Option<u64>,
    notes: Vec<String>,
}

impl Auditor {
    /// Attaches what counts, and takes the roll.
    ///
    /// # Errors
    /// The probes cannot be had, or `/proc` cannot be read.
    pub fn open(options: Options) -> Result<Self, Outcome> {
        let Options {
            wishes,
            capture,
            room,
            max_cpu,
            max_events_per_second,
        } = options;
        let begun = clock::now();
        let census = capture.map(|wish| Census::open(room, wish));
        let census = census.transpose().map_err(Outcome::NoProbes)?;
        let manner = Manner {
            // What the kernel refuses once it refuses again.
            capture: census.as_ref().map(Census::capture).unwrap_or_default(),
            ring: RING,
            limits: Limits {
                events_per_second: max_events_per_second,
                cpu_percent: max_cpu.map(|percent| (percent / 2).max(1)),
            },
        };
        let credit = u64::try_from(FIRST_ROUND.as_nanos()).unwrap_or(0);
        let mut auditor = Self {
            roll: Roll::new(wishes, begun),
            begun,
            manner,
            traced: None,
            census,
            files: Files::default(),
            users: crowd::Users::read(),
            page: kernel::page_size(),
            pace: pace(max_cpu, credit),
            looked: None,
            snapshots: (0, 0),
            max_map_count: crowd::max_map_count(),
            notes: Vec::new(),
        };
        auditor.look().map_err(|error| {
            Outcome::Failed(anyhow::Error::new(error).context("cannot list /proc"))
        })?;
        Ok(auditor)
    }

    /// What was attached, in words.
    #[must_use]
    pub fn describe(&self) -> String {
        self.census.as_ref().map_or_else(
            || "calls are not counted".to_owned(),
            |census| census.describe(),
        )
    }

    /// Whether a process is on the roll.
    #[must_use]
    pub fn knows(&self, pid: Pid) -> bool {
        self.roll.contains(pid)
    }

    /// Whether counts can be read with the rights that this process has now.
    pub fn counts_work(&mut self) -> bool {
        self.census
            .as_mut()
            .is_none_or(|census| census.read().is_ok())
    }

    /// Something else is asked from now on. What is known stays, and counting goes on.
    pub fn wish(&mut self, wishes: roll::Wishes, max_cpu: Option<u32>) {
        self.roll.wish(wishes);
        self.pace = pace(max_cpu, 0);
    }

    /// What was done since this was last called, by control group; and what was counted of all
    /// processes of the host so far.
    pub fn flows(&mut self) -> (BTreeMap<String, Flow>, Counts) {
        (self.roll.flows(), self.roll.host())
    }

    /// The programs that count.
    #[must_use]
    pub fn programs(&self, is_measured: bool) -> Vec<Program> {
        let census = self.census.as_ref();
        census.map_or_else(Vec::new, |census| census.programs(is_measured))
    }

    /// Says something with every report from now on.
    pub fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Does what is due now; returns how long nothing will be.
    pub fn turn(&mut self) -> Duration {
        let begun = Instant::now();
        let (before, read) = (clock::cpu(), self.snapshots.1);
        if self.next_look() <= begun {
            // What could be listed at the start can be again; if not, the roll stays as it is.
            let _ = self.look();
        }
        if let Some(census) = &mut self.census {
            census.turn();
        }
        self.introduce();
        self.pick();
        let more = self.read_maps();
        // Looking is on the same account as reading maps, which has been paid for.
        let maps = self.snapshots.1 - read;
        self.pace
            .spend_time(clock::cpu().since(before).saturating_sub(maps));
        if more {
            return SHORT;
        }
        self.next_look().saturating_duration_since(Instant::now())
    }

    /// What is known now. Rates are since the last call of this that was to `mark`.
    pub fn audit(&mut self, mark: bool) -> Audit {
        let _ = self.look();
        self.introduce();
        self.ask_traced();
        let mut audit = self.roll.audit(clock::now(), mark);
        audit.own_cost = Some(self.own_cost());
        let coverage = &mut audit.coverage;
        (coverage.snapshots, coverage.snapshots_ns) = self.snapshots;
        coverage.files = self.files.read;
        coverage.max_map_count = self.max_map_count;
        audit.notes.clone_from(&self.notes);
        audit
    }

    /// What watching has cost so far.
    pub fn own_cost(&mut self) -> OwnCost {
        let probes = self.census.as_mut().and_then(Census::cost);
        own::cost(self.begun, probes)
    }

    /// Begins to trace who is to be.
    fn pick(&mut self) {
        for pid in self.roll.picks() {
            let manner = self.manner;
            let traced = self.traced.get_or_insert_with(|| Traced::begin(manner));
            traced.observe(pid);
            self.roll.trace(pid, true);
        }
    }

    /// Judges those that are traced by what their calls tell.
    fn ask_traced(&mut self) {
        let Some(traced) = &self.traced else {
            return;
        };
        let pids = self.roll.traced();
        let reports = match traced.reports(&pids) {
            Ok(reports) => reports,
            Err(why) => {
                self.note(format!("processes could not be traced: {why}"));
                pids.iter().for_each(|pid| self.roll.trace(*pid, false));
                return;
            }
        };
        for (pid, report) in reports {
            let Some(report) = report else {
                self.roll.trace(pid, false);
                continue;
            };
            if !report.unobserved.is_empty() {
                self.note(
                    "traced processes were not observed all the time, to keep to the bounds or \
                     because events were lost"
                        .to_owned(),
                );
            }
            let rollup = crowd::rollup(pid).ok();
            let vmas = report.mappings.len() as u64;
            let rss = rollup.map(|rollup| rollup.rss);
            let judgement = Judgement::of_events(report.explanation, rollup);
            self.roll
                .judge(clock::now(), pid, Depth::Residency, vmas, rss, judgement);
        }
    }

    /// Looks at all processes, and reads their counts.
    fn look(&mut self) -> io::Result<()> {
        let (begun, before) = (Instant::now(), clock::cpu());
        let samples = crowd::look(self.page)?;
        self.roll.look(clock::now(), samples);
        if let Err(error) = self.read_counts() {
            self.note(format!("the counts could not be read: {error}"));
        }
        let took = Duration::from_nanos(clock::cpu().since(before));
        self.looked = Some((begun, took));
        Ok(())
    }

    fn read_counts(&mut self) -> Result<(), ProbeError> {
        let Some(census) = &mut self.census else {
            return Ok(());
        };
        let (tallies, turnover) = census.read()?;
        for (pid, _) in &tallies {
            if !self.roll.contains(*pid) {
                census.forget(*pid);
            }
        }
        self.roll.count(&tallies, turnover);
        Ok(())
    }

    fn next_look(&self) -> Instant {
        match self.looked {
            None => Instant::now(),
            Some((at, took)) => at + (took * LOOK_SHARE).clamp(LOOK, LONGEST_LOOK),
        }
    }

    fn introduce(&mut self) {
        for pid in self.roll.strangers(STRANGERS_PER_TURN) {
            self.roll.introduce(pid, crowd::who(pid, &self.users));
        }
    }

    /// Reads the maps that are due; returns whether more are waiting.
    fn read_maps(&mut self) -> bool {
        self.pace.fill(clock::now());
        let due = self.roll.due(clock::now(), MAPS_PER_TURN);
        let is_full = due.len() == MAPS_PER_TURN;
        for (pid, depth) in due {
            if !self.pace.allows() {
                return true;
            }
            let before = clock::cpu();
            self.read_map(pid, depth);
            let took = clock::cpu().since(before);
            self.pace.spend(took);
            self.snapshots.0 += 1;
            self.snapshots.1 += took;
        }
        is_full || !self.roll.strangers(1).is_empty()
    }

    fn read_map(&mut self, pid: Pid, depth: Depth) {
        let Some(who) = self.roll.who(pid).cloned() else {
            return;
        };
        let settings = Settings::default();
        match snapshot::take(pid, depth, &who, &settings, self.page, &mut self.files) {
            Ok(taken) => {
                let rss = taken.rollup.map(|rollup| rollup.rss);
                let judgement = Judgement::of_snapshot(taken.explanation, taken.rollup);
                self.roll
                    .judge(clock::now(), pid, depth, taken.vmas, rss, judgement);
            }
            Err(error) if privilege::is_refusal(&error) => self.roll.refuse(pid),
            // It has ended: the next look will tell.
            Err(_) => {}
        }
    }
}
