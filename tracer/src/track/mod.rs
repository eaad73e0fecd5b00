//! One address space under observation: events and readings of the kernel's map in, an
//! exact model out.
//!
//! Pure. A reading of `/proc/<pid>/maps` is not one moment: the kernel hands it out in
//! parts while calls go on. So events that arrive before a reading is accepted are kept,
//! and what they did is replayed onto it in the order of the ring:
//!
//! * what a byte is after the reading is decided by the last event that touched it, or, if
//!   none did, by the reading, in which it then cannot have changed;
//! * every request but `mremap` decides its bytes regardless of what the model has there,
//!   so replaying one whose effect the reading already contains changes nothing. (Bytes
//!   that `mremap` moved are already at their new place in such a reading, and stay.)
//!
//! A reading during which no call was under way is preferred, and asked for a few times.
//! From then on each event's VmSize by the kernel's word is held against the model: see
//! [`reconcile`].

mod counts;
pub mod reconcile;
mod timeline;

pub use counts::Counts;
pub use timeline::Timeline;

use reconcile::{Judgement, Reconciler};

use crate::{
    event::{Event, EventKind, KernelFigures, Request},
    report::TimelinePoint,
    space::{Space, piece::Provenance, reading::Reading},
    units::{Bytes, Nanos, PageSize},
};

/// Events kept until a reading is accepted; more are dropped, and counted.
const MOST_PENDING: usize = 1 << 18;

/// What became of a reading that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// No call was under way: the model is exact from here on.
    Exact,
    /// Calls were under way and were replayed onto it.
    Replayed,
    /// Refused: calls were under way, another one may not be disturbed.
    Disturbed,
    /// The model has a reading already.
    NotNeeded,
}

/// An address space under observation.
#[derive(Debug)]
pub struct Tracked {
    space: Space,
    phase: Phase,
    reconciler: Reconciler,
    counts: Counts,
    timeline: Timeline,
    peak: Bytes,
    rss: RssSeen,
    last_figures: Option<KernelFigures>,
    shared: bool,
    /// Figures of events up to here may be older than the reading that the model has.
    settled: Nanos,
    never_read: bool,
    dropped: u64,
}

/// The resident set, as far as seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct RssSeen {
    /// The highest.
    pub peak: Option<Bytes>,
    /// The last.
    pub last: Option<Bytes>,
    /// The anonymous part of the last.
    pub anonymous: Option<Bytes>,
}

#[derive(Debug)]
enum Phase {
    /// The kernel's map is to be read; bytes found in it and in no event came by `how`.
    Unread {
        how: Provenance,
        pending: Vec<Event>,
    },
    /// The model follows the events.
    Live,
}

impl Tracked {
    /// An address space whose map is still to be read; what is in it came by `how`.
    #[must_use]
    pub fn unread(page: PageSize, how: Provenance) -> Self {
        Self::new(
            Space::new(page),
            Phase::Unread {
                how,
                pending: Vec::new(),
            },
        )
    }

    /// The address space of a child that was forked just now. Where the kernel's figure
    /// does not agree with the parent's model its map is to be read.
    #[must_use]
    pub fn forked(parent: &Self, figures: Option<KernelFigures>) -> Self {
        let space = parent.space.fork();
        let agrees = figures.is_some_and(|child| child.vm_size == space.vm_size());
        let phase = if agrees && matches!(parent.phase, Phase::Live) {
            Phase::Live
        } else {
            Phase::Unread {
                how: Provenance::PreExisting,
                pending: Vec::new(),
            }
        };
        let mut child = Self::new(space, phase);
        if let Some(figures) = figures {
            child.reconciler.begin(figures);
        }
        child
    }

    fn new(space: Space, phase: Phase) -> Self {
        Self {
            peak: space.vm_size(),
            space,
            phase,
            reconciler: Reconciler::default(),
            counts: Counts::default(),
            timeline: Timeline::default(),
            rss: RssSeen::default(),
            last_figures: None,
            shared: false,
            settled: Nanos(0),
            never_read: false,
            dropped: 0,
        }
    }

    /// Takes the next event of the ring.
    pub fn take(&mut self, event: Event) {
        self.counts.received += 1;
        self.note_figures(&event);
        match &mut self.phase {
            Phase::Unread { pending, .. } if pending.len() < MOST_PENDING => pending.push(event),
            Phase::Unread { .. } => self.dropped += 1,
            Phase::Live => self.follow(&event),
        }
    }

    /// Whether the kernel's map is to be read.
    #[must_use]
    pub const fn wants_reading(&self) -> bool {
        matches!(self.phase, Phase::Unread { .. })
    }

    /// Offers a reading, after all events up to its end were taken. Calls that were under
    /// way meanwhile are a reason to refuse it, unless `insist`.
    pub fn offer(&mut self, reading: &Reading, insist: bool) -> Accepted {
        let Phase::Unread { how, pending } = &mut self.phase else {
            return Accepted::NotNeeded;
        };
        let quiet = reading.is_quiet(pending);
        if !quiet && !insist {
            return Accepted::Disturbed;
        }
        let (how, pending) = (*how, std::mem::take(pending));
        let (before, since): (Vec<_>, Vec<_>) = pending
            .into_iter()
            .partition(|event| event.exited < reading.begun);
        // First so that code addresses of the calls before it are known, then again as the
        // truth about what those calls left.
        self.space.adopt(&reading.vmas, how, reading.begun);
        for event in &before {
            self.apply(event);
        }
        let differences = self.space.adopt(&reading.vmas, how, reading.begun);
        if matches!(how, Provenance::Found) {
            self.reconciler.healed(&differences);
        }
        self.phase = Phase::Live;
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
        if self.counts.last_exit >= reading.begun {
            return false;
        }
        let growth = reading.vm_size - self.space.vm_size();
        if growth > Bytes(0) && self.reconciler.stack_grew(reading.stack, growth) {
            self.space.grow_stacks_to(&reading.vmas, reading.ended);
        }
        let differences = self.space.compare(&reading.vmas);
        if !differences.is_empty() && !insist {
            return false;
        }
        self.reconciler.verified(&differences);
        if differences.is_empty() {
            self.space.learn_names(&reading.vmas);
        } else {
            self.space
                .adopt(&reading.vmas, Provenance::Found, reading.begun);
        }
        self.note_size(reading.ended);
        true
    }

