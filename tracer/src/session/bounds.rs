//! Bounds on what observing may cost: events and processor time in, pauses out.
//!
//! A run that exceeds a bound is not observed for as long as it takes to be within it again. What
//! happened meanwhile is not known: the map is read anew, and the gap is part of the report.

use super::Session;
use crate::{
    report::Sampling,
    units::Nanos,
    world::{Limits, World},
};

const SECOND: i128 = 1_000_000_000;
/// A pause is worth reading every map anew.
const SHORTEST: u64 = 200_000_000;
/// And no longer than this, so that whoever looks sees it go on.
const LONGEST: u64 = 10_000_000_000;

/// The bounds and what keeping to them took.
#[derive(Debug, Default)]
pub struct Bounds {
    limits: Limits,
    /// Nanoseconds of a processor a second.
    share: Option<u64>,
    events: Allowance,
    cpu: Allowance,
    looked: Option<Nanos>,
    paused: Option<Pause>,
    pauses: u64,
    paused_ns: u64,
}

/// When nothing is observed.
#[derive(Clone, Copy, Debug)]
struct Pause {
    since: Nanos,
    until: Nanos,
}

/// Of events so many seconds' worth may come at once: a ring holds no more.
const EVENTS_KEPT: u64 = 1;
/// Of processor time more: a single reading of a large map takes some tenths of a second.
const CPU_KEPT: u64 = 10;

/// An amount per second, of which what was not used is kept for a while.
#[derive(Clone, Copy, Debug, Default)]
struct Allowance {
    /// What is left, in billionths.
    left: i128,
    /// The count at the last look.
    count: Option<u64>,
}

impl Allowance {
    /// Takes a count that only grows; returns for how many nanoseconds nothing more is allowed.
    fn spend(&mut self, count: u64, per_second: u64, kept: u64, passed: u64) -> u64 {
        let spent = count.saturating_sub(self.count.unwrap_or(count));
        let full = i128::from(per_second) * i128::from(kept) * SECOND;
        if self.count.is_none() {
            self.left = full;
        }
        self.count = Some(count);
        self.left += i128::from(per_second) * i128::from(passed) - i128::from(spent) * SECOND;
        self.left = self.left.min(full);
        if self.left >= 0 || per_second == 0 {
            return 0;
        }
        u64::try_from(-self.left / i128::from(per_second)).unwrap_or(u64::MAX)
    }
}

impl Bounds {
    /// None exceeded yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            share: limits
                .cpu_percent
                .map(|percent| u64::from(percent) * 10_000_000),
            ..Self::default()
        }
    }

    /// Another share of a processor from now on, nanoseconds a second, if there is a bound on it.
    pub fn afford(&mut self, share: u64) {
        self.share = self.share.map(|_| share);
    }

    /// Whether nothing is observed now.
    pub const fn is_paused(&self) -> bool {
        self.paused.is_some()
    }

    /// Since when.
    pub fn paused_since(&self) -> Option<Nanos> {
        self.paused.map(|pause| pause.since)
    }

    /// How often observation was interrupted.
    pub const fn pauses(&self) -> u64 {
        self.pauses
    }

    /// The same, and for how many nanoseconds up to now.
    pub fn pauses_so_far(&self, now: Nanos) -> (u64, u64) {
        let under_way = self.paused.map_or(0, |pause| now.since(pause.since));
        (self.pauses, self.paused_ns + under_way)
    }

    /// For the report.
    pub fn sampling(&self) -> Option<Sampling> {
        let Limits {
            events_per_second,
            cpu_percent,
        } = self.limits;
        (self.limits != Limits::default()).then_some(Sampling {
            max_events_per_second: events_per_second,
            max_cpu_percent: cpu_percent,
            pauses: self.pauses,
            paused_ns: self.paused_ns,
        })
    }

    /// How long to pause, given what was used so far: events handled and nanoseconds of a
    /// processor.
    fn excess(&mut self, now: Nanos, handled: u64, cpu: Option<u64>) -> u64 {
        let passed = self.looked.map_or(0, |looked| now.since(looked));
        self.looked = Some(now);
        let events = match self.limits.events_per_second {
            Some(most) => self.events.spend(handled, most, EVENTS_KEPT, passed),
            None => 0,
        };
        let cpu = match (self.share, cpu) {
            (Some(share), Some(used)) => self.cpu.spend(used, share, CPU_KEPT, passed),
            _ => 0,
        };
        events.max(cpu)
    }
}

