//! Watches a whole host: a turn at a time, asks what the audit wants to know next, and hands out
//! what is known at any moment.
//!
//! Whoever owns an [`Auditor`] calls [`Auditor::turn`] when it says so, for as long as it likes,
//! and [`Auditor::audit`] whenever somebody asks. What is judged and how is decided in
//! [`crate::audit`].

mod files;
mod picks;
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
    units::{Nanos, PageSize, Pid},
    world::Outcome,
};
use files::Files;
use picks::Picks;
use traced::Manner;

/// Between two looks at all processes, at least.
const LOOK: Duration = Duration::from_secs(1);
/// And at most.
const LONGEST_LOOK: Duration = Duration::from_secs(30);
/// A look may take one part in so many of the time between two: a quarter of a per cent of a
/// processor. Each report takes one besides.
const LOOK_SHARE: u32 = 400;
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

/// So many per cent of a processor, and `credit` nanoseconds to begin with. All that this process
/// does is on this account; the session of those that are traced has half of it at most, and maps
/// are read for what is left.
fn pace(max_cpu: Option<u32>, credit: u64) -> Pace {
    let share = max_cpu.map(afforded);
    Pace::new(MAPS_PER_SECOND, share, credit)
}

/// Nanoseconds a second, of so many per cent of a processor. A fifth is kept back: what something
/// costs is known only when it is done.
fn afforded(max_cpu: u32) -> u64 {
    u64::from(max_cpu) * 8_000_000
}

/// A host under watch.
pub struct Auditor {
    roll: Roll,
    begun: Nanos,
    picks: Picks,
    census: Option<Census>,
    files: Files,
    users: crowd::Users,
    page: PageSize,
    pace: Pace,
    /// Whether all maps that were due at the start have been read.
    is_settled: bool,
    /// What processor time was on its account last.
    paid: Nanos,
    /// Whether all were looked at since somebody was picked.
    has_news: bool,
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
        own::return_large_at_once();
        let census = capture.map(|wish| Census::open(room, wish));
        let census = census.transpose().map_err(Outcome::NoProbes)?;
        let picks = Picks::new(Manner {
            // What the kernel refuses once it refuses again.
            capture: census.as_ref().map(Census::capture).unwrap_or_default(),
            max_cpu,
            max_events_per_second,
        });
        let credit = u64::try_from(FIRST_ROUND.as_nanos()).unwrap_or(0);
        let mut auditor = Self {
            roll: Roll::new(wishes, begun),
            begun,
            picks,
            census,
            files: Files::default(),
            users: crowd::Users::read(),
            page: kernel::page_size(),
            pace: pace(max_cpu, credit),
            paid: Nanos(0),
            is_settled: false,
            has_news: false,
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
        self.picks.bound(max_cpu);
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
        if self.next_look() <= Instant::now() {
            // What could be listed at the start can be again; if not, the roll stays as it is.
            let _ = self.look();
        }
        if let Some(census) = &mut self.census {
            census.turn();
        }
        self.introduce();
        if self.has_news {
            self.has_news = false;
            self.pick();
        }
        self.tend_session();
        if self.read_maps() {
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
        audit.tracing = self.picks.account();
        audit.notes.clone_from(&self.notes);
        audit
    }

    /// What watching has cost so far.
    pub fn own_cost(&mut self) -> OwnCost {
        let probes = self.census.as_mut().and_then(Census::cost);
        own::cost(self.begun, probes)
    }

    /// Looks at all processes, and reads their counts.
    fn look(&mut self) -> io::Result<()> {
        let (begun, before) = (Instant::now(), clock::thread_cpu());
        let samples = crowd::look(self.page)?;
        self.roll.look(clock::now(), samples);
        if let Err(error) = self.read_counts() {
            self.note(format!("the counts could not be read: {error}"));
        }
        self.has_news = true;
        let took = Duration::from_nanos(clock::thread_cpu().since(before));
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
        self.pay();
        if !self.pace.allows() {
            return true;
        }
        let due = self.roll.due(clock::now(), MAPS_PER_TURN);
        let is_full = due.len() == MAPS_PER_TURN;
        for (pid, depth) in due {
            if !self.pace.allows() {
                return true;
            }
            let before = clock::thread_cpu();
            self.read_map(pid, depth);
            self.snapshots.0 += 1;
            self.snapshots.1 += clock::thread_cpu().since(before);
            self.pace.count_map();
            self.pay();
        }
        if is_full || !self.roll.strangers(1).is_empty() {
            return true;
        }
        if !self.is_settled {
            // The first round is over.
            self.is_settled = true;
            self.pace.end_credit();
            own::return_memory();
        }
        false
    }

    /// Puts on the account what this process has used since the last time, by whatever it did.
    fn pay(&mut self) {
        let used = clock::cpu();
        self.pace.spend(used.since(self.paid));
        self.paid = used;
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
