//! The roll of a host's processes: what was read of them in; whose map to read next, and rows out.
//!
//! It decides and remembers; it reads nothing. A process is known by its id and when it began, so
//! that an id used again is another process.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    counts::{Counts, Tally, Turnover},
    flow::Flow,
    judgement::{Basis, Judgement},
    member::Member,
    rank::{Filter, Sort, rank},
    row::{Audit, Coverage},
    sample::{Kind, Sample, Who},
    totals::Adding,
};
use crate::units::{Bytes, Nanos, Pid};

mod flows;
mod picks;

/// How much is read of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// Its map, and the sum of what is in memory.
    Map,
    /// Its map, and what is in memory of each mapping: the kernel writes some hundred bytes for
    /// each.
    Residency,
}

/// What an audit is asked.
#[derive(Clone, Debug)]
pub struct Wishes {
    /// Smaller processes are counted, not looked at.
    pub min_size: Bytes,
    /// Which processes.
    pub filter: Filter,
    /// In which order.
    pub sort: Sort,
    /// How many; `None`: all.
    pub top: Option<usize>,
    /// Up to how many processes are traced at once.
    pub picks: usize,
    /// From what growth on a process is traced.
    pub pick_growth: Bytes,
}

/// The roll.
#[derive(Debug)]
pub struct Roll {
    wishes: Wishes,
    begun: Nanos,
    /// Whether all that were there at the beginning are known.
    is_complete: bool,
    members: BTreeMap<Pid, Member>,
    kernel_threads: u64,
    zombies: u64,
    turnover: Option<Turnover>,
    /// What processes that are in the table did, as far as it has it.
    present: Counts,
    /// What the table forgot when it let go of processes.
    forgotten: Counts,
    /// What processes that ended did and nobody was told of yet, by control group.
    left: BTreeMap<String, Flow>,
}

impl Roll {
    /// An empty one.
    #[must_use]
    pub const fn new(wishes: Wishes, begun: Nanos) -> Self {
        Self {
            wishes,
            begun,
            is_complete: false,
            members: BTreeMap::new(),
            kernel_threads: 0,
            zombies: 0,
            turnover: None,
            present: Counts::NONE,
            forgotten: Counts::NONE,
            left: BTreeMap::new(),
        }
    }

    /// Something else is asked from now on. What is known stays.
    pub fn wish(&mut self, wishes: Wishes) {
        self.wishes = wishes;
    }

    /// All processes were looked at.
    pub fn look(&mut self, now: Nanos, samples: Vec<Sample>) {
        (self.kernel_threads, self.zombies) = (0, 0);
        for member in self.members.values_mut() {
            member.seen = false;
        }
        for sample in samples {
            match sample.kind {
                Kind::Kernel => self.kernel_threads += 1,
                Kind::Zombie => self.zombies += 1,
                Kind::User => self.seen(now, sample),
            }
        }
        self.bid_farewell();
        self.members.retain(|_, member| member.seen);
        self.is_complete = true;
    }

    fn seen(&mut self, now: Nanos, sample: Sample) {
        let is_new = !self.members.contains_key(&sample.pid);
        let at_begin = !self.is_complete;
        let member = self
            .members
            .entry(sample.pid)
            .or_insert_with(|| Member::new(&sample, now, at_begin));
        if !is_new && member.began != sample.began {
            *member = Member::new(&sample, now, false);
        }
        member.look(sample);
    }

    /// The kernel side's table was read.
    pub fn count(&mut self, tallies: &[(Pid, Tally)], turnover: Turnover) {
        self.sum_up(tallies, &turnover);
        for (pid, tally) in tallies {
            if let Some(member) = self.members.get_mut(pid) {
                member.count(*tally);
            }
        }
        self.turnover = Some(turnover);
    }

    /// Processes of whom is not known yet who they are.
    #[must_use]
    pub fn strangers(&self, most: usize) -> Vec<Pid> {
        let strangers = self.members.iter();
        let strangers = strangers.filter(|(_, member)| member.who.is_none());
        strangers.map(|(pid, _)| *pid).take(most).collect()
    }

    /// This is who a process is.
    pub fn introduce(&mut self, pid: Pid, who: Who) {
        if let Some(member) = self.members.get_mut(&pid) {
            member.who = Some(Arc::new(who));
        }
    }

    /// Who a process is.
    #[must_use]
    pub fn who(&self, pid: Pid) -> Option<&Who> {
        self.members.get(&pid)?.who.as_deref()
    }

