//! The workload that makes calls and times them: orders in, nanoseconds out.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};

use super::Bench;

/// `workload pace` at work. It ends when this is dropped.
pub struct Pacer {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// What it can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// As it is ordered.
    pub name: &'static str,
    /// For the document.
    pub title: &'static str,
    /// Calls in it, by the names that a report counts them under.
    pub calls: &'static [&'static str],
}

/// What is timed under every variant.
pub const PACES: [Pace; 5] = [PAIR, BRK, MADVISE, GETPPID, MALLOC];
/// The one that goals are about.
pub const PAIR: Pace = Pace {
    name: "pair",
    title: "`mmap` + `munmap`",
    calls: &["mmap", "munmap"],
};
const BRK: Pace = Pace {
    name: "brk",
    title: "`brk` up + down",
    calls: &["brk", "brk"],
};
const MADVISE: Pace = Pace {
    name: "madvise",
    title: "`madvise`",
    calls: &["madvise"],
};
/// A call that changes no memory.
pub const GETPPID: Pace = Pace {
    name: "getppid",
    title: "`getppid`",
    calls: &[],
};

/// The C library's allocator, which makes no system call for it.
const MALLOC: Pace = Pace {
    name: "malloc",
    title: "`malloc` + `free`",
    calls: &[MALLOCS, FREES],
};
/// Blocks that the heap view saw handed out, as [`Pace::calls`] name them.
pub const MALLOCS: &str = "malloc";
/// Blocks that it saw given back.
pub const FREES: &str = "free";

impl Pacer {
    /// Starts it, on processor 0 if there is one thread: the tracer then has the others.
    pub fn start(bench: &Bench, threads: usize, mappings: usize) -> Result<Self> {
        let mut command = if threads == 1 {
            let mut command = Command::new("taskset");
            command.args(["-c", "0"]).arg(&bench.products.workload);
            command
        } else {
            Command::new(&bench.products.workload)
        };
        command.args(["pace", "--threads", &threads.to_string()]);
        command.args(["--mappings", &mappings.to_string()]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start `workload pace` with taskset")?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("`workload pace` has no input or output");
        };
        let mut pacer = Self {
            child,
            input,
            output: BufReader::new(output),
        };
        pacer.answer().context("`workload pace` did not begin")?;
        Ok(pacer)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Nanoseconds that one of `count` took.
    pub fn time(&mut self, pace: Pace, count: u32) -> Result<f64> {
        self.order(&format!("{} {count}", pace.name), count)
    }

    /// The same at so many a second.
    pub fn time_at(&mut self, pace: Pace, count: u32, per_second: u32) -> Result<f64> {
        self.order(&format!("{} {count} {per_second}", pace.name), count)
    }

    /// How many take about that long, by a try.
    pub fn count_for(&mut self, pace: Pace, seconds: f64) -> Result<u32> {
        let each = self.time(pace, 500)?.max(1.0);
        let count = (seconds * 1e9 / each).clamp(500.0, 2_000_000.0);
        Ok(count as u32)
    }

    fn order(&mut self, order: &str, count: u32) -> Result<f64> {
        writeln!(self.input, "{order}").context("`workload pace` takes no order")?;
        let answer = self.answer()?;
        let took = answer.split_whitespace().nth(2);
        let took: f64 = took
            .and_then(|took| took.parse().ok())
            .with_context(|| format!("`workload pace` answered {order:?} with {answer:?}"))?;
        Ok(took / f64::from(count.max(1)))
    }

    fn answer(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output
            .read_line(&mut line)
            .context("cannot read what `workload pace` says")?;
        if line.is_empty() {
            bail!("`workload pace` has ended");
        }
        Ok(line)
    }
}

impl Drop for Pacer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
