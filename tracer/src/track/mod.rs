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
mod gaps;
mod meeting;
pub mod reconcile;
mod timeline;

pub use counts::Counts;
pub use timeline::Timeline;

use gaps::Gaps;
use reconcile::{Judgement, Reconciler};

use crate::{
    event::{Event, EventKind, KernelFigures},
    report::TimelinePoint,
    space::{Space, effect::Doubt, piece::Provenance},
    units::{Bytes, Nanos, PageSize},
};

/// Events kept until a reading is accepted; if there are more, they are let go of, and counted.
/// The session's bound over all address spaces is lower.
const MOST_PENDING: usize = 1 << 19;

/// How many times as long as the last reading took the next one waits.
const PAUSE_PER_READING: u64 = 8;

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
    /// Whether functions of the process are probed.
    probed: bool,
    /// The map is to be read for nothing but the page that probes need.
    lacks_probe_page: bool,
    /// Figures of events up to here may be older than the reading that the model has.
    settled: Nanos,
    never_read: bool,
    dropped: u64,
    /// The last event that was dropped: a reading from before it cannot be brought up to date.
    dropped_until: Nanos,
    gaps: Gaps,
    /// Since when the model is known to equal the kernel's, but for gaps and doubts.
    exact_since: Option<Nanos>,
    /// When a doubted model is read anew at the earliest.
    not_before: Nanos,
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
    ///
    /// `alone`: no other thread of the parent made a call meanwhile, which the child might have
    /// missed.
    #[must_use]
    pub fn forked(parent: &Self, figures: Option<KernelFigures>, alone: bool) -> Self {
        let space = parent.space.fork();
        let agrees = alone
            && !parent.shared
            && figures.is_some_and(|child| child.vm_size == space.vm_size());
        let phase = if agrees && matches!(parent.phase, Phase::Live) {
            Phase::Live
        } else {
            Phase::Unread {
                how: Provenance::PreExisting,
                pending: Vec::new(),
            }
        };
        let exact = matches!(phase, Phase::Live).then_some(parent.space.latest());
        let mut child = Self::new(space, phase);
        child.exact_since = exact;
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
            probed: false,
            lacks_probe_page: false,
            settled: Nanos(0),
            never_read: false,
            dropped: 0,
            dropped_until: Nanos(0),
            gaps: Gaps::default(),
            exact_since: None,
            not_before: Nanos(0),
        }
    }

    /// Takes the next event of the ring.
    pub fn take(&mut self, mut event: Event) {
        // At once and not when it is applied: by then a process that shares the space for a moment
        // (`vfork`) may be gone.
        event.quiet &= !self.shared;
        self.counts.received += 1;
        self.note_figures(&event);
        if self.waiting() >= MOST_PENDING {
            self.shed(Nanos(u64::MAX));
        }
        match &mut self.phase {
            Phase::Unread { pending, .. } => pending.push(event),
            Phase::Live => self.follow(&event),
        }
    }

    /// How many events wait for a reading.
    #[must_use]
    pub const fn waiting(&self) -> usize {
        match &self.phase {
            Phase::Unread { pending, .. } => pending.len(),
            Phase::Live => 0,
        }
    }

    /// Lets go of the events that wait for a reading and are from `before` a moment. The model
    /// needs none from before the reading, but what they tell of calls and their sites is lost.
    pub fn shed(&mut self, before: Nanos) {
        let Phase::Unread { pending, .. } = &mut self.phase else {
            return;
        };
        let (dropped, kept): (Vec<_>, Vec<_>) = std::mem::take(pending)
            .into_iter()
            .partition(|event| event.exited < before);
        *pending = kept;
        let exits = || dropped.iter().map(|event| event.exited);
        if let (Some(first), Some(last)) = (exits().min(), exits().max()) {
            self.gaps.begin(first);
            self.dropped_until = self.dropped_until.max(last);
            self.dropped += dropped.len() as u64;
        }
    }

    /// Whether the kernel's map is to be read.
    #[must_use]
    pub const fn wants_reading(&self) -> bool {
        matches!(self.phase, Phase::Unread { .. })
    }

    /// Whether it is to be read now. A program that races with itself all the time is not
    /// read all the time: that would hold its lock for an eighth of its time at most.
    #[must_use]
    pub fn is_reading_due(&self, now: Nanos) -> bool {
        self.wants_reading() && now >= self.not_before
    }

    /// Whether several processes change this address space: that no call of one was under way
    /// then says nothing about the other's.
    pub const fn set_shared(&mut self, shared: bool) {
        self.shared = shared;
    }

    /// Functions of the process are probed: the kernel maps a page for that when the first one is
    /// reached, without a call.
    pub const fn set_probed(&mut self) {
        self.probed = true;
    }

    /// The process is gone before its map could be read: what its events tell is all.
    pub fn give_up_reading(&mut self) {
        if let Phase::Unread { pending, .. } = std::mem::replace(&mut self.phase, Phase::Live) {
            // Then all that the model does not have is that page.
            self.never_read = !self.lacks_probe_page;
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

    /// Events after `since` are missing: what the model has is doubtful until the map was read
    /// anew.
    pub fn lost_events(&mut self, since: Nanos) {
        self.gaps.begin(since);
        self.doubt();
    }

    /// The map is to be read anew.
    pub fn doubt(&mut self) {
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

    /// When it was not observed; a gap that is still open ends `now`.
    #[must_use]
    pub fn gaps(&self, now: Nanos) -> Vec<(Nanos, Nanos)> {
        self.gaps.until(now)
    }

    /// Since when the model is known to equal the kernel's, but for gaps and doubts.
    #[must_use]
    pub const fn exact_since(&self) -> Option<Nanos> {
        self.exact_since
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
            .filter(|_| event.quiet && event.entered > self.settled)
        else {
            return;
        };
        let vm_size = self.space.vm_size();
        if figures.vm_size > vm_size && self.space.maps_stacks() {
            self.resync();
            return;
        }
        let page = self.space.page().pages(1);
        if self.probed && figures.vm_size == vm_size + page && !self.space.has_probe_page() {
            self.resync();
            self.lacks_probe_page = true;
            return;
        }
        match self.reconciler.judge(&figures, vm_size, event) {
            Judgement::Suspect => {}
            Judgement::Agrees => self.exact_from(event.exited),
            Judgement::StackGrew(by) if self.space.grow_stack(by, event.exited) => {
                self.note_size(event.exited);
            }
            Judgement::StackGrew(_) | Judgement::Differs => self.resync(),
        }
    }

    /// Applies and counts; returns whether the model may no longer be exact.
    fn apply(&mut self, event: &Event) -> bool {
        let effect = self.space.apply(event);
        self.counts.note(event, &effect);
        if effect.doubt == Some(Doubt::Race) {
            self.reconciler.raced();
        }
        effect.doubt.is_some()
    }

    fn resync(&mut self) {
        self.lacks_probe_page = false;
        self.phase = Phase::Unread {
            how: Provenance::Found,
            pending: Vec::new(),
        };
    }

    const fn exact_from(&mut self, at: Nanos) {
        if self.exact_since.is_none() {
            self.exact_since = Some(at);
        }
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
