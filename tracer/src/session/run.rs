//! The loop: ring, signals and timers in, a report out.

use std::{ffi::OsString, io, time::Duration};

use anyhow::Result;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{MissedTickBehavior, interval, sleep},
};

use super::Session;
use crate::{
    event::Event,
    host::{clock, launch},
    probe::{self, CaptureWish, Probes},
    report::{Ending, Report},
    units::{Bytes, Nanos, Pid},
    view::status::Status,
};

/// How often the ring is read at least. The kernel side wakes the reader only when much is
/// waiting, or for what must be seen at once.
const TURN: Duration = Duration::from_millis(20);
/// Turns between two looks at RSS, losses and processes that are gone.
const TURNS_PER_SAMPLE: u32 = 5;
/// Turns between two status lines.
const TURNS_PER_STATUS: u32 = 12;

/// What to observe, and how long.
#[derive(Clone, Debug)]
pub struct Wishes {
    /// Processes that run already.
    pub pids: Vec<Pid>,
    /// A command to start.
    pub command: Option<Vec<OsString>>,
    /// Whether children are observed too.
    pub follow: bool,
    /// When to end at the latest.
    pub duration: Option<Duration>,
    /// Size of the ring.
    pub ring: Bytes,
    /// How calls are captured.
    pub capture: CaptureWish,
}

/// Why a run could not be made. The message says what to do.
#[derive(Debug)]
pub enum Outcome {
    /// The target is not there, cannot be observed, or cannot be started.
    NoTarget(anyhow::Error),
    /// The probes cannot be had.
    NoProbes(probe::ProbeError),
    /// Something failed on the way.
    Failed(anyhow::Error),
}

/// A run that is over.
pub struct Observed {
    /// What came of it.
    pub report: Report,
    /// The probes, which no longer report anything. The kernel takes seconds to detach
    /// them, so the report is to be written before they are dropped.
    pub probes: Probes,
}

/// What is shown while a run goes on.
pub trait Audience {
    /// An event was taken from the ring; `started` is when the run began.
    fn event(&mut self, event: &Event, started: Nanos);
    /// The probes are attached and the targets' maps are about to be read: what the user
    /// should know, and what is of interest when something is wrong.
    fn attached(&mut self, notes: &[String], details: &[String]);
    /// The state of the run, a few times a second.
    fn status(&mut self, status: &Status);
    /// Whether anybody still listens: a closed pipe ends the run.
    fn listens(&self) -> bool;
}

/// Observes until a signal, the end of all targets or of the time, and reports.
///
/// # Errors
/// See [`Outcome`].
pub async fn run(wishes: Wishes, audience: &mut dyn Audience) -> Result<Observed, Outcome> {
    for pid in &wishes.pids {
        crate::host::process::check_observable(*pid).map_err(Outcome::NoTarget)?;
    }
    let options = probe::Options {
        ring: wishes.ring,
        follow: wishes.follow,
        capture: wishes.capture,
    };
    let (probes, ring) = Probes::load(options).map_err(Outcome::NoProbes)?;
    let wakeups = ring.wakeups().map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut session = Session::new(probes, ring);
    let started = session.started;
    audience.attached(&session.notes, &session.probes.describe());
    for pid in &wishes.pids {
        session
            .attach(*pid)
            .map_err(|error| match error.downcast() {
                Ok(error) => Outcome::NoProbes(error),
                Err(error) => Outcome::NoTarget(error),
            })?;
    }
    let mut child = match &wishes.command {
        Some(command) => {
            let mut show = |event: &Event| audience.event(event, started);
            Some(start(&mut session, command, &mut show)?)
        }
        None => None,
    };
    let deadline = async {
        match wishes.duration {
            Some(duration) => sleep(duration).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(deadline);
    let mut turns = interval(TURN);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut turn = 0_u32;
    let mut rate = Rate::default();
    loop {
        let ticked = tokio::select! {
            biased;
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            () = &mut deadline => break,
            _ = turns.tick() => true,
            ready = wakeups.readable() => {
                if let Ok(mut ready) = ready {
                    ready.clear_ready();
                }
                false
            }
        };
        let mut show = |event: &Event| audience.event(event, started);
        while session.drain(&mut show) {
            session.check_losses();
        }
        session.read_where_wanted(&mut show);
        session.learn_names();
        if ticked {
            turn = turn.wrapping_add(1);
            if turn.is_multiple_of(TURNS_PER_SAMPLE) {
                session.check_losses();
                session.sample_rss();
                session.reap();
            }
            if turn.is_multiple_of(TURNS_PER_STATUS) {
                audience.status(&status(&session, &mut rate));
            }
        }
        // Reaped here so that no zombie keeps its id; the events tell when it is over.
        if let Some(child) = &mut child {
            let _ = child.try_wait();
        }
        if session.processes.is_empty() || !audience.listens() {
            break;
        }
    }
    Ok(session.conclude())
}

impl Session {
    /// Ends the observation of all processes.
    fn conclude(mut self) -> Observed {
        while self.drain(&mut |_| {}) {}
        self.check_losses();
        let living: Vec<Pid> = self.processes.keys().copied().collect();
        for pid in living {
            self.finish(pid, Ending::StillRunning);
        }
        let mut notes = std::mem::take(&mut self.notes);
        if self.ended_unreported > 0 {
            notes.push(format!(
                "{} more processes were observed and are not reported",
                self.ended_unreported
            ));
        }
        if self.lost() > 0 {
            notes.push(format!(
                "events were lost: {}",
                self.losses.describe(self.undecodable)
            ));
        }
        self.ended.sort_by_key(|(order, _)| *order);
        let processes = self.ended.into_iter().map(|(_, report)| report).collect();
        Observed {
            report: Report { processes, notes },
            probes: self.probes,
        }
    }
}

/// Starts the command; its first map is read before its first instruction.
fn start(
    session: &mut Session,
    command: &[OsString],
    show: &mut dyn FnMut(&Event),
) -> Result<std::process::Child, Outcome> {
    let held = launch::hold(command).map_err(Outcome::NoTarget)?;
    session.attach_held(held.pid).map_err(Outcome::Failed)?;
    let loaded = held.load().map_err(Outcome::NoTarget)?;
    while session.drain(show) {}
    session.read_where_wanted(show);
    loaded.resume().map_err(Outcome::NoTarget)
}

fn status(session: &Session, rate: &mut Rate) -> Status {
    let (vm_size, rss, retained) = session.totals();
    let now = clock::now();
    Status {
        processes: session.processes.len(),
        elapsed_ns: now.since(session.started),
        vm_size,
        rss,
        retained,
        events_per_second: rate.of(session.handled, now),
        lost: session.lost(),
    }
}

/// Events per second between two looks.
#[derive(Default)]
struct Rate {
    count: u64,
    at: Nanos,
}

impl Rate {
    fn of(&mut self, count: u64, now: Nanos) -> u64 {
        let elapsed = now.since(self.at).max(1);
        let events = count - self.count;
        *self = Self { count, at: now };
        u64::try_from(u128::from(events) * 1_000_000_000 / u128::from(elapsed)).unwrap_or(0)
    }
}

fn failed(error: io::Error) -> Outcome {
    Outcome::Failed(error.into())
}
