//! A tracer at work on a process: a variant in, what it delivered out.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::Bench;
use super::pacer::{FREES, MALLOCS};
use super::variant::How;

/// How long a tracer may take to begin, and to end.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long another tracer gets to begin: it does not say when it has.
const SETTLE: Duration = Duration::from_millis(1500);
/// One that compiles C first.
const SETTLE_COMPILED: Duration = Duration::from_secs(6);
/// How long the tracer measures what its own probes cost, which itself costs whoever makes calls.
const MEASURES_ITSELF: Duration = Duration::from_millis(500);
/// Between two looks at whether the tracer waits for events: five of its turns.
const LOOK: Duration = Duration::from_millis(100);
/// Ticks of processor time in a second (`USER_HZ`).
const TICKS: f64 = 100.0;

/// A tracer at work.
pub struct Attached {
    child: Child,
    files: Files,
    is_tracer: bool,
    is_floor: bool,
    /// How long it gets before it is looked at whether it has begun.
    before: Duration,
}

/// Where it writes to. They go with this.
struct Files {
    output: PathBuf,
    errors: PathBuf,
}

/// What it told in the end.
#[derive(Debug, Default)]
pub struct Delivered {
    /// Events of the first process.
    pub received: u64,
    /// Events lost, of any.
    pub lost: u64,
    /// How often each call was made.
    pub calls: BTreeMap<String, u64>,
    /// From asking for the end to the end.
    pub ending: Duration,
}

#[derive(Deserialize)]
struct Report {
    events: Option<Events>,
    heap: Option<Heap>,
    processes: Option<Vec<Process>>,
}

#[derive(Deserialize)]
struct Process {
    events: Events,
    heap: Option<Heap>,
}

#[derive(Deserialize)]
struct Heap {
    totals: Totals,
}

#[derive(Deserialize)]
struct Totals {
    allocated: u64,
    freed: u64,
    unmatched: u64,
}

#[derive(Deserialize)]
struct Events {
    received: u64,
    lost: u64,
    by_call: BTreeMap<String, Calls>,
}

#[derive(Deserialize)]
struct Calls {
    calls: u64,
}

impl Attached {
    /// Starts it and waits until it traces.
    pub fn start(bench: &Bench, how: How, pid: u32) -> Result<Self> {
        let files = Files::new();
        let pid = pid.to_string();
        let mut command = match how {
            How::Floor => {
                let mut command = Command::new(&bench.products.workload);
                command.arg("floor");
                command
            }
            How::Tracer(arguments) => {
                let mut command = Command::new(&bench.products.tracer);
                command.args(["--quiet", "--format", "json", "--pid", &pid]);
                command.args(arguments);
                command
            }
            How::Host(arguments) => {
                let mut command = Command::new(&bench.products.tracer);
                command.args(arguments);
                command
            }
            How::Peer { program, arguments } => {
                let mut command = Command::new(program);
                command.args(arguments.iter().map(|word| word.replace("PID", &pid)));
                command
            }
        };
        let program = Path::new(command.get_program())
            .file_name()
            .unwrap_or_default();
        let program = program.to_string_lossy().into_owned();
        let create = |path: &Path| {
            File::create(path).with_context(|| format!("cannot create {}", path.display()))
        };
        let child = command
            .stdin(Stdio::piped())
            .stdout(create(&files.output)?)
            .stderr(create(&files.errors)?)
            .spawn();
        let child = match child {
            Ok(child) => child,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                bail!("{program} is not installed (`--peers` installs it)")
            }
            Err(error) => bail!("{program} cannot be run: {error}"),
        };
        let mut attached = Self {
            child,
            files,
            is_tracer: matches!(how, How::Tracer(_)),
            is_floor: matches!(how, How::Floor),
            // What the heap view does first (it measures its own cost) looks like waiting.
            before: if how.has_heap() {
                SETTLE
            } else {
                MEASURES_ITSELF
            },
        };
        attached.settle(&program)?;
        Ok(attached)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Processor time it has used, seconds.
    pub fn processor(&self) -> f64 {
        // Of `stat`, behind the name in parentheses: `utime` and `stime` are fields 14 and 15.
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
        let ticks = fields.split(' ').skip(11).take(2);
        ticks
            .filter_map(|ticks| ticks.parse::<f64>().ok())
            .sum::<f64>()
            / TICKS
    }

