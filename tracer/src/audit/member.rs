//! One process on the roll: what was read of it so far in, its row out.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    counts::{CallKind, Counts, Tally},
    flow::Flow,
    judgement::{Basis, Judgement, Owned},
    reason,
    roll::Depth,
    row::{CallCount, Row},
    sample::{Began, Sample, Who},
};
use crate::{
    attribute::{Owner, explanation::Confidence},
    units::{Bytes, Nanos, Pid},
};

const SECOND: u64 = 1_000_000_000;
/// A snapshot is taken anew no sooner than this, nanoseconds.
const FRESH: u64 = 5 * SECOND;
/// And from then on if the process has made a call since.
const STALE: u64 = 300 * SECOND;
/// By how much VmSize must have moved to be worth a new snapshot sooner: this much, and a tenth.
const MOVED: u64 = 16 << 20;

/// A process.
#[derive(Debug)]
pub struct Member {
    pub began: Began,
    pub comm: String,
    pub vm_size: Bytes,
    pub rss: Bytes,
    /// VmSize when the audit began.
    vm_at_begin: Bytes,
    pub who: Option<Arc<Who>>,
    pub judgement: Option<Judgement>,
    snapshot: Option<Snapshot>,
    /// Its map may not be read.
    pub refused: bool,
    /// What was counted before the table had it as it is now.
    earlier: Counts,
    tally: Tally,
    /// Whether the table let go of it.
    was_evicted: bool,
    /// What was told of in [`super::roll::Roll::flows`].
    told: Flow,
    /// Calls at the last report, and when that was.
    marked: (u64, Nanos),
    /// Since when it is traced, if it is.
    pub traced_since: Option<Nanos>,
    /// Its growth when it was traced last.
    traced_at_growth: Option<i64>,
    pub seen: bool,
}

/// When it was judged, and what it was like then.
#[derive(Clone, Copy, Debug)]
struct Snapshot {
    at: Nanos,
    depth: Depth,
    vm_size: Bytes,
    calls: u64,
    vmas: u64,
    /// RSS, where it is known better than at a look.
    rss: Option<Bytes>,
}

impl Member {
    /// One that is seen for the first time, `at_begin` of the audit or later.
    pub fn new(sample: &Sample, now: Nanos, at_begin: bool) -> Self {
        Self {
            began: sample.began,
            comm: String::new(),
            vm_size: sample.vm_size,
            rss: sample.rss,
            vm_at_begin: if at_begin { sample.vm_size } else { Bytes(0) },
            who: None,
            judgement: None,
            snapshot: None,
            refused: false,
            earlier: Counts::default(),
            tally: Tally::default(),
            was_evicted: false,
            told: Flow::default(),
            marked: (0, now),
            traced_since: None,
            traced_at_growth: None,
            seen: false,
        }
    }

    /// It was looked at.
    pub fn look(&mut self, sample: Sample) {
        self.seen = true;
        self.comm = sample.comm;
        if self.vm_size != sample.vm_size || self.rss != sample.rss {
            (self.vm_size, self.rss) = (sample.vm_size, sample.rss);
            // What it was measured to be then is no longer so.
            if let Some(snapshot) = &mut self.snapshot {
                snapshot.rss = None;
            }
        }
    }

    /// Its counts were read.
    pub fn count(&mut self, tally: Tally) {
        if self.tally.since != tally.since {
            let was_counted = self.tally.since != Nanos(0);
            self.earlier += self.tally.counts;
            if tally.by_exec {
                // Another program: nothing that was found out of it holds any more.
                (self.who, self.judgement, self.snapshot) = (None, None, None);
                self.refused = false;
            }
            if !was_counted {
                // It may have been there, and have called, before it was seen.
                self.marked.1 = self.marked.1.min(tally.since);
            } else if !tally.by_exec {
                self.was_evicted = true;
            }
        }
        self.tally = tally;
    }

    /// What the table is about to forget if it has `tally` now, or nothing of this process.
    pub fn forgotten(&self, tally: Option<&Tally>) -> Counts {
        let goes_on = tally.is_some_and(|tally| tally.since == self.tally.since || tally.by_exec);
        if goes_on || self.tally.since == Nanos(0) {
            return Counts::NONE;
        }
        self.tally.counts
    }

    /// Whether the table had it at the last look.
    pub const fn is_counted(&self) -> bool {
        self.tally.since.0 != 0
    }

    /// The table let go of it.
    pub fn evict(&mut self) {
        self.earlier += std::mem::take(&mut self.tally).counts;
        self.was_evicted = true;
    }

    /// What it did since this was last called.
    pub fn tell(&mut self) -> Flow {
        let now = Flow::of(&self.counts());
        now.since(std::mem::replace(&mut self.told, now))
    }

    fn counts(&self) -> Counts {
        self.earlier + self.tally.counts
    }

    /// It was judged.
    pub fn judge(
        &mut self,
        now: Nanos,
        depth: Depth,
        vmas: u64,
        rss: Option<Bytes>,
        judgement: Judgement,
    ) {
        self.snapshot = Some(Snapshot {
            at: now,
            depth,
            vm_size: self.vm_size,
            calls: self.counts().total(),
            vmas,
            rss,
        });
        // A snapshot does not take the place of what was found out by its calls.
        let known = self.judgement.as_ref().map(|known| known.basis);
        if !(self.is_traced() && known == Some(Basis::Events)) || judgement.basis == Basis::Events {
            self.judgement = Some(judgement);
        }
    }

