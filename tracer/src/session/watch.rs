//! A session that is told whom to observe while it goes on, and asked for reports without an end.

use super::{Session, run::Turns};
use crate::{
    event::Event,
    report::{Ending, ProcessReport},
    units::Pid,
    world::{Turn, World},
};

/// Events that wait for readings of maps: some MiB, as this is a run beside others.
const MOST_WAITING: usize = 1 << 14;

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Observe this process from now on.
    Observe(Pid),
    /// Observe it no longer.
    Leave(Pid),
    /// Tell of this process what is known now.
    Report(Pid),
    /// Tell what observing came to so far.
    Account,
    /// From now on use so much of a processor, nanoseconds a second.
    Afford(u64),
    /// That was all.
    End,
}

/// Who gives orders and is told.
pub trait Commander {
    /// The next order, if there is one now.
    fn order(&mut self) -> Option<Order>;
    /// What was asked for; `None` if the process is not observed (any more).
    fn told(&mut self, pid: Pid, report: Option<ProcessReport>);
    /// What observing came to so far.
    fn accounted(&mut self, account: Account);
}

/// What observing came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Events handled.
    pub events: u64,
    /// Events lost.
    pub lost: u64,
    /// How often observation was interrupted to keep to the bounds.
    pub pauses: u64,
    /// How long it was, nanoseconds.
    pub paused_ns: u64,
}

/// Observes whom it is told to until it is told to end.
pub fn watch(world: &mut impl World, commander: &mut dyn Commander) {
    let mut session = Session::new(world);
    session.keeps_ended = false;
    session.most_waiting = MOST_WAITING;
    let mut turns = Turns::default();
    loop {
        // Whoever asked for the end of the program gives the order to end, after the last report.
        let reason = match session.world.wait(true) {
            Turn::End => Turn::Wake,
            reason => reason,
        };
        let silent = &mut |_: &Event| {};
        session.turn(reason, &mut turns, silent);
        session.notes.clear();
        while let Some(order) = commander.order() {
            match order {
                Order::Observe(pid) => {
                    if session.attach(pid).is_err() {
                        commander.told(pid, None);
                    }
                }
                Order::Leave(pid) => session.drop_process(pid),
                Order::Report(pid) => {
                    let report = session.report_now(pid);
                    commander.told(pid, report);
                }
                Order::Account => {
                    let account = session.account();
                    commander.accounted(account);
                }
                Order::Afford(share) => session.bounds.afford(share),
                Order::End => return,
            }
        }
    }
}

impl<W: World> Session<'_, W> {
    fn account(&mut self) -> Account {
        let (pauses, paused_ns) = self.bounds.pauses_so_far(self.world.now());
        Account {
            events: self.handled,
            lost: self.lost(),
            pauses,
            paused_ns,
        }
    }

    /// What is known of a process now; it goes on being observed.
    fn report_now(&mut self, pid: Pid) -> Option<ProcessReport> {
        self.resume();
        let verified = self.verify(pid, &mut |_| {});
        let process = self.processes.get(&pid)?.clone();
        let lost = self.lost();
        let pauses = self.bounds.pauses();
        let tracked = self.spaces.get(&process.space)?;
        let outside = (&mut *self.world, (&mut self.elf, &mut self.stacks));
        Some(super::finish::report(
            &process,
            tracked,
            Ending::StillRunning,
            (verified, None),
            (lost, pauses),
            outside,
        ))
    }
}
