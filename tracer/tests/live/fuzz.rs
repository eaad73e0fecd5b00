//! Random calls of several threads and children, the tracer's map against the kernel's.
//!
//! In the end the tracer takes the kernel's word, so equal maps prove little: what counts is
//! that it had nothing to correct. Bounds and seeds come from the environment (`FUZZ_CALLS`,
//! `FUZZ_SEED`, `FUZZ_THREADS`, `FUZZ_MODE`, `FUZZ_ATTACH`, and `FUZZ_KEEP`, the folder for recordings
//! of rounds that failed); `cargo xtask fuzz-live` sets them.

use std::{
    env,
    fmt::Write as _,
    fs,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::harness::{Ended, Stopped, Target, Tracer, command, skip, workload_program};

/// Room for events, MiB: what is lost cannot be judged.
const RING: &str = "64";

/// When the tracer comes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Attach {
    /// Before the first call.
    Before,
    /// While calls are made.
    Amid,
}

/// One run of the fuzzer.
#[derive(Clone, Debug)]
struct Round {
    seed: u64,
    threads: u32,
    calls: u64,
    mode: String,
    attach: Attach,
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn random_calls_of_one_thread() {
    let round = Round::given("private", 1);
    round.check(Attach::Before);
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn random_calls_of_threads_with_ranges_of_their_own() {
    Round::given("private", 4).check(Attach::Before);
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn random_calls_of_threads_that_hand_ranges_over() {
    Round::given("shared", 4).check(Attach::Amid);
}

/// What `cargo xtask fuzz-live` runs, once a round.
#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn random_calls_as_asked() {
    if env::var_os("FUZZ_MODE").is_none() {
        return skip("nothing was asked for in FUZZ_MODE");
    }
    let attach = match env::var("FUZZ_ATTACH").as_deref() {
        Ok("amid") => Attach::Amid,
        _ => Attach::Before,
    };
    Round::given("mixed", 4).check(attach);
}

fn given<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = env::var(name).ok()?;
    let value = text.parse().ok();
    assert!(value.is_some(), "{name}={text} is no value of its kind");
    value
}

impl Round {
    /// As the environment says; where it says nothing, a small one.
    fn given(mode: &str, threads: u32) -> Self {
        Self {
            seed: given("FUZZ_SEED").unwrap_or(1),
            threads: given("FUZZ_THREADS").unwrap_or(threads),
            calls: given("FUZZ_CALLS").unwrap_or(20_000),
            mode: given("FUZZ_MODE").unwrap_or_else(|| mode.to_owned()),
            attach: Attach::Before,
        }
    }

    fn check(mut self, attach: Attach) {
        self.attach = attach;
        let result = self.run();
        println!("fuzz-round {}", result.line);
        assert!(
            result.faults.is_empty(),
            "{}\nto repeat: {self}",
            result.faults
        );
    }

    fn run(&self) -> Verdict {
        let mut target = self.start();
        target.lines.find_text("\"start\"");
        if self.attach == Attach::Amid {
            // Some thousand calls, not the same for each seed.
            std::thread::sleep(Duration::from_millis(self.seed % 97));
        }
        let pid = target.pid().to_string();
        let recording = self.recording();
        let mut arguments = vec!["--ring-size", RING, "--pid", &pid];
        if let Some(path) = &recording {
            arguments.extend(["--record", path]);
        }
        let tracer = Tracer::report(&arguments, &[]);
        match self.attach {
            Attach::Before => tracer.wait_until_observed(&[target.pid()]),
            Attach::Amid => tracer.wait_until_target(target.pid()),
        }
        target.go();
        let began = Instant::now();
        let end = self.follow(&target);
        let elapsed = began.elapsed();
        let children = end["children"].as_array().expect("a list").iter();
        let children = children.map(|pid| u32::try_from(pid.as_u64().expect("a pid")));
        let mut pids = vec![target.pid()];
        pids.extend(children.map(|pid| pid.expect("a process id")));
        let stopped: Vec<Stopped> = pids.iter().copied().map(Stopped::new).collect();
        let pictures: Vec<_> = stopped.iter().map(Stopped::picture).collect();
        let ended = tracer.interrupt();
        drop(stopped);
        let mut faults = String::new();
        for (pid, picture) in pids.iter().zip(&pictures) {
            let account = ended.account_of(*pid);
            if let Some(difference) = account.differs_from(picture) {
                let _ = writeln!(faults, "process {pid}: {difference}");
            }
        }
        if !target.end().success() {
            faults.push_str("the target did not end well\n");
        }
        let mut verdict = self.judge(&ended, &end, elapsed, pids.len(), faults);
        match recording {
            Some(path) if verdict.faults.is_empty() => fs::remove_file(path).expect("a recording"),
            Some(path) => _ = writeln!(verdict.faults, "recorded in {path}"),
            None => {}
        }
        verdict
    }