impl<W: World> Session<'_, W> {
    /// Interrupts or resumes observation, as the bounds ask for. Once a tick.
    pub(super) fn keep_bounds(&mut self) {
        if self.bounds.limits == Limits::default() {
            return;
        }
        let now = self.world.now();
        let cpu = match self.bounds.limits.cpu_percent {
            Some(_) => self.world.cpu_used(),
            None => None,
        };
        let excess = self.bounds.excess(now, self.handled, cpu);
        match self.bounds.paused {
            Some(pause) if now >= pause.until && excess == 0 => self.resume(),
            None if excess > 0 => self.pause(now, excess),
            _ => {}
        }
    }

    fn pause(&mut self, now: Nanos, excess: u64) {
        for pid in self.processes.keys() {
            self.world.remove_target(*pid);
        }
        let until = Nanos(now.0.saturating_add(excess.clamp(SHORTEST, LONGEST)));
        self.bounds.paused = Some(Pause { since: now, until });
        self.bounds.pauses += 1;
    }

    /// Observes again, if observation is interrupted. Maps will be read anew.
    pub(super) fn resume(&mut self) {
        let Some(pause) = self.bounds.paused.take() else {
            return;
        };
        for pid in self.processes.keys() {
            // One that has ended meanwhile will be found out.
            let _ = self.world.add_target(*pid);
        }
        for tracked in self.spaces.values_mut() {
            tracked.lost_events(pause.since);
        }
        let now = self.world.now();
        self.bounds.paused_ns += now.since(pause.since);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: u64 = 20_000_000;

    fn bounds(events_per_second: Option<u64>, cpu_percent: Option<u32>) -> Bounds {
        Bounds::new(Limits {
            events_per_second,
            cpu_percent,
        })
    }

    #[test]
    fn a_burst_is_allowed_and_a_flood_is_not() {
        let mut bounds = bounds(Some(1000), None);
        let mut now = 0;
        let mut look = |handled| {
            now += TICK;
            bounds.excess(Nanos(now), handled, None)
        };
        assert_eq!(look(5_000_000), 0, "what was before is not counted");
        assert_eq!(look(5_000_900), 0, "a second's worth");
        // 20 more each tick are what is allowed.
        assert_eq!(look(5_000_920), 0);
        let excess = look(5_001_200);
        assert!((130_000_000..150_000_000).contains(&excess), "{excess}");
        // The debt is paid by time.
        assert!(look(5_001_200) < excess);
    }

    #[test]
    fn processor_time_is_bounded_likewise() {
        let mut bounds = bounds(None, Some(10));
        assert_eq!(bounds.excess(Nanos(0), 0, Some(400_000_000)), 0);
        // A second is kept: what loading took does not count.
        assert_eq!(bounds.excess(Nanos(TICK), 0, Some(1_390_000_000)), 0);
        let excess = bounds.excess(Nanos(2 * TICK), 0, Some(1_420_000_000));
        assert!((150_000_000..200_000_000).contains(&excess), "{excess}");
        assert_eq!(bounds.excess(Nanos(3 * TICK), 0, None), 0, "not known");
    }

    #[test]
    fn without_bounds_there_is_nothing_to_tell() {
        assert_eq!(bounds(None, None).sampling(), None);
        let sampling = bounds(Some(7), None).sampling().expect("a bound");
        assert_eq!(
            (sampling.max_events_per_second, sampling.pauses),
            (Some(7), 0)
        );
    }
}