    /// Whether a snapshot can be taken.
    pub const fn is_readable(&self) -> bool {
        !self.refused && self.vm_size.0 > 0
    }

    /// How urgent a snapshot is; `None` if none is due. What was never looked at goes before all
    /// else, the largest first.
    pub fn urgency(&self, now: Nanos) -> Option<u64> {
        let Some(snapshot) = self.snapshot else {
            return Some(self.vm_size.0 | 1 << 63);
        };
        let age = now.since(snapshot.at);
        let moved = self.vm_size.0.abs_diff(snapshot.vm_size.0);
        let much = moved >= MOVED && moved >= snapshot.vm_size.0 / 10;
        let stale = age >= STALE && self.counts().total() != snapshot.calls;
        (much && age >= FRESH || stale).then_some(moved)
    }

    /// Whether more is to be read than the map.
    pub fn wants_residency(&self) -> bool {
        // Each mapping takes the kernel some microseconds and some hundred bytes.
        const MOST: u64 = 4096;
        self.snapshot
            .is_some_and(|snapshot| snapshot.depth == Depth::Map && snapshot.vmas <= MOST)
            && !self.is_traced()
    }

    /// Whether its calls are traced.
    pub const fn is_traced(&self) -> bool {
        self.traced_since.is_some()
    }

    /// It is traced from now on.
    pub const fn trace(&mut self, now: Nanos) {
        self.traced_since = Some(now);
    }

    /// It is not traced any more.
    pub fn leave(&mut self) {
        if self.traced_since.take().is_some() {
            self.traced_at_growth = Some(self.growth());
        }
    }

    /// Whether it was traced before.
    pub const fn was_traced(&self) -> bool {
        self.traced_at_growth.is_some()
    }

    /// By how much it has grown that was not traced; `None` if it was traced and has not grown
    /// since.
    pub fn untraced_growth(&self) -> Option<i64> {
        match self.traced_at_growth {
            None => Some(self.growth()),
            Some(before) => Some(self.growth() - before).filter(|growth| *growth > 0),
        }
    }

    /// VmSize that is not in memory.
    pub fn gap(&self) -> Bytes {
        self.vm_size - self.rss_now()
    }

    fn rss_now(&self) -> Bytes {
        self.snapshot.and_then(|s| s.rss).unwrap_or(self.rss)
    }

    /// Growth of VmSize since the audit began.
    pub fn growth(&self) -> i64 {
        let signed = |bytes: Bytes| i64::try_from(bytes.0).unwrap_or(i64::MAX);
        signed(self.vm_size) - signed(self.vm_at_begin)
    }

    /// What its allocators own.
    pub fn owned(&self) -> &[Owned] {
        self.judgement
            .as_ref()
            .map_or(&[], |judgement| judgement.owned.as_slice())
    }

    /// Rates begin anew.
    pub fn mark(&mut self, now: Nanos) {
        self.marked = (self.counts().total(), now);
    }

    /// Its row.
    pub fn row(&self, pid: Pid, now: Nanos) -> Row {
        let counts = self.counts();
        let who = self.who.as_deref();
        let judged = self.judgement.as_ref();
        let by_call = CallKind::ALL.into_iter().filter_map(|kind| {
            let (calls, failed) = counts.of(kind);
            (calls > 0).then_some((kind.name(), CallCount { calls, failed }))
        });
        let (before, since) = self.marked;
        let (reason, summary, advice) = judged.map_or_else(
            || {
                let reason = reason::NOT_LOOKED_AT;
                let sentence = reason::sentence(reason, &Owner::UNKNOWN, Bytes(0));
                (reason, sentence, reason::advice(reason, &Owner::UNKNOWN))
            },
            |judged| (judged.reason, judged.summary.clone(), judged.advice),
        );
        Row {
            pid,
            ns_pid: who.and_then(|who| who.ns_pid),
            comm: self.comm.clone(),
            uid: who.map(|who| who.uid),
            user: who.and_then(|who| who.user.clone()),
            vm_size: self.vm_size,
            rss: self.rss_now(),
            gap: self.gap(),
            growth: self.growth(),
            retained: judged.and_then(|judged| judged.retained),
            purged: counts.sizes.purged,
            lazy_free: judged.and_then(|judged| judged.lazy_free),
            reserved: judged.map(|judged| judged.reserved),
            calls: counts.total(),
            calls_per_second: rate(counts.total().saturating_sub(before), now.since(since)),
            failed_calls: counts.failures(),
            by_call: by_call.collect::<BTreeMap<_, _>>(),
            asked: counts.sizes,
            counts_incomplete: self.was_evicted,
            vmas: self.snapshot.map(|snapshot| snapshot.vmas),
            allocators: judged.map_or_else(Vec::new, |judged| judged.allocators.clone()),
            reason,
            reason_bytes: judged.map_or(Bytes(0), |judged| judged.bytes),
            confidence: judged.map_or(Confidence::Low, |judged| judged.confidence),
            summary,
            advice,
            cgroup: who.map(|who| who.group.path.clone()),
            group: who.map(|who| who.group.clone()),
            basis: judged.map(|judged| judged.basis),
            snapshot_age_ns: self.snapshot.map(|snapshot| now.since(snapshot.at)),
        }
    }
}

/// Per second, to a tenth.
fn rate(calls: u64, nanos: u64) -> f64 {
    if nanos == 0 {
        return 0.0;
    }
    let tenths = u128::from(calls) * 10 * u128::from(SECOND) / u128::from(nanos);
    u32::try_from(tenths).map_or(f64::from(u32::MAX), f64::from) / 10.0
}
