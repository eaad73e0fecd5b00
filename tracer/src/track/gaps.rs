//! When an address space was not observed: events were lost between two moments.

use crate::units::Nanos;

/// Gaps kept; beyond, the last one grows over what lies between.
const MOST_GAPS: usize = 64;

/// Intervals in order of time, the last of which may still be open.
#[derive(Clone, Debug, Default)]
pub struct Gaps {
    gaps: Vec<(Nanos, Nanos)>,
    open: bool,
}

impl Gaps {
    /// Events were lost at `from` or later.
    pub(super) fn begin(&mut self, from: Nanos) {
        if self.open {
            return;
        }
        self.open = true;
        if self.gaps.len() < MOST_GAPS {
            self.gaps.push((from, from));
        }
    }

    /// What the kernel has is known again at `to`.
    pub(super) fn end(&mut self, to: Nanos) {
        if std::mem::take(&mut self.open)
            && let Some(last) = self.gaps.last_mut()
        {
            last.1 = to.max(last.0);
        }
    }

    /// The gaps; one that is still open ends at `now`.
    pub(super) fn until(&self, now: Nanos) -> Vec<(Nanos, Nanos)> {
        let mut gaps = self.gaps.clone();
        if self.open
            && let Some(last) = gaps.last_mut()
        {
            last.1 = now.max(last.0);
        }
        gaps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_lasts_from_the_first_loss_to_the_next_reading() {
        let mut gaps = Gaps::default();
        gaps.begin(Nanos(10));
        gaps.begin(Nanos(20));
        gaps.end(Nanos(30));
        gaps.end(Nanos(40));
        gaps.begin(Nanos(50));
        let expected = [(10, 30), (50, 60)].map(|(from, to)| (Nanos(from), Nanos(to)));
        assert_eq!(gaps.until(Nanos(60)), expected);
    }

    #[test]
    fn there_is_room_for_any_number() {
        let mut gaps = Gaps::default();
        for time in 0..1000 {
            gaps.begin(Nanos(time * 2));
            gaps.end(Nanos(time * 2 + 1));
        }
        let gaps = gaps.until(Nanos(5000));
        assert_eq!(gaps.len(), MOST_GAPS);
        assert_eq!(gaps.last().map(|gap| gap.1), Some(Nanos(1999)));
    }
}