    /// Where the round is recorded, if that is asked for; only what failed is kept.
    fn recording(&self) -> Option<String> {
        let folder: String = given("FUZZ_KEEP")?;
        let (seed, mode) = (self.seed, &self.mode);
        Some(format!(
            "{folder}/{mode}-{}-{seed}.trace",
            self.attach.name()
        ))
    }

    /// Up to the line that all calls are made; progress is passed on.
    fn follow(&self, target: &Target) -> Value {
        loop {
            let line = target.lines.next().expect("an end");
            let line: Value = serde_json::from_str(&line).expect("a line is an object");
            match line["action"].as_str() {
                Some("end") => return line,
                _ => println!("fuzz-progress {} of {}", line["calls"], self.calls),
            }
        }
    }

    /// A mismatch is a fault wherever it is, unless events were lost: then one was to be expected
    /// before that was noticed.
    fn judge(
        &self,
        ended: &Ended,
        end: &Value,
        elapsed: Duration,
        compared: usize,
        mut faults: String,
    ) -> Verdict {
        let accounts = ended.accounts();
        let sum = |pointer: &str| -> u64 {
            let numbers = accounts.iter().map(|account| account.number(pointer));
            numbers.sum()
        };
        let lost = accounts
            .iter()
            .map(|account| account.number("/events/lost"));
        let lost = lost.max().unwrap_or(0);
        for account in &accounts {
            let mismatched = lost == 0 && account.number("/reconciliation/mismatches") > 0;
            let drifted = account.drift() != 0 && account.text("/ending") == "still-running";
            if mismatched || drifted {
                let _ = writeln!(faults, "{account}");
            }
        }
        let calls = end["calls"].as_u64().unwrap_or(0);
        let line = json!({
            "seed": self.seed,
            "mode": self.mode,
            "threads": self.threads,
            "attach": self.attach.name(),
            "calls": calls,
            "failed": end["failed"],
            "seconds": elapsed.as_secs_f64(),
            "processes": accounts.len(),
            "compared": compared,
            "events": sum("/events/received"),
            "lost": lost,
            "checks": sum("/reconciliation/checks"),
            "rereadings": sum("/reconciliation/resyncs"),
            "mismatches": sum("/reconciliation/mismatches"),
        });
        Verdict { line, faults }
    }

    fn start(&self) -> Target {
        let mut program = command(workload_program());
        program.args(["fuzz", "--hold", "--mode", &self.mode]);
        program.args(["--seed", &self.seed.to_string()]);
        program.args(["--threads", &self.threads.to_string()]);
        program.args(["--calls", &self.calls.to_string()]);
        program.arg(match self.attach {
            Attach::Before => "--wait-start",
            Attach::Amid => "--warm-up",
        });
        Target::start(&mut program)
    }
}

/// What came of a round.
struct Verdict {
    line: Value,
    /// Empty if there is none.
    faults: String,
}

impl Attach {
    fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::Amid => "amid",
        }
    }
}

/// The command that repeats it.
impl std::fmt::Display for Round {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            seed,
            threads,
            calls,
            mode,
            attach,
        } = self;
        write!(
            f,
            "cargo xtask fuzz-live --rounds 1 --seed {seed} --threads {threads} --calls {calls} \
             --mode {mode} --attach {}",
            attach.name()
        )
    }
}
