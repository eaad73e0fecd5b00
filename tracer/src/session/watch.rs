//! A session that is told whom to observe while it goes on, and asked for reports without an end.

use super::{Session, run::Turns};
use crate::{
    event::Event,
    report::{Ending, ProcessReport},
    units::Pid,
    world::{Turn, World},
};

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Observe this process from now on.
    Observe(Pid),
    /// Tell of this process what is known now.
    Report(Pid),
    /// That was all.
    End,
}

/// Who gives orders and is told.
pub trait Commander {
    /// The next order, if there is one now.
    fn order(&mut self) -> Option<Order>;
    /// What was asked for; `None` if the process is not observed (any more).
    fn told(&mut self, pid: Pid, report: Option<ProcessReport>);
}

/// Observes whom it is told to until it is told to end.
pub fn watch(world: &mut impl World, commander: &mut dyn Commander) {
    let mut session = Session::new(world);
    let mut turns = Turns::default();
    loop {
        // Whoever asked for the end of the program gives the order to end, after the last report.
        let reason = match session.world.wait(true) {
            Turn::End => Turn::Wake,
            reason => reason,
        };
        let silent = &mut |_: &Event| {};
        session.turn(reason, &mut turns, silent);
        // Nobody asks for those that ended.
        session.ended.clear();
        session.notes.clear();
        while let Some(order) = commander.order() {
            match order {
                Order::Observe(pid) => {
                    if session.attach(pid).is_err() {
                        commander.told(pid, None);
                    }
                }
                Order::Report(pid) => {
                    let report = session.report_now(pid);
                    commander.told(pid, report);
                }
                Order::End => return,
            }
        }
    }
}

impl<W: World> Session<'_, W> {
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
