//! Who is traced call by call: places are few, so that who has had one for long makes room.

use super::Roll;
use crate::units::{Bytes, Nanos, Pid};

/// A place is kept for this long at least, nanoseconds: what a process gives back and keeps shows
/// only after a while.
const KEPT: u64 = 60_000_000_000;

impl Roll {
    /// Who is to be traced from now on, largest growth first, as far as there is room.
    #[must_use]
    pub fn picks(&self) -> Vec<Pid> {
        let room = self.wishes.picks.saturating_sub(self.traced().len());
        let mut picks = self.candidates();
        picks.truncate(room);
        picks
    }

    /// Who is to be traced no longer: those that are more than there are places for; those that
    /// were traced longest, if others wait for their places.
    #[must_use]
    pub fn leavers(&self, now: Nanos) -> Vec<Pid> {
        let mut traced: Vec<(Nanos, Pid)> = self
            .members
            .iter()
            .filter_map(|(pid, member)| Some((member.traced_since?, *pid)))
            .collect();
        traced.sort_unstable();
        let beyond = traced.len().saturating_sub(self.wishes.picks);
        let room = self.wishes.picks.saturating_sub(traced.len());
        let wanted = match self.wishes.picks {
            0 => 0,
            _ => self.candidates().len().saturating_sub(room),
        };
        let leavers = traced
            .into_iter()
            .enumerate()
            .filter(|(index, (since, _))| {
                *index < beyond || *index < wanted && now.since(*since) >= KEPT
            });
        leavers.map(|(_, (_, pid))| pid).collect()
    }

    /// Those that were asked for by a filter, and those that grew beyond the threshold, since they
    /// were traced last if they were; largest growth first.
    fn candidates(&self) -> Vec<Pid> {
        if self.wishes.picks == 0 {
            return Vec::new();
        }
        let by_filter = !self.wishes.filter.is_open();
        let threshold = i64::try_from(self.wishes.pick_growth.0).unwrap_or(i64::MAX);
        let mut picks: Vec<(i64, Bytes, Pid)> = self
            .members
            .iter()
            .filter(|(_, member)| !member.is_traced() && member.is_readable())
            .filter(|(pid, member)| self.is_asked_for(**pid, member))
            .filter_map(|(pid, member)| {
                let growth = member.untraced_growth()?;
                let is_due = growth >= threshold || by_filter && !member.was_traced();
                is_due.then_some((growth, member.vm_size, *pid))
            })
            .collect();
        picks.sort_unstable_by(|one, other| other.cmp(one));
        picks.into_iter().map(|(_, _, pid)| pid).collect()
    }

    /// A process is traced from now on.
    pub fn trace(&mut self, now: Nanos, pid: Pid) {
        if let Some(member) = self.members.get_mut(&pid) {
            member.trace(now);
        }
    }

    /// A process is not traced any more.
    pub fn leave(&mut self, pid: Pid) {
        if let Some(member) = self.members.get_mut(&pid) {
            member.leave();
        }
    }

    /// Who is traced.
    #[must_use]
    pub fn traced(&self) -> Vec<Pid> {
        let traced = self.members.iter().filter(|(_, member)| member.is_traced());
        traced.map(|(pid, _)| *pid).collect()
    }
}
