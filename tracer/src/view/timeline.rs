//! A quantity over time in, a chart two rows high out.
//!
//! Each column shows the highest value of its share of the time, so no peak is lost. A
//! value holds until the next one is known.

use super::{number, page::Page, style::Paint};
use crate::{
    report::TimelinePoint,
    units::{Bytes, Nanos},
};

const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Steps that two rows of blocks can show.
const STEPS: u128 = 16;
/// Columns left of a chart: the name, the size, the axis.
const LABELS: usize = 2 + 7 + 10 + 2;

/// Charts VmSize and RSS, each up to its own peak. Nothing where no time passed.
pub fn charts(page: &mut Page, timeline: &[TimelinePoint]) {
    let (Some(first), Some(last)) = (timeline.first(), timeline.last()) else {
        return;
    };
    let lasted = last.at.since(first.at);
    if lasted == 0 {
        return;
    }
    page.heading("Over time");
    let width = page.width() - LABELS;
    let sizes: Vec<_> = timeline
        .iter()
        .map(|point| (point.at, point.vm_size))
        .collect();
    chart(page, "VmSize", &buckets(&sizes, first.at, lasted, width));
    let rss = timeline
        .iter()
        .filter_map(|point| Some((point.at, point.rss?)));
    let rss: Vec<_> = rss.collect();
    if !rss.is_empty() {
        chart(page, "RSS", &buckets(&rss, first.at, lasted, width));
    }
    page.line(Paint::Faint, &axis(lasted, width));
}

/// The highest value in each of `width` equal shares of the time; `None` before the first.
fn buckets(
    points: &[(Nanos, Bytes)],
    begin: Nanos,
    lasted: u64,
    width: usize,
) -> Vec<Option<Bytes>> {
    let column = |at: Nanos| {
        let place = u128::from(at.since(begin)) * width as u128 / u128::from(lasted);
        usize::try_from(place).map_or(width - 1, |place| place.min(width - 1))
    };
    let mut points = points.iter().peekable();
    let mut held = None;
    let mut buckets = Vec::with_capacity(width);
    for at in 0..width {
        let mut highest = held;
        while let Some((_, value)) = points.next_if(|(when, _)| column(*when) <= at) {
            highest = highest.max(Some(*value));
            held = Some(*value);
        }
        buckets.push(highest);
    }
    buckets
}

fn chart(page: &mut Page, name: &str, values: &[Option<Bytes>]) {
    let peak = values.iter().flatten().max().copied().unwrap_or_default();
    let steps: Vec<usize> = values
        .iter()
        .map(|value| steps(value.unwrap_or_default(), peak))
        .collect();
    let row = |block: &dyn Fn(usize) -> usize| -> String {
        steps
            .iter()
            .map(|&step| BLOCKS[block(step).min(8)])
            .collect()
    };
    let top = row(&|step| step.saturating_sub(8));
    let bottom = row(&|step| step);
    page.line(Paint::Plain, &format!("  {name:<7}{peak:>10} ┤{top}"));
    page.line(Paint::Plain, &format!("  {:<7}{:>10} ┤{bottom}", "", 0));
}

/// Steps that `value` stands high if `peak` is [`STEPS`]; only 0 has none.
fn steps(value: Bytes, peak: Bytes) -> usize {
    if peak.0 == 0 {
        return 0;
    }
    let steps = (u128::from(value.0) * STEPS).div_ceil(u128::from(peak.0));
    usize::try_from(steps).unwrap_or(0)
}

/// The times under a chart: its begin, middle and end.
fn axis(lasted: u64, width: usize) -> String {
    let (middle, end) = (number::lasting(lasted / 2), number::lasting(lasted));
    let before = (width / 2).saturating_sub(1 + middle.len() / 2);
    let behind = width.saturating_sub(1 + before + middle.len() + end.len());
    format!("{:LABELS$}0{:before$}{middle}{:behind$}{end}", "", "", "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::style::Style;

    fn point(at: u64, vm_size: u64, rss: Option<u64>) -> TimelinePoint {
        TimelinePoint {
            at: Nanos(1_000_000_000 + at * 1_000_000_000),
            vm_size: Bytes(vm_size << 20),
            rss: rss.map(|rss| Bytes(rss << 20)),
        }
    }

    fn drawn(timeline: &[TimelinePoint]) -> String {
        let mut page = Page::new(Style::new(false, 41));
        charts(&mut page, timeline);
        page.into_text()
    }

    #[test]
    fn growth_climbs_and_stays() {
        let timeline = [
            point(0, 1, None),
            point(2, 8, Some(4)),
            point(4, 16, Some(1)),
            point(8, 16, Some(0)),
        ];
        let expected = "
Over time
  VmSize   16.0 MiB ┤          ██████████
                  0 ┤▁▁▁▁▁███████████████
  RSS      4.00 MiB ┤     ██████
                  0 ┤     ██████▄▄▄▄▄▄▄▄▄
                     0       4.0 s  8.0 s
";
        let shown = drawn(&timeline);
        assert_eq!(shown, expected, "{shown}");
    }

    #[test]
    fn without_time_there_is_no_chart() {
        assert_eq!(drawn(&[]), "");
        assert_eq!(drawn(&[point(3, 1, None)]), "");
    }

    #[test]
    fn extremes_neither_overflow_nor_vanish() {
        assert_eq!(steps(Bytes(u64::MAX), Bytes(u64::MAX)), 16);
        assert_eq!(steps(Bytes(1), Bytes(u64::MAX)), 1);
        assert_eq!(steps(Bytes(0), Bytes(0)), 0);
        let ends = [(Nanos(0), Bytes(1)), (Nanos(u64::MAX), Bytes(2))];
        let buckets = buckets(&ends, Nanos(0), u64::MAX, 3);
        assert_eq!(buckets.last(), Some(&Some(Bytes(2))));
    }
}
