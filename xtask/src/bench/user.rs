//! What an event costs in user space: criterion's figures, and bytes by a counting allocator.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::section::{Section, Table};
use super::spread::Nanos;
use crate::exec;
use crate::setup::EbpfTools;
use crate::workspace::Workspace;

/// The benchmarks of criterion, `tracer/benches/pipeline.rs`: group, the figure it becomes, and
/// what it is. Each is given per event or per mapping.
const TIMED: [(&str, &str, &str); 5] = [
    ("decode", "decode ns", "bytes of the ring → event"),
    (
        "apply",
        "apply ns",
        "event → address space: order, races, pieces, flows",
    ),
    (
        "track",
        "track ns",
        "event → ledger: the same, sizes compared, counted, on the timeline",
    ),
    (
        "capture to ledger",
        "ledger ns",
        "record → event → ledger: all that is done for each event",
    ),
    (
        "storm of threads",
        "storm ns",
        "record → ledger where threads race, so that nothing is quiet",
    ),
];

/// Programs that were built.
pub struct Benches {
    pipeline: PathBuf,
    bytes: PathBuf,
}

#[derive(Deserialize)]
struct Message {
    reason: String,
    target: Option<Target>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

#[derive(Deserialize)]
struct Estimates {
    median: Estimate,
}

#[derive(Deserialize)]
struct Estimate {
    point_estimate: f64,
    confidence_interval: Interval,
}

#[derive(Deserialize)]
struct Interval {
    lower_bound: f64,
    upper_bound: f64,
}

/// Builds the benchmarks.
pub fn build(workspace: &Workspace, tools: &EbpfTools) -> Result<Benches> {
    let mut command = workspace.cargo();
    command.args([
        "bench",
        "--package",
        "tracer",
        "--bench",
        "pipeline",
        "--bench",
        "bytes",
        "--no-run",
    ]);
    command.arg("--message-format=json-render-diagnostics");
    tools.apply(&mut command)?;
    let messages = exec::capture(&mut command, "building the benchmarks")?;
    let find = |name: &str| {
        let messages = messages.lines();
        let mut messages = messages.filter_map(|line| serde_json::from_str::<Message>(line).ok());
        let found = messages.find_map(|message| {
            let fits = message.reason == "compiler-artifact"
                && message.target.is_some_and(|target| target.name == name);
            message.executable.filter(|_| fits)
        });
        found.with_context(|| format!("cargo built no benchmark {name}"))
    };
    Ok(Benches {
        pipeline: find("pipeline")?,
        bytes: find("bytes")?,
    })
}

/// Runs them.
pub fn measure(
    workspace: &Workspace,
    benches: &Benches,
    quick: bool,
    share: Duration,
) -> Result<Section> {
    let mut section = Section::new("user", "User space, for each event");
    section.about.push(
        "By criterion, on one processor, without the kernel: a program that maps and unmaps 64 KiB, \
         and now and then protects, advises and moves, with its call sites, in an address space of \
         200 mappings. Median, and its confidence interval of 95 %."
            .into(),
    );
    // Warming up takes as long again as half of measuring.
    let seconds = (share.as_secs_f64() / TIMED.len() as f64 / 2.0).clamp(0.2, 8.0);
    let seconds = if quick { 0.2 } else { seconds };
    let home = workspace.target.join("criterion");
    let mut command = Command::new(&benches.pipeline);
    command.args([
        "--bench",
        "--noplot",
        "--sample-size",
        if quick { "10" } else { "50" },
    ]);
    command.args(["--measurement-time", &format!("{seconds:.1}")]);
    command.args(["--warm-up-time", &format!("{:.1}", seconds / 2.0)]);
    command.env("CRITERION_HOME", &home);
    exec::capture(&mut command, "the benchmarks")?;
    let mut table = Table::new("", &["what", "each", "95 %"]);
    for (group, figure, what) in TIMED {
        let Some(estimates) = estimates(&home, group) else {
            section
                .remarks
                .push(format!("criterion left no figures of {group:?}"));
            continue;
        };
        let Estimate {
            point_estimate,
            confidence_interval: range,
        } = estimates.median;
        // Each iteration handles a thousand of them.
        let each = |ns: f64| Nanos(ns / 1000.0).to_string();
        section
            .figures
            .insert(figure.into(), point_estimate / 1000.0);
        table.row([
            what.to_owned(),
            each(point_estimate),
            format!("{} – {}", each(range.lower_bound), each(range.upper_bound)),
        ]);
    }
    section.tables.push(table);
    section.tables.push(bytes(benches, &mut section.figures)?);
    Ok(section)
}

fn bytes(
    benches: &Benches,
    figures: &mut std::collections::BTreeMap<String, f64>,
) -> Result<Table> {
    let said = exec::capture(
        Command::new(&benches.bytes).arg("--bench"),
        "counting bytes",
    )?;
    let mut table = Table::new("Memory, by an allocator that counts:", &["what", "bytes"]);
    for line in said.lines() {
        // `figure<TAB>value<TAB>what it is`
        let mut cells = line.split('\t');
        let (Some(figure), Some(value), Some(what)) = (cells.next(), cells.next(), cells.next())
        else {
            continue;
        };
        let number: f64 = value
            .parse()
            .with_context(|| format!("no number in {line:?}"))?;
        figures.insert(figure.to_owned(), number);
        table.row([what.to_owned(), format!("{number:.1}")]);
    }
    Ok(table)
}

fn estimates(home: &Path, group: &str) -> Option<Estimates> {
    let file = home.join(group).join("thousand/new/estimates.json");
    let text = fs::read_to_string(file).ok()?;
    serde_json::from_str(&text).ok()
}
