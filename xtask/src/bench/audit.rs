//! What watching a whole host costs the tracer: a crowd of processes in, shares of a processor and
//! memory out.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::Bench;
use super::attached::Attached;
use super::growth::Holder;
use super::section::{Section, Table};
use super::variant::How;

/// 2,000 processes with 50,000 calls a second, eight of which grow and make half of the calls.
const CROWD: [&str; 7] = [
    "crowd",
    "--count",
    "2000",
    "--rate",
    "50000",
    "--growing",
    "8",
];

/// With the figures that goals are about.
struct Way {
    name: &'static str,
    words: &'static [&'static str],
    figures: Option<[&'static str; 2]>,
}

const AUDIT: [&str; 6] = ["audit", "--quiet", "--format", "json", "--interval", "10"];
const SERVE: [&str; 4] = ["serve", "--quiet", "--listen", "127.0.0.1:0"];
const SERVE_PICKS: [&str; 6] = [SERVE[0], SERVE[1], SERVE[2], SERVE[3], "--picks", "4"];

const WAYS: [Way; 3] = [
    Way {
        name: "`tracer audit --interval 10`",
        words: &AUDIT,
        figures: Some(["audit processor", "audit memory"]),
    },
    Way {
        name: "`tracer serve`",
        words: &SERVE,
        figures: None,
    },
    Way {
        name: "`tracer serve --picks 4`",
        words: &SERVE_PICKS,
        figures: None,
    },
];

/// The first round of maps, growth, and what it takes to load the probes that trace the first picks.
const BEGINNING: f64 = 30.0;
/// How long is measured then.
const LONG: f64 = 30.0;

/// All of them, one after the other.
pub fn measure(bench: &Bench) -> Result<Section> {
    let mut section = Section::new("audit", "What watching a whole host costs");
    section.about.push(
        "2,000 processes make 50,000 calls a second in sum. Eight of them make half of the calls, \
         and grow by 64 MiB a second up to 1 GiB from the start, a sixteenth of it touched: by \
         default an audit traces four such processes call by call. The first 30 seconds, in which \
         the probes are loaded and the map of each process is read, are apart; then 30 seconds \
         are measured, as the tracer's own processor time by `/proc`. What its programs cost the \
         calls of others is in the section before. Other processes of this machine are watched too."
            .into(),
    );
    let columns = [
        "",
        "first 30 s, processor time",
        "then, % of a processor",
        "memory (RSS), MiB",
        "highest, MiB",
    ];
    let mut table = Table::new("", &columns);
    let (beginning, long) = match bench.quick {
        true => (BEGINNING / 10.0, LONG / 10.0),
        false => (BEGINNING, LONG),
    };
    for way in WAYS {
        if bench.is_over() {
            section
                .remarks
                .push(format!("the time was over before {}", way.name));
            continue;
        }
        // A new crowd each time, as it grows once.
        let holder = Holder::start(bench, &CROWD)?;
        let begun = Instant::now();
        let attached = Attached::start(bench, How::Host(way.words), holder.pid())?;
        let rest = Duration::from_secs_f64(beginning).saturating_sub(begun.elapsed());
        sleep(rest);
        let (first, since) = (attached.processor(), Instant::now());
        sleep(Duration::from_secs_f64(long));
        let share = (attached.processor() - first) / since.elapsed().as_secs_f64();
        let (memory, highest) = attached.memory();
        attached.stop(|_| {})?;
        if let Some([processor, most]) = way.figures {
            section.figures.insert(processor.into(), 100.0 * share);
            section.figures.insert(most.into(), highest);
        }
        table.row([
            way.name.to_owned(),
            format!("{first:.2} s"),
            format!("{:.2}", 100.0 * share),
            format!("{memory:.0}"),
            format!("{highest:.0}"),
        ]);
    }
    section.tables.push(table);
    Ok(section)
}
