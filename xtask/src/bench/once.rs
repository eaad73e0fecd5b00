//! What happens once in a run: starting, attaching, waiting, the report.

use std::env;
use std::fs;
use std::process::{self, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Bench;
use super::attached::Attached;
use super::growth::Holder;
use super::pacer::{PAIR, Pacer};
use super::section::{Section, Table};
use super::spread::{Nanos, Spread, grouped};
use super::variant::How;

const ROUNDS: usize = 5;
/// How long an attached tracer is watched while nothing happens.
const IDLE: Duration = Duration::from_secs(5);
/// Mappings of the large report: Linux permits 65,530 by default.
const MAPPINGS: usize = 65_530;
/// How long a program that does nothing but map and unmap is recorded.
const RECORDED: f64 = 15.0;
/// What the time of a report is extrapolated to.
const MANY: f64 = 100e6;

/// All of it.
pub fn measure(bench: &Bench) -> Result<Section> {
    let mut section = Section::new("once", "Starting, waiting, reporting");
    let mut table = Table::new("", &["what", "median (smallest–largest)", "remark"]);
    let launch = repeat(bench, || timed(bench, &["--quiet", "--", "true"]))?;
    table.row([
        "`tracer -- true`, from start to end".into(),
        millis(&launch),
    ]);
    let mut pacer = Pacer::start(bench, 1, 0)?;
    let pid = pacer.pid().to_string();
    let attach = repeat(bench, || {
        let took = timed(bench, &["--quiet", "--duration", "100ms", "--pid", &pid])?;
        Ok(took - 100e6)
    })?;
    table.row([
        "`tracer --pid`, but for the time traced".into(),
        millis(&attach),
        "loading, attaching, one map, the report, detaching".into(),
    ]);
    idle(bench, &pacer, &mut table, &mut section)?;
    mappings(bench, &mut table, &mut section)?;
    recording(bench, &mut pacer, &mut table, &mut section)?;
    section.tables.push(table);
    Ok(section)
}

fn repeat(bench: &Bench, mut once: impl FnMut() -> Result<f64>) -> Result<Spread> {
    let mut values = Vec::new();
    for _ in 0..bench.rounds(ROUNDS) {
        values.push(once()?);
    }
    Ok(Spread::of(values))
}

/// Nanoseconds that a run of the tracer takes.
fn timed(bench: &Bench, arguments: &[&str]) -> Result<f64> {
    let mut command = Command::new(&bench.products.tracer);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let begun = Instant::now();
    let status = command.status().context("cannot run the tracer")?;
    ensure!(status.success(), "the tracer failed: {arguments:?}");
    Ok(begun.elapsed().as_nanos() as f64)
}

fn idle(bench: &Bench, pacer: &Pacer, table: &mut Table, section: &mut Section) -> Result<()> {
    let attached = Attached::start(bench, How::Tracer(&[]), pacer.pid())?;
    let watched = if bench.quick { IDLE / 10 } else { IDLE };
    let before = attached.processor();
    sleep(watched);
    let share = (attached.processor() - before) / watched.as_secs_f64();
    let (now, _) = attached.memory();
    attached.stop(|_| {})?;
    table.row([
        "attached to a process that sleeps: processor".into(),
        format!("{:.1} %", 100.0 * share),
        format!(
            "over {} s; processor time is counted in hundredths of a second",
            watched.as_secs()
        ),
    ]);
    table.row([
        "attached to a process that sleeps: memory (RSS)".into(),
        format!("{now:.1} MiB"),
        "8 MiB of it are the ring, once it was written through".into(),
    ]);
    section.figures.insert("idle processor".into(), share);
    Ok(())
}

fn mappings(bench: &Bench, table: &mut Table, section: &mut Section) -> Result<()> {
    let holder = match Holder::start(bench, &["mappings", "--count", &MAPPINGS.to_string()]) {
        Ok(holder) => holder,
        Err(error) => {
            section
                .remarks
                .push(format!("{MAPPINGS} mappings: {error:#}"));
            return Ok(());
        }
    };
    let attached = Attached::start(bench, How::Tracer(&[]), holder.pid())?;
    let (before, _) = attached.memory();
    let mut highest = 0.0_f64;
    let delivered = attached.stop(|mib| highest = highest.max(mib))?;
    table.row([
        format!(
            "a process of {} mappings: the report",
            grouped(MAPPINGS as u64)
        ),
        Nanos(delivered.ending.as_nanos() as f64).to_string(),
        format!("from Ctrl-C to the end; memory {before:.0} MiB before, at most {highest:.0} MiB"),
    ]);
    section
        .figures
        .insert("report seconds".into(), delivered.ending.as_secs_f64());
    Ok(())
}

fn recording(
    bench: &Bench,
    pacer: &mut Pacer,
    table: &mut Table,
    section: &mut Section,
) -> Result<()> {
    let file = env::temp_dir().join(format!("tracer-bench-{}.trace", process::id()));
    let seconds = if bench.quick { 0.3 } else { RECORDED };
    let count = pacer.count_for(PAIR, seconds / 2.0)?;
    let how = format!("{}", file.display());
    let mut command = Command::new(&bench.products.tracer);
    command.args([
        "record",
        "--quiet",
        "--record-size",
        "4096",
        "--output",
        &how,
    ]);
    command.args(["--pid", &pacer.pid().to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let mut child = command.spawn().context("cannot run the tracer")?;
    sleep(Duration::from_secs(2));
    pacer.time(PAIR, count)?;
    sleep(Duration::from_millis(200));
    Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .context("cannot run kill")?;
    child.wait().context("the tracer did not end")?;
    let size = fs::metadata(&file).map_or(0, |file| file.len());
    let events = 2 * u64::from(count);
    let took = repeat(bench, || {
        timed(bench, &["report", "--quiet", "--output", "/dev/null", &how])
    });
    // Gone however that went.
    let _ = fs::remove_file(&file);
    let took = took?;
    let median = took.median().unwrap_or_default();
    table.row([
        format!(
            "`tracer report` of a recording of {} events",
            grouped(events)
        ),
        millis(&took),
        format!(
            "{:.0} MiB, {:.0} bytes an event, {:.0} ns an event",
            size as f64 / f64::from(1 << 20),
            size as f64 / events.max(1) as f64,
            median / events.max(1) as f64
        ),
    ]);
    table.row([
        "the same of 100 million events".into(),
        Nanos(median / events.max(1) as f64 * MANY).to_string(),
        "extrapolated from the row above, not measured".into(),
    ]);
    section
        .figures
        .insert("replay ns".into(), median / events.max(1) as f64);
    Ok(())
}

fn millis(spread: &Spread) -> String {
    let Some((low, high)) = spread.ends() else {
        return "–".into();
    };
    let median = spread.median().unwrap_or_default();
    format!("{} ({}–{})", Nanos(median), Nanos(low), Nanos(high))
}
