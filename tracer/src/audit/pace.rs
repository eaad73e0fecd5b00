//! How fast maps may be read: a bound on processes per second, and on the share of a processor.

use crate::units::Nanos;

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;

/// An allowance that fills up over time and is spent by reading.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Maps per second.
    per_second: u64,
    /// Nanoseconds of a processor per second; `None`: no bound.
    share: Option<u64>,
    /// How many maps may be read now.
    maps: u64,
    /// How long they may take, nanoseconds; below zero after a long one.
    time: i64,
    /// When it was filled last.
    filled: Option<Nanos>,
}

impl Pace {
    /// `per_second` maps, and `share` nanoseconds per second if given, with `credit` nanoseconds
    /// to begin with.
    #[must_use]
    pub const fn new(per_second: u64, share: Option<u64>, credit: u64) -> Self {
        Self {
            per_second,
            share,
            maps: 0,
            time: signed(credit),
            filled: None,
        }
    }

    /// Adds what time has brought; no more than two seconds' worth waits, but what is left of the
    /// credit.
    pub fn fill(&mut self, now: Nanos) {
        let passed = self
            .filled
            .map_or(SECOND / 4, |filled| now.since(filled))
            .min(2 * SECOND);
        self.filled = Some(now);
        let part = |amount: u64| {
            u64::try_from(u128::from(amount) * u128::from(passed) / u128::from(SECOND)).unwrap_or(0)
        };
        self.maps = (self.maps + part(self.per_second).max(1)).min(2 * self.per_second);
        if let Some(share) = self.share {
            let full = signed(2 * share).max(self.time);
            self.time = (self.time + signed(part(share))).min(full);
        }
    }

    /// Whether another map may be read now.
    #[must_use]
    pub const fn allows(&self) -> bool {
        self.maps > 0 && (self.share.is_none() || self.time > 0)
    }

    /// A map was read.
    pub const fn count_map(&mut self) {
        self.maps = self.maps.saturating_sub(1);
    }

    /// So much time was used, for maps or for something else on the same account.
    pub const fn spend(&mut self, nanos: u64) {
        self.time = self.time.saturating_sub(signed(nanos));
    }

    /// What is left of the credit is not for what comes later.
    pub fn end_credit(&mut self) {
        if let Some(share) = self.share {
            self.time = self.time.min(signed(2 * share));
        }
    }
}

/// A length of time as a number that can fall below zero; no one is longer than three centuries.
const fn signed(nanos: u64) -> i64 {
    if nanos > i64::MAX as u64 {
        i64::MAX
    } else {
        nanos as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(pace: &mut Pace, cost: u64) -> u64 {
        let mut count = 0;
        while pace.allows() {
            pace.count_map();
            pace.spend(cost);
            count += 1;
        }
        count
    }

    #[test]
    fn maps_are_bounded_by_number() {
        let mut pace = Pace::new(100, None, 0);
        pace.fill(Nanos(0));
        assert_eq!(spent(&mut pace, 1), 25);
        pace.fill(Nanos(SECOND));
        assert_eq!(spent(&mut pace, SECOND), 100);
        // What was not used does not pile up.
        pace.fill(Nanos(100 * SECOND));
        pace.fill(Nanos(200 * SECOND));
        assert_eq!(spent(&mut pace, 1), 200);
    }

    #[test]
    fn and_by_time() {
        // A fiftieth of a processor, and half a second to begin with.
        let mut pace = Pace::new(1000, Some(SECOND / 50), SECOND / 2);
        pace.fill(Nanos(0));
        assert_eq!(spent(&mut pace, SECOND / 100), 50);
        pace.fill(Nanos(SECOND));
        assert_eq!(spent(&mut pace, SECOND / 100), 2);
        // One that takes longer than is left is paid for later.
        pace.fill(Nanos(2 * SECOND));
        assert_eq!(spent(&mut pace, SECOND / 5), 1);
        pace.fill(Nanos(3 * SECOND));
        assert!(!pace.allows());
    }

    #[test]
    fn a_credit_is_for_the_beginning() {
        let mut pace = Pace::new(1000, Some(SECOND / 50), SECOND / 2);
        pace.fill(Nanos(0));
        pace.end_credit();
        assert_eq!(spent(&mut pace, SECOND / 100), 4);
    }
}
