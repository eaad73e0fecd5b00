//! What was done since somebody was told last, and sums over the whole host that only grow.
//!
//! The table of counts has each process while it runs, and the sums of those that ended. What it
//! forgets when it lets go of a process is remembered here.

use std::collections::BTreeMap;

use super::Roll;
use crate::{
    audit::{
        counts::{Counts, Tally, Turnover},
        flow::Flow,
        member::Member,
    },
    units::Pid,
};

impl Roll {
    /// What the processes that are asked for did since this was last called, by the path of their
    /// control group. What a process did between the last look at it and its end is not in it.
    pub fn flows(&mut self) -> BTreeMap<String, Flow> {
        let mut flows = std::mem::take(&mut self.left);
        for (pid, member) in &mut self.members {
            let who = member.who.as_deref();
            let is_asked_for = self.wishes.filter.passes(*pid, &member.comm, who);
            // What is not asked for is told of too, so that it does not come later all at once.
            let flow = member.tell();
            if is_asked_for {
                add(&mut flows, member, flow);
            }
        }
        flows
    }

    /// What was counted of all processes of the host so far.
    #[must_use]
    pub fn host(&self) -> Counts {
        let gone = self.turnover.map_or(Counts::NONE, |turnover| turnover.gone);
        gone + self.present + self.forgotten
    }

    /// What those that were not seen any more did is not lost.
    pub(super) fn bid_farewell(&mut self) {
        let mut left = std::mem::take(&mut self.left);
        let gone = self.members.iter_mut().filter(|(_, member)| !member.seen);
        for (pid, member) in gone {
            let who = member.who.as_deref();
            if self.wishes.filter.passes(*pid, &member.comm, who) {
                let flow = member.tell();
                add(&mut left, member, flow);
            }
        }
        self.left = left;
    }

    /// The table was read, and is about to be handed on to its processes.
    pub(super) fn sum_up(&mut self, tallies: &[(Pid, Tally)], turnover: &Turnover) {
        self.present = Counts::NONE;
        for (_, tally) in tallies {
            self.present += tally.counts;
        }
        let before = self.turnover.map_or(0, |turnover| turnover.evicted);
        let lets_go = turnover.evicted > before;
        for (pid, member) in &mut self.members {
            let tally = tallies.binary_search_by_key(pid, |(pid, _)| *pid);
            let tally = tally.ok().map(|at| &tallies[at].1);
            // One that is not in it has most likely ended, unless somebody was let go of.
            if tally.is_none() && !lets_go {
                continue;
            }
            self.forgotten += member.forgotten(tally);
            if tally.is_none() && member.is_counted() {
                member.evict();
            }
        }
    }
}

fn add(flows: &mut BTreeMap<String, Flow>, member: &Member, flow: Flow) {
    if flow.is_none() {
        return;
    }
    let path = member
        .who
        .as_ref()
        .map_or("", |who| who.group.path.as_str());
    match flows.get_mut(path) {
        Some(sum) => *sum += flow,
        None => {
            flows.insert(path.to_owned(), flow);
        }
    }
}
