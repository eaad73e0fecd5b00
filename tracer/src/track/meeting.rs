//! A reading of the kernel's map meets the model: taken over, or compared.

use super::{Accepted, PAUSE_PER_READING, Phase, Tracked};
use crate::{
    space::{PROBE_PAGE, effect::Difference, piece::Provenance, reading::Reading},
    units::{Bytes, Nanos},
};

impl Tracked {
    /// Offers a reading, after all events up to its end were taken. Calls that were under
    /// way meanwhile are a reason to refuse it, unless `insist`. One during which events were
    /// dropped is refused always.
    pub fn offer(&mut self, reading: &Reading, insist: bool) -> Accepted {
        let Phase::Unread { how, pending } = &mut self.phase else {
            return Accepted::NotNeeded;
        };
        if self.dropped > 0 && self.dropped_until >= reading.begun {
            return Accepted::Disturbed;
        }
        if reading.other_stacks {
            self.space.found_stacks();
        }
        let quiet = reading.is_quiet(pending);
        if !quiet && !insist {
            return Accepted::Disturbed;
        }
        let (how, pending) = (*how, std::mem::take(pending));
        let (before, since): (Vec<_>, Vec<_>) = pending
            .into_iter()
            .partition(|event| event.exited < reading.begun);
        // Of a space that was never read: first so that code addresses of the calls before it are
        // known, then again as the truth about what those calls left.
        if how != Provenance::Found {
            self.space.adopt(&reading.vmas, how, reading.begun);
        }
        for event in &before {
            self.apply(event);
        }
        let differences = self.space.adopt(&reading.vmas, how, reading.begun);
        if how == Provenance::Found {
            self.reconciler.healed(&differences);
        }
        self.phase = Phase::Live;
        self.gaps.end(reading.begun);
        if quiet {
            self.exact_from(reading.ended);
        }
        let took = reading.ended.since(reading.begun);
        self.not_before = Nanos(reading.ended.0.saturating_add(PAUSE_PER_READING * took));
        self.reconciler.restart(reading.stack, self.space.stacks());
        self.settled = reading.ended;
        self.note_size(reading.ended);
        // One of them may make the model doubtful again: then the rest waits.
        for event in since {
            match &mut self.phase {
                Phase::Unread { pending, .. } => pending.push(event),
                Phase::Live => self.follow(&event),
            }
        }
        if quiet {
            Accepted::Exact
        } else {
            Accepted::Replayed
        }
    }

    /// Holds the model against a reading, after all events up to its end were taken, and
    /// takes the reading's word. Returns whether that decided: a reading during which
    /// calls were left does not, and one that differs does only with `insist`, because a
    /// call may have been under way whose event is still to come.
    pub fn verify(&mut self, reading: &Reading, insist: bool) -> bool {
        if self.wants_reading() {
            return self.offer(reading, insist) != Accepted::Disturbed;
        }
        // By the kernel side's counters no call was under way, or nothing is known of that.
        let alone = reading.disturbed == Some(false);
        if self.counts.last_exit >= reading.begun || (reading.disturbed == Some(true) && !insist) {
            return false;
        }
        if reading.other_stacks {
            self.space.found_stacks();
        }
        let growth = reading.vm_size - self.space.vm_size();
        let may_be_stacks = self.space.maps_stacks();
        if growth > Bytes(0) && (self.reconciler.stack_grew(reading.stack, growth) || may_be_stacks)
        {
            self.space.grow_stacks_to(&reading.vmas, reading.ended);
        }
        let differences = self.space.compare(&reading.vmas);
        if !differences.is_empty() && !insist && !alone {
            return false;
        }
        // Which mappings grow by themselves is not in the kernel's map: where calls made such,
        // bytes that only the kernel has are their growth.
        let is_growth = |difference: &Difference| difference.model.is_none();
        // Nor is there a call where the kernel maps the page that probes need.
        let is_probes = |difference: &Difference| {
            let kernel = difference.kernel.as_ref();
            difference.model.is_none() && kernel.is_some_and(|vma| vma.name == PROBE_PAGE)
        };
        let expected = may_be_stacks && differences.iter().all(is_growth)
            || self.probed && differences.iter().all(is_probes);
        if !differences.is_empty() && expected {
            self.space
                .adopt(&reading.vmas, Provenance::Found, reading.begun);
            self.reconciler.healed(&differences);
            self.note_size(reading.ended);
            return true;
        }
        self.reconciler.verified(&differences);
        if differences.is_empty() {
            self.exact_from(reading.ended);
            self.space.learn_names(&reading.vmas);
        } else {
            self.space
                .adopt(&reading.vmas, Provenance::Found, reading.begun);
        }
        self.note_size(reading.ended);
        true
    }
}