    /// Whether several processes change this address space: the kernel's figures with the
    /// events of one then say nothing about the other's calls.
    pub const fn set_shared(&mut self, shared: bool) {
        self.shared = shared;
    }

    /// The process is gone before its map could be read: what its events tell is all.
    pub fn give_up_reading(&mut self) {
        if let Phase::Unread { pending, .. } = std::mem::replace(&mut self.phase, Phase::Live) {
            self.never_read = true;
            for event in &pending {
                self.apply(event);
                self.note_size(event.exited);
            }
        }
    }

    /// RSS by another source than events.
    pub fn note_rss(&mut self, rss: Bytes, anonymous: Option<Bytes>, at: Nanos) {
        self.rss.last = Some(rss);
        self.rss.anonymous = anonymous.or(self.rss.anonymous);
        self.rss.peak = self.rss.peak.max(Some(rss));
        // Before the map was read the model has no size to show.
        if !self.wants_reading() {
            self.note_size(at);
        }
    }

    /// Events are missing: what the model has is doubtful until the map was read anew.
    pub fn lost_events(&mut self) {
        if matches!(self.phase, Phase::Live) {
            self.resync();
        }
    }

    /// The model.
    #[must_use]
    pub const fn space(&self) -> &Space {
        &self.space
    }

    /// The model, to teach it names.
    pub const fn space_mut(&mut self) -> &mut Space {
        &mut self.space
    }

    /// What arrived.
    #[must_use]
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The model against the kernel.
    #[must_use]
    pub const fn reconciler(&self) -> &Reconciler {
        &self.reconciler
    }

    /// VmSize and RSS over time.
    #[must_use]
    pub fn timeline(&self) -> &[TimelinePoint] {
        self.timeline.points()
    }

    /// The highest VmSize.
    #[must_use]
    pub const fn peak(&self) -> Bytes {
        self.peak
    }

    /// RSS.
    #[must_use]
    pub const fn rss(&self) -> RssSeen {
        self.rss
    }

    /// The kernel's figures with the last event that had them.
    #[must_use]
    pub const fn last_figures(&self) -> Option<KernelFigures> {
        self.last_figures
    }

    /// Whether the process was gone before a map that was wanted could be read.
    #[must_use]
    pub const fn was_never_read(&self) -> bool {
        self.never_read
    }

    /// Events that did not fit while a reading was waited for.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    fn follow(&mut self, event: &Event) {
        let doubtful = self.apply(event);
        self.note_size(event.exited);
        if doubtful {
            self.resync();
            return;
        }
        let Some(figures) = event
            .kernel
            .filter(|_| event.quiet && !self.shared && event.entered > self.settled)
        else {
            return;
        };
        match self.reconciler.judge(&figures, &self.space, event) {
            Judgement::Agrees | Judgement::Suspect => {}
            Judgement::StackGrew(by) if self.space.grow_stack(by, event.exited) => {
                self.note_size(event.exited);
            }
            Judgement::StackGrew(_) | Judgement::StacksChanged | Judgement::Differs => {
                self.resync();
            }
        }
    }

    /// Applies and counts; returns whether the model may no longer be exact.
    fn apply(&mut self, event: &Event) -> bool {
        let effect = if self.is_mismeasured(event) {
            self.space.apply(&Event {
                quiet: false,
                ..event.clone()
            })
        } else {
            self.space.apply(event)
        };
        self.counts.note(event, &effect);
        effect.doubt.is_some()
    }

    /// Whether a size was measured by what VmSize rose by while another call was left too: quiet
    /// tells of the end of a call only.
    fn is_mismeasured(&self, event: &Event) -> bool {
        let EventKind::Call(call) = &event.kind else {
            return false;
        };
        matches!(
            call.request,
            Request::Attach { .. } | Request::RingSetup { .. }
        ) && event.entered < self.counts.last_exit
    }

    fn resync(&mut self) {
        self.phase = Phase::Unread {
            how: Provenance::Found,
            pending: Vec::new(),
        };
    }

    fn note_size(&mut self, at: Nanos) {
        let vm_size = self.space.vm_size();
        self.peak = self.peak.max(vm_size);
        self.timeline.add(TimelinePoint {
            at,
            vm_size,
            rss: self.rss.last,
        });
    }

    fn note_figures(&mut self, event: &Event) {
        // A process that is forking shows the parent's figures: its own; a dying one shows
        // those of its last moment.
        if let Some(figures) = event.kernel
            && !matches!(event.kind, EventKind::Fork(_))
        {
            self.last_figures = Some(figures);
            // Also of events whose effect a reading contains already: the peak may have been
            // before it.
            self.peak = self.peak.max(figures.vm_size);
            self.rss.last = Some(figures.rss);
            self.rss.anonymous = Some(figures.rss_anon);
            self.rss.peak = self.rss.peak.max(Some(figures.rss));
        }
    }
}

#[cfg(test)]
mod tests;
