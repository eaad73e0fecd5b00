//! VmSize and RSS over time, in bounded space.

use crate::report::TimelinePoint;

/// Points kept; when they are full every second one goes.
const MOST_POINTS: usize = 2048;

/// Points in order of time. Keeps the highest and the last of each interval, so that no
/// peak is thinned away.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    points: Vec<TimelinePoint>,
    /// Points closer together than this (ns) become one.
    interval: u64,
}

impl Timeline {
    pub(super) fn add(&mut self, point: TimelinePoint) {
        if self.interval > 0
            && let [.., first, last] = self.points.as_mut_slice()
            && point.at.since(first.at) < self.interval
        {
            // `first` holds the highest of the interval, `last` the latest.
            if last.vm_size > first.vm_size {
                first.vm_size = last.vm_size;
            }
            *last = point;
            return;
        }
        if self.points.len() == MOST_POINTS {
            self.thin();
        }
        self.points.push(point);
    }

    /// The points.
    #[must_use]
    pub(super) fn points(&self) -> &[TimelinePoint] {
        &self.points
    }

    fn thin(&mut self) {
        let (Some(first), Some(last)) = (self.points.first(), self.points.last()) else {
            return;
        };
        self.interval = last.at.since(first.at) / (MOST_POINTS as u64 / 4);
        let mut kept: Vec<TimelinePoint> = Vec::with_capacity(MOST_POINTS);
        for pair in self.points.chunks(2) {
            kept.extend(pair.iter().max_by_key(|point| point.vm_size));
        }
        self.points = kept;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{Bytes, Nanos};

    fn point(at: u64, vm_size: u64) -> TimelinePoint {
        TimelinePoint {
            at: Nanos(at),
            vm_size: Bytes(vm_size),
            rss: None,
        }
    }

    #[test]
    fn points_stay_bounded_and_the_peak_stays() {
        let mut timeline = Timeline::default();
        for at in 0..1_000_000 {
            timeline.add(point(at, if at == 333_333 { 1 << 40 } else { at % 7 }));
        }
        let points = timeline.points();
        assert!(points.len() <= MOST_POINTS);
        assert!(points.iter().any(|point| point.vm_size == Bytes(1 << 40)));
        assert!(points.is_sorted_by_key(|point| point.at));
        assert_eq!(points.last().map(|point| point.at), Some(Nanos(999_999)));
    }
}
