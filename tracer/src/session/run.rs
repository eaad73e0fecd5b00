//! The loop: turns of the world in, a report out.

use anyhow::Result;

use super::Session;
use crate::{
    event::Event,
    report::{Ending, Report},
    units::{Nanos, Pid},
    view::status::Status,
    world::{Outcome, Subject, Turn, WithoutStack, World},
};

/// Turns between two looks at RSS, losses and processes that are gone.
const TURNS_PER_SAMPLE: u32 = 5;
/// Drains in a row after which signals and timers get a turn.
const DRAINS_PER_TURN: usize = 8;
/// Turns between two status lines.
const TURNS_PER_STATUS: u32 = 12;

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

/// Nobody, who listens to the end.
#[derive(Clone, Copy, Debug)]
pub struct Silence;

impl Audience for Silence {
    fn event(&mut self, _event: &Event, _started: Nanos) {}

    fn attached(&mut self, _notes: &[String], _details: &[String]) {}

    fn status(&mut self, _status: &Status) {}

    fn listens(&self) -> bool {
        true
    }
}

/// Observes until the world ends the run or all targets have ended, and reports.
///
/// # Errors
/// See [`Outcome`].
pub fn run(world: &mut impl World, audience: &mut dyn Audience) -> Result<Report, Outcome> {
    let mut session = Session::new(world);
    let started = session.started;
    audience.attached(&session.notes, &session.world.details());
    match session.world.subject() {
        Subject::Running(pids) => {
            for pid in pids {
                session
                    .attach(pid)
                    .map_err(|error| match error.downcast() {
                        Ok(error) => Outcome::NoProbes(error),
                        Err(error) => Outcome::NoTarget(error),
                    })?;
            }
        }
        Subject::Command(_) => {
            let mut show = |event: &Event| audience.event(event, started);
            session.start(&mut show)?;
        }
    }
    let mut turns = Turns::default();
    let mut rate = Rate::default();
    loop {
        let reason = session.world.wait(audience.listens());
        if reason == Turn::End {
            break;
        }
        session.turn(reason, &mut turns, &mut |event| {
            audience.event(event, started);
        });
        if turns.is_for_status(reason) {
            audience.status(&status(&mut session, &mut rate));
        }
        if session.processes.is_empty() {
            break;
        }
    }
    Ok(session.conclude())
}

/// How many turns there were.
#[derive(Debug, Default)]
pub(super) struct Turns(u32);

impl Turns {
    /// Whether somebody who looks is to be told after this turn.
    const fn is_for_status(&self, reason: Turn) -> bool {
        matches!(reason, Turn::Tick { .. }) && self.0.is_multiple_of(TURNS_PER_STATUS)
    }
}

impl<W: World> Session<'_, W> {
    /// A turn: events, then what is due of readings and comparisons.
    pub(super) fn turn(&mut self, reason: Turn, turns: &mut Turns, show: &mut dyn FnMut(&Event)) {
        for _ in 0..DRAINS_PER_TURN {
            if !self.drain(show) {
                break;
            }
        }
        self.look_at_heaps();
        if !self.bounds.is_paused() {
            self.read_where_wanted(show);
            self.learn_names();
        }
        let Turn::Tick { checkpoint } = reason else {
            return;
        };
        turns.0 = turns.0.wrapping_add(1);
        if turns.0.is_multiple_of(TURNS_PER_SAMPLE) {
            self.check_losses();
            self.sample();
        }
        if !self.bounds.is_paused() {
            self.check_one(show);
        }
        if checkpoint {
            self.inspect_files();
        }
        self.keep_bounds();
    }

    /// Ends the observation of all processes.
    fn conclude(mut self) -> Report {
        // Without it nothing could be held against the kernel.
        self.resume();
        // What is left comes with the last readings.
        for _ in 0..DRAINS_PER_TURN {
            if !self.drain(&mut |_| {}) {
                break;
            }
        }
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
        if self.losses.skipped > 0 {
            notes.push(format!(
                "the kernel skipped {} runs of the probes, of any process of the machine, because \
                 they were preempted: maps were read anew in case calls were missed",
                self.losses.skipped
            ));
        }
        notes.extend(self.notes_on_stacks());
        // Before the world is told that nothing more will be asked.
        let own_cost = self.world.own_cost();
        notes.extend(self.world.closing_notes());
        self.ended.sort_by_key(|(order, _)| *order);
        let processes = self.ended.into_iter().map(|(_, report)| report).collect();
        Report {
            processes,
            own_cost,
            sampling: self.bounds.sampling(),
            notes,
        }
    }

    fn notes_on_stacks(&self) -> Vec<String> {
        let WithoutStack {
            rate,
            ring,
            unreadable,
        } = self.losses.stacks;
        let reasons = [
            (rate, "as too many new ones came at once"),
            (ring, "as the ring was full"),
            (unreadable, "as they were not in memory"),
        ];
        let missed = reasons.iter().filter(|(count, _)| *count > 0);
        let missed = missed.map(|(count, why)| {
            format!("the callers' stacks of {count} calls were not copied, {why}")
        });
        let unkept = self.stacks.unkept();
        let unkept = (unkept > 0).then(|| format!("{unkept} distinct stacks were not kept"));
        missed.chain(unkept).collect()
    }

    /// Starts the command; its first map is read before its first instruction.
    fn start(&mut self, show: &mut dyn FnMut(&Event)) -> Result<(), Outcome> {
        let pid = self.world.hold().map_err(Outcome::NoTarget)?;
        self.attach_held(pid).map_err(Outcome::Failed)?;
        self.world.load().map_err(Outcome::NoTarget)?;
        self.look_at_heap(pid);
        self.drain(show);
        self.read_where_wanted(show);
        self.world.resume().map_err(Outcome::NoTarget)?;
        self.look_at_heap(pid);
        Ok(())
    }
}

fn status(session: &mut Session<'_, impl World>, rate: &mut Rate) -> Status {
    let (vm_size, rss, retained) = session.totals();
    let now = session.world.now();
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
