//! How cost grows with threads, mappings and processes.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Bench;
use super::attached::Attached;
use super::pacer::{PAIR, Pacer};
use super::section::{Section, Table};
use super::spread::{Nanos, Spread, grouped};
use super::variant::How;

const TRACER: How = How::Tracer(&["--capture", "tracepoints"]);
const ROUNDS: usize = 3;
const THREADS: [usize; 4] = [1, 2, 4, 8];
const MAPPINGS: [usize; 4] = [0, 1_000, 10_000, 60_000];
const CHILDREN: [usize; 3] = [10, 100, 1_000];
const SECONDS: f64 = 0.3;

/// A program that holds what it was told to make until its input ends.
pub struct Holder {
    child: Child,
    input: ChildStdin,
    output: BufReader<std::process::ChildStdout>,
}

impl Holder {
    /// Starts the workload with these words and waits for its first line.
    pub fn start(bench: &Bench, words: &[&str]) -> Result<Self> {
        let mut child = Command::new(&bench.products.workload)
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start the workload")?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (input, output) = pipes.context("the workload has no input or output")?;
        let mut holder = Self {
            child,
            input,
            output: BufReader::new(output),
        };
        holder.line()?;
        Ok(holder)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets it go on, and waits for its next line.
    fn go(&mut self) -> Result<()> {
        writeln!(self.input).context("the workload takes no input")?;
        self.line()
    }

    fn line(&mut self) -> Result<()> {
        let mut line = String::new();
        self.output
            .read_line(&mut line)
            .context("cannot read what the workload says")?;
        ensure!(!line.is_empty(), "the workload could not make as many");
        Ok(())
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// All three.
pub fn measure(bench: &Bench) -> Result<Section> {
    let mut section = Section::new("growth", "Growth");
    section.about.push(
        "The cost of a pair of `mmap` and `munmap` as threads and mappings grow (threads share the \
         processors with the tracer and contend for the lock of their address space, bare as well \
         as traced), and what the tracer itself takes as processes grow."
            .into(),
    );
    let columns = [
        "threads, each calling without a pause",
        "bare",
        "traced",
        "× bare",
        "lost",
    ];
    let mut table = Table::new("", &columns);
    for threads in THREADS {
        row(bench, &mut table, threads, 0)?;
    }
    section.tables.push(table);
    let columns = [
        "further mappings in the process",
        "bare",
        "traced",
        "× bare",
        "lost",
    ];
    let mut table = Table::new("", &columns);
    for mappings in MAPPINGS {
        row(bench, &mut table, 1, mappings)?;
    }
    section.tables.push(table);
    let columns = [
        "sleeping processes observed",
        "processor, %",
        "memory (RSS), MiB",
        "end after Ctrl-C",
    ];
    let mut table = Table::new("", &columns);
    for children in CHILDREN {
        processes(bench, &mut table, children)?;
    }
    section.tables.push(table);
    Ok(section)
}

fn row(bench: &Bench, table: &mut Table, threads: usize, mappings: usize) -> Result<()> {
    if bench.is_over() {
        return Ok(());
    }
    let label = grouped((if mappings == 0 { threads } else { mappings }) as u64);
    let label = if mappings == 0 && threads == 1 {
        "1 / none".into()
    } else {
        label
    };
    let mut pacer = Pacer::start(bench, threads, mappings)?;
    let seconds = if bench.quick { SECONDS / 10.0 } else { SECONDS };
    let count = pacer.count_for(PAIR, seconds)?;
    let (mut bare, mut traced, mut ratios, mut lost) = (vec![], vec![], vec![], 0);
    for _ in 0..bench.rounds(ROUNDS) {
        let before = pacer.time(PAIR, count)?;
        let attached = Attached::start(bench, TRACER, pacer.pid())?;
        pacer.time(PAIR, 1000)?;
        let time = pacer.time(PAIR, count)?;
        lost += attached.stop(|_| {})?.lost;
        let after = pacer.time(PAIR, count)?;
        bare.extend([before, after]);
        traced.push(time);
        ratios.push(2.0 * time / (before + after));
    }
    let show = |values: Vec<f64>| {
        let median = Spread::of(values).median();
        median.map_or("–".into(), |median| Nanos(median).to_string())
    };
    table.row([
        label,
        show(bare),
        show(traced),
        Spread::of(ratios).show(2),
        grouped(lost),
    ]);
    Ok(())
}

fn processes(bench: &Bench, table: &mut Table, children: usize) -> Result<()> {
    if bench.is_over() {
        return Ok(());
    }
    let count = children.to_string();
    let mut holder = Holder::start(bench, &["children", "--count", &count, "--wait-start"])?;
    let attached = Attached::start(bench, TRACER, holder.pid())?;
    holder.go()?;
    // Their first maps are read.
    sleep(Duration::from_secs(1));
    let watched = if bench.quick { 0.5 } else { 4.0 };
    let before = attached.processor();
    sleep(Duration::from_secs_f64(watched));
    let share = (attached.processor() - before) / watched;
    let (now, _) = attached.memory();
    let delivered = attached.stop(|_| {})?;
    table.row([
        grouped(children as u64 + 1),
        format!("{:.1}", 100.0 * share),
        format!("{now:.0}"),
        Nanos(delivered.ending.as_nanos() as f64).to_string(),
    ]);
    Ok(())
}
