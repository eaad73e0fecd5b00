//! The live status line: a few figures in, one line out.
//!
//! The line holds no control characters: whoever shows it moves the cursor.

use super::{
    clean::columns,
    number::{count, grouped},
    style::{Paint, Style},
};
use crate::units::Bytes;

/// How things stand, summed over all processes under observation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Processes that still run.
    pub processes: usize,
    /// Nanoseconds since the attach.
    pub elapsed_ns: u64,
    /// Their VmSize by the model.
    pub vm_size: Bytes,
    /// Their RSS, if the kernel told.
    pub rss: Option<Bytes>,
    /// Bytes whose pages were given back and whose address space was kept.
    pub retained: Bytes,
    /// Events since the last line, per second.
    pub events_per_second: u64,
    /// Events lost since the attach.
    pub lost: u64,
}

/// The figures in one line of at most the width of `style`, the least important left out.
#[must_use]
pub fn line(status: &Status, style: Style) -> String {
    let parts = parts(status);
    let mut kept = parts.len() as u8;
    while kept > 1 && width(&parts, kept) > style.width() {
        kept -= 1;
    }
    let shown = parts.iter().filter(|part| part.rank < kept);
    let shown: Vec<String> = shown
        .map(|part| style.paint(part.paint, &part.text))
        .collect();
    shown.join("  ")
}

struct Part {
    /// 0 goes last.
    rank: u8,
    paint: Paint,
    text: String,
}

/// What can be said, in the order of the line.
fn parts(status: &Status) -> Vec<Part> {
    let part = |rank, paint, text| Part { rank, paint, text };
    let seconds = status.elapsed_ns / 1_000_000_000;
    let clock = format!("{:02}:{:02}", seconds / 60, seconds % 60);
    let processes = count(status.processes as u64, "process", "processes");
    let rss = status
        .rss
        .map_or_else(|| "unknown".to_owned(), |rss| rss.to_string());
    let events = format!("{} events/s", grouped(status.events_per_second));
    let lost = format!("{} lost", grouped(status.lost));
    // Losses matter only if there are any.
    let (lost_rank, retained_rank, rss_rank, lost_paint) = match status.lost {
        0 => (4, 1, 2, Paint::Faint),
        _ => (1, 2, 3, Paint::Notable),
    };
    let events_rank = if status.lost == 0 { 3 } else { 4 };
    vec![
        part(5, Paint::Faint, clock),
        part(6, Paint::Plain, processes),
        part(0, Paint::Heading, format!("VmSize {}", status.vm_size)),
        part(rss_rank, Paint::Plain, format!("RSS {rss}")),
        part(
            retained_rank,
            Paint::Plain,
            format!("retained {}", status.retained),
        ),
        part(events_rank, Paint::Faint, events),
        part(lost_rank, lost_paint, lost),
    ]
}

fn width(parts: &[Part], kept: u8) -> usize {
    let shown = parts.iter().filter(|part| part.rank < kept);
    shown
        .map(|part| columns(&part.text) + 2)
        .sum::<usize>()
        .saturating_sub(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: Status = Status {
        processes: 2,
        elapsed_ns: 75_000_000_000,
        vm_size: Bytes(1552 << 20),
        rss: Some(Bytes(4 << 20)),
        retained: Bytes(1536 << 20),
        events_per_second: 1234,
        lost: 0,
    };

    fn shown(status: &Status, width: usize) -> String {
        line(status, Style::new(false, width))
    }

    #[test]
    fn all_is_said_where_there_is_room() {
        assert_eq!(
            shown(&STATUS, 100),
            "01:15  2 processes  VmSize 1.52 GiB  RSS 4.00 MiB  retained 1.50 GiB  1,234 events/s  0 lost"
        );
    }

    #[test]
    fn the_least_important_goes_first() {
        assert_eq!(
            shown(&STATUS, 80),
            "01:15  VmSize 1.52 GiB  RSS 4.00 MiB  retained 1.50 GiB  1,234 events/s  0 lost"
        );
        assert_eq!(shown(&STATUS, 40), "VmSize 1.52 GiB  retained 1.50 GiB");
        let lossy = Status {
            lost: 17,
            rss: None,
            ..STATUS
        };
        assert_eq!(shown(&lossy, 40), "VmSize 1.52 GiB  17 lost");
        assert_eq!(
            shown(&lossy, 50),
            "VmSize 1.52 GiB  retained 1.50 GiB  17 lost"
        );
    }

    #[test]
    fn extremes_fit() {
        let most = Status {
            processes: usize::MAX,
            elapsed_ns: u64::MAX,
            vm_size: Bytes(u64::MAX),
            rss: Some(Bytes(u64::MAX)),
            retained: Bytes(u64::MAX),
            events_per_second: u64::MAX,
            lost: u64::MAX,
        };
        for width in 40..=100 {
            assert!(columns(&shown(&most, width)) <= width);
        }
    }
}