    /// Whose map to read now, most urgent first: the largest that were not looked at; what has
    /// changed much since; then what is in memory of the mappings of those that lead the ranking.
    #[must_use]
    pub fn due(&self, now: Nanos, most: usize) -> Vec<(Pid, Depth)> {
        let wanted = || {
            self.members
                .iter()
                .filter(|(pid, member)| self.is_asked_for(**pid, member))
                .filter(|(_, member)| member.is_readable() && member.who.is_some())
        };
        let mut due: Vec<(u64, Pid)> = wanted()
            .filter_map(|(pid, member)| Some((member.urgency(now)?, *pid)))
            .collect();
        due.sort_unstable_by(|one, other| other.cmp(one));
        let mut due: Vec<_> = due
            .into_iter()
            .take(most)
            .map(|(_, pid)| (pid, Depth::Map))
            .collect();
        if due.len() < most {
            // Beyond what is shown it decides nothing.
            const LEADERS: usize = 20;
            let mut leaders: Vec<_> = wanted()
                .filter(|(pid, _)| due.iter().all(|(known, _)| known != *pid))
                .map(|(pid, member)| (member.gap(), *pid))
                .collect();
            leaders.sort_unstable_by(|one, other| other.cmp(one));
            leaders.truncate(self.wishes.top.unwrap_or(LEADERS).min(LEADERS));
            let deeper = leaders
                .into_iter()
                .filter(|(_, pid)| self.members[pid].wants_residency())
                .map(|(_, pid)| (pid, Depth::Residency));
            let room = most - due.len();
            due.extend(deeper.take(room));
        }
        due
    }

    fn is_asked_for(&self, pid: Pid, member: &Member) -> bool {
        member.vm_size >= self.wishes.min_size
            && self
                .wishes
                .filter
                .passes(pid, &member.comm, member.who.as_deref())
    }

    /// A process was judged.
    pub fn judge(
        &mut self,
        now: Nanos,
        pid: Pid,
        depth: Depth,
        vmas: u64,
        rss: Option<Bytes>,
        judgement: Judgement,
    ) {
        if let Some(member) = self.members.get_mut(&pid) {
            member.judge(now, depth, vmas, rss, judgement);
        }
    }

    /// The map of a process could not be read.
    pub fn refuse(&mut self, pid: Pid) {
        if let Some(member) = self.members.get_mut(&pid) {
            member.refused = true;
        }
    }

    /// Whether a process was judged by its calls.
    #[must_use]
    pub fn is_judged_by_events(&self, pid: Pid) -> bool {
        let judgement = self.members.get(&pid).and_then(|m| m.judgement.as_ref());
        judgement.is_some_and(|judgement| judgement.basis == Basis::Events)
    }

    /// Whether a process is on the roll.
    #[must_use]
    pub fn contains(&self, pid: Pid) -> bool {
        self.members.contains_key(&pid)
    }

    /// What is known now. Rates are since the last call of this that was to `mark`.
    pub fn audit(&mut self, now: Nanos, mark: bool) -> Audit {
        let mut adding = Adding::default();
        let mut rows = Vec::new();
        for (pid, member) in &self.members {
            let who = member.who.as_deref();
            if !self.wishes.filter.passes(*pid, &member.comm, who) {
                continue;
            }
            let row = member.row(*pid, now);
            adding.add(&row, member.owned());
            if member.vm_size >= self.wishes.min_size {
                rows.push(row);
            }
        }
        rank(&mut rows, self.wishes.sort, self.wishes.top);
        let audit = Audit {
            elapsed_ns: now.since(self.begun),
            processes: rows,
            totals: adding.totals(),
            coverage: self.coverage(),
            counting: self.turnover,
            tracing: None,
            own_cost: None,
            notes: Vec::new(),
        };
        if mark {
            self.members
                .values_mut()
                .for_each(|member| member.mark(now));
        }
        audit
    }

    fn coverage(&self) -> Coverage {
        let count = |fits: &dyn Fn(&Member) -> bool| {
            self.members.values().filter(|member| fits(member)).count() as u64
        };
        let is_large = |member: &Member| member.vm_size >= self.wishes.min_size;
        let is_judged = |member: &Member| member.judgement.is_some();
        Coverage {
            processes: count(&|_| true),
            kernel_threads: self.kernel_threads,
            zombies: self.zombies,
            of_32_bits: count(&|member| member.who.as_ref().is_some_and(|who| who.is_32_bit)),
            unreadable: count(&|member| member.refused),
            below_min_size: count(&|member| !is_large(member)),
            judged: count(&is_judged),
            waiting: self
                .members
                .iter()
                .filter(|(pid, member)| {
                    !is_judged(member) && !member.refused && self.is_asked_for(**pid, member)
                })
                .count() as u64,
            traced: count(&Member::is_traced),
            ..Coverage::default()
        }
    }
}

#[cfg(test)]
mod tests;
