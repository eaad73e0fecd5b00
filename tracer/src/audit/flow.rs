//! What was done over some time: differences of counts.

use super::counts::Counts;
use crate::units::Bytes;

/// Sums over some calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Calls, failed ones included.
    pub calls: u64,
    /// Failed ones among them.
    pub failed: u64,
    /// What they asked to map.
    pub mapped: Bytes,
    /// To unmap.
    pub unmapped: Bytes,
    /// To give back at once, counted each time.
    pub purged: Bytes,
    /// To give back when memory is short, likewise.
    pub lazily_freed: Bytes,
}

impl Flow {
    /// The sums of counts.
    #[must_use]
    pub fn of(counts: &Counts) -> Self {
        Self {
            calls: counts.total(),
            failed: counts.failures(),
            mapped: counts.sizes.mapped,
            unmapped: counts.sizes.unmapped,
            purged: counts.sizes.purged,
            lazily_freed: counts.sizes.lazily_freed,
        }
    }

    /// What came on top of `earlier`.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        const fn less(now: Bytes, earlier: Bytes) -> Bytes {
            Bytes(now.0.saturating_sub(earlier.0))
        }
        Self {
            calls: self.calls.saturating_sub(earlier.calls),
            failed: self.failed.saturating_sub(earlier.failed),
            mapped: less(self.mapped, earlier.mapped),
            unmapped: less(self.unmapped, earlier.unmapped),
            purged: less(self.purged, earlier.purged),
            lazily_freed: less(self.lazily_freed, earlier.lazily_freed),
        }
    }

    /// Whether nothing was done.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl std::ops::AddAssign for Flow {
    fn add_assign(&mut self, other: Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.failed = self.failed.saturating_add(other.failed);
        self.mapped += other.mapped;
        self.unmapped += other.unmapped;
        self.purged += other.purged;
        self.lazily_freed += other.lazily_freed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_and_sums_undo_each_other() {
        let mut counts = Counts::default();
        counts.calls[0] = 7;
        counts.failed[0] = 2;
        counts.sizes.purged = Bytes(4096);
        let now = Flow::of(&counts);
        let earlier = Flow {
            calls: 3,
            ..Flow::default()
        };
        let mut sum = earlier;
        sum += now.since(earlier);
        assert_eq!(sum, now);
        assert!(now.since(now).is_none() && !now.is_none());
        // Counts that began anew are no negative flow.
        assert!(Flow::default().since(now).is_none());
    }
}
