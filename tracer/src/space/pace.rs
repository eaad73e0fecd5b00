//! How growth was spread over time: amounts and moments in, sums of equal intervals out.
//!
//! Bounded however long a run lasts: when the intervals no longer reach, each two become one
//! of twice the length.

use crate::units::{Bytes, Nanos};

/// How long an interval is at first, nanoseconds.
const FIRST_STEP: u64 = 10_000_000;

/// What came in each of [`Pace::SLOTS`] intervals of equal length, from the first arrival on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    first: Option<Nanos>,
    last: Nanos,
    /// Length of an interval, nanoseconds.
    step: u64,
    slots: [Bytes; Self::SLOTS],
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            first: None,
            last: Nanos(0),
            step: FIRST_STEP,
            slots: [Bytes(0); Self::SLOTS],
        }
    }
}

impl Pace {
    /// How many intervals there are.
    pub const SLOTS: usize = 16;

    /// Counts what came.
    pub(super) fn add(&mut self, bytes: Bytes, at: Nanos) {
        let first = *self.first.get_or_insert(at);
        self.last = self.last.max(at);
        // Racing records may be a little older than the first.
        let since = at.since(first);
        while since / self.step >= Self::SLOTS as u64 {
            self.fold();
        }
        let slot = usize::try_from(since / self.step).unwrap_or_default();
        self.slots[slot] += bytes;
    }

    fn fold(&mut self) {
        for slot in 0..Self::SLOTS / 2 {
            self.slots[slot] = self.slots[2 * slot] + self.slots[2 * slot + 1];
        }
        self.slots[Self::SLOTS / 2..].fill(Bytes(0));
        self.step = self.step.saturating_mul(2);
    }

    /// When something came first; `None` if nothing has.
    #[must_use]
    pub const fn first(&self) -> Option<Nanos> {
        self.first
    }

    /// When something came last.
    #[must_use]
    pub const fn last(&self) -> Nanos {
        self.last
    }

    /// What came in each interval, up to the last in which something did.
    #[must_use]
    pub fn intervals(&self) -> &[Bytes] {
        let used = self.slots.iter().rposition(|bytes| bytes.0 > 0);
        &self.slots[..used.map_or(0, |last| last + 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_when_intervals_are_joined() {
        let mut pace = Pace::default();
        for second in 0..100 {
            pace.add(Bytes(10), Nanos(5_000_000_000 + second * 1_000_000_000));
        }
        let sum: Bytes = pace.intervals().iter().copied().sum();
        assert_eq!(sum, Bytes(1000));
        assert!(pace.intervals().len() > Pace::SLOTS / 2);
        assert_eq!(pace.first(), Some(Nanos(5_000_000_000)));
        assert_eq!(pace.last(), Nanos(104_000_000_000));
        let most = pace.intervals().iter().max().expect("some");
        assert!(most.0 <= 200, "even growth is even: {pace:?}");
    }

    #[test]
    fn what_came_at_once_is_in_one_interval() {
        let mut pace = Pace::default();
        assert_eq!(pace.intervals(), []);
        pace.add(Bytes(7), Nanos(50));
        pace.add(Bytes(7), Nanos(40));
        assert_eq!(pace.intervals(), [Bytes(14)]);
    }
}