    /// Its resident memory, now and at the highest, MiB.
    pub fn memory(&self) -> (f64, f64) {
        let mib = |field| status(self.pid(), field).unwrap_or_default() as f64 / 1024.0;
        (mib("VmRSS:"), mib("VmHWM:"))
    }

    /// Asks it to end and reads what it delivered; the highest resident memory it had, MiB, is
    /// told to `seen`.
    pub fn stop(mut self, mut seen: impl FnMut(f64)) -> Result<Delivered> {
        let asked = Instant::now();
        if self.is_floor {
            self.child.stdin = None;
        } else {
            let mut kill = Command::new("kill");
            kill.args(["-INT", &self.pid().to_string()]);
            kill.status().context("cannot run kill")?;
        }
        while self.child.try_wait()?.is_none() {
            if asked.elapsed() > PATIENCE {
                bail!("it did not end when asked to");
            }
            seen(self.memory().1);
            sleep(Duration::from_millis(2));
        }
        let ending = asked.elapsed();
        if !self.is_tracer {
            return Ok(Delivered {
                ending,
                ..Delivered::default()
            });
        }
        let text = fs::read_to_string(&self.files.output)?;
        let report: Report = serde_json::from_str(&text)
            .with_context(|| format!("no report: {}", self.files.last_words()))?;
        let first = report.processes.into_iter().flatten().next();
        let of_first = first.map(|process| (process.events, process.heap));
        let of_one = report.events.map(|events| (events, report.heap));
        let (events, heap) = of_one.or(of_first).context("a report without events")?;
        let calls = events.by_call.into_iter();
        let calls = calls.map(|(call, count)| (call, count.calls));
        let asked = heap.into_iter().flat_map(|Heap { totals }| {
            let freed = totals.freed + totals.unmatched;
            [(MALLOCS, totals.allocated), (FREES, freed)]
        });
        let asked = asked.map(|(call, count)| (call.to_owned(), count));
        Ok(Delivered {
            received: events.received,
            lost: events.lost,
            calls: calls.chain(asked).collect(),
            ending,
        })
    }

    fn settle(&mut self, program: &str) -> Result<()> {
        let begun = Instant::now();
        let mut turns = None;
        loop {
            sleep(LOOK);
            if self.child.try_wait()?.is_some() {
                bail!("{program} ended at once: {}", self.files.last_words());
            }
            let is_ready = if self.is_tracer {
                let now = status(self.pid(), "voluntary_ctxt_switches:");
                let before = std::mem::replace(&mut turns, now);
                let waits = matches!((before, now), (Some(before), Some(now)) if now >= before + 3);
                waits && begun.elapsed() >= self.before
            } else if self.is_floor {
                fs::read_to_string(&self.files.output).is_ok_and(|said| !said.is_empty())
            } else if program.contains("memleak") {
                begun.elapsed() >= SETTLE_COMPILED
            } else {
                begun.elapsed() >= SETTLE
            };
            if is_ready {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                bail!("{program} did not begin: {}", self.files.last_words());
            }
        }
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        // It has ended, or has to: another variant comes next.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Files {
    fn new() -> Self {
        let path = |what| env::temp_dir().join(format!("tracer-bench-{}.{what}", process::id()));
        Self {
            output: path("out"),
            errors: path("err"),
        }
    }

    /// What it said last, on one line.
    fn last_words(&self) -> String {
        let said = [&self.errors, &self.output].map(|path| {
            let said = fs::read(path).unwrap_or_default();
            String::from_utf8_lossy(&said).into_owned()
        });
        let mut lines = said.iter().flat_map(|said| said.lines().rev());
        let last = lines.find(|line| !line.trim().is_empty());
        last.unwrap_or("it said nothing")
            .trim()
            .chars()
            .take(200)
            .collect()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        for path in [&self.output, &self.errors] {
            // One that was never made is gone too.
            let _ = fs::remove_file(path);
        }
    }
}

/// A number of `/proc/PID/status`.
fn status(pid: u32, field: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_whitespace().next()?.parse().ok()
}
