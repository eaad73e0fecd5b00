//! `tracer audit`: what may be typed, and what is meant by it.

use std::{num::NonZeroU32, path::PathBuf, time::Duration};

use clap::{ValueEnum, ValueHint};

use super::{
    args::{BoundArgs, Color, Format},
    intent::{Output, output},
    values,
    watch::{Watch, WatchArgs},
};
use crate::units::{Bytes, Pid};

/// How long is watched unless something else is said: long enough for rates.
const USUAL: Duration = Duration::from_secs(5);

/// `tracer audit`.
#[derive(Debug, clap::Args)]
pub struct AuditArgs {
    /// Watch for this long: seconds, or 500ms, 2m, 1h; 5s unless --interval is given
    #[arg(short, long, value_name = "TIME", value_parser = values::duration)]
    pub duration: Option<Duration>,

    /// Report again and again, each time after this long, until --duration or Ctrl-C
    ///
    /// With --format json each report is a line (JSON Lines).
    #[arg(short, long, value_name = "TIME", value_parser = values::duration, conflicts_with = "output")]
    pub interval: Option<Duration>,

    /// A page on this process instead of the ranking
    #[arg(long, value_name = "PID", value_parser = values::pid)]
    pub explain: Option<NonZeroU32>,

    /// Rank this many processes; all with --format json, unless given
    #[arg(long, value_name = "N", value_parser = values::count)]
    pub top: Option<u32>,

    /// By what to rank, largest first
    #[arg(long, value_name = "BY", default_value = "gap")]
    pub sort: Sort,

    #[command(flatten)]
    pub watch: WatchArgs,

    /// Trace up to this many processes call by call: those that a filter asks for, and those that
    /// grow by --pick-growth
    ///
    /// What is traced is judged by its calls rather than by a snapshot. 0: none.
    #[arg(long, value_name = "N", default_value = "4", value_parser = values::picks)]
    pub picks: u32,

    #[command(flatten)]
    pub bounds: BoundArgs,

    /// How to write the report
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub format: Format,

    /// Write it to this file rather than standard output
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,

    /// Say only the report, and errors
    #[arg(short, long)]
    pub quiet: bool,

    /// When to use colours; auto: on a terminal, unless NO_COLOR is set
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
}

/// By what to rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Sort {
    /// VmSize that is not in memory
    Gap,
    /// VmSize
    VmSize,
    /// What is in memory
    Rss,
    /// Growth of VmSize since the start
    Growth,
    /// Address space given back and kept, of traced processes
    Retained,
    /// Memory given back since the start
    Purged,
    /// Calls per second
    Calls,
    /// Mappings
    Vmas,
}

/// A whole host, judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// When to end, unless something else ends it before; `None`: never.
    pub duration: Option<Duration>,
    /// How often to report; `None`: at the end.
    pub interval: Option<Duration>,
    /// Only this process, and all of it.
    pub explain: Option<Pid>,
    /// How many processes to rank; `None`: all.
    pub top: Option<usize>,
    /// By what.
    pub sort: Sort,
    /// What is watched, and how.
    pub watch: Watch,
    /// How many processes are traced at once.
    pub picks: usize,
    /// Events of those per second at most.
    pub max_events_per_second: Option<u64>,
    /// How to write.
    pub format: Format,
    /// Where to.
    pub output: Output,
    /// Whether to say nothing besides.
    pub quiet: bool,
    /// When to use colours.
    pub color: Color,
}

impl From<AuditArgs> for Audit {
    fn from(args: AuditArgs) -> Self {
        const SHOWN: u32 = 20;
        let explain = args.explain.map(|pid| Pid(pid.get()));
        let top = match args.format {
            Format::Text => Some(args.top.unwrap_or(SHOWN)),
            Format::Json => args.top,
        };
        let mut watch = Watch::from(args.watch);
        if explain.is_some() {
            // It was asked for: no size is too small.
            watch.min_size = Bytes(0);
        }
        Self {
            duration: match args.interval {
                Some(_) => args.duration,
                None => Some(args.duration.unwrap_or(USUAL)),
            },
            interval: args.interval,
            top: top.and_then(|top| usize::try_from(top).ok()),
            sort: args.sort,
            watch,
            explain,
            picks: usize::try_from(args.picks).unwrap_or(usize::MAX),
            max_events_per_second: args.bounds.max_events_per_second,
            format: args.format,
            output: output(args.output),
            quiet: args.quiet,
            color: args.color,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Intent, parse};

    fn audit(args: &str) -> Audit {
        match parse(args.split(' ')) {
            Ok(Intent::Audit(audit)) => *audit,
            other => panic!("{args}: {other:?}"),
        }
    }

    #[test]
    fn it_ends_by_itself_unless_it_reports_again_and_again() {
        assert_eq!(audit("tracer audit").duration, Some(USUAL));
        assert_eq!(audit("tracer audit -i 2").duration, None);
        let both = audit("tracer audit -i 2 -d 1m");
        assert_eq!(both.duration, Some(Duration::from_secs(60)));
        assert!(parse("tracer audit -i 2 -o x".split(' ')).is_err());
    }

    #[test]
    fn a_page_is_cut_and_a_document_is_whole() {
        assert_eq!(audit("tracer audit").top, Some(20));
        assert_eq!(audit("tracer audit -f json").top, None);
        assert_eq!(audit("tracer audit -f json --top 3").top, Some(3));
    }

    #[test]
    fn what_is_asked_for_is_never_too_small() {
        assert_eq!(audit("tracer audit").watch.min_size, Bytes(16 << 20));
        assert_eq!(audit("tracer audit -z 1G").watch.min_size, Bytes(1 << 30));
        let explained = audit("tracer audit --explain 7");
        assert_eq!(
            (explained.explain, explained.watch.min_size),
            (Some(Pid(7)), Bytes(0))
        );
    }
}
