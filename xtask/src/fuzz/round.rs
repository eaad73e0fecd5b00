//! One round: the live test run with its settings, its line of figures read.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{BufRead, BufReader, IsTerminal, Write, stdout};
use std::path::{self, Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::build::Products;
use crate::elevate::Elevation;

/// The test that runs a round, and how its lines for this task begin.
const TEST: &str = "fuzz::random_calls_as_asked";
const FIGURES: &str = "fuzz-round ";
const PROGRESS: &str = "fuzz-progress ";

/// What a round is run with.
#[derive(Debug)]
pub struct Round {
    pub seed: u64,
    pub threads: u16,
    pub calls: u64,
    pub mode: String,
    pub attach: String,
    /// Where its recording is kept if it fails.
    pub keep: Option<PathBuf>,
}

/// What it came to.
#[derive(Debug, Deserialize)]
pub struct Outcome {
    seed: u64,
    mode: String,
    attach: String,
    seconds: f64,
    processes: u64,
    pub calls: u64,
    pub events: u64,
    pub lost: u64,
    pub checks: u64,
    pub rereadings: u64,
    pub compared: u64,
    pub mismatches: u64,
    /// Whether the test passed.
    #[serde(skip)]
    pub passed: bool,
}

impl Round {
    /// The command that runs this round alone.
    pub fn command(&self) -> String {
        let Self {
            seed,
            threads,
            calls,
            mode,
            attach,
            keep: _,
        } = self;
        format!(
            "cargo xtask fuzz-live --rounds 1 --seed {seed} --threads {threads} --calls {calls} \
             --mode {mode} --attach {attach}"
        )
    }

    /// Runs it; none if it ended before there were figures. What the test says of a failure goes
    /// to standard error.
    pub fn run(
        &self,
        elevation: Elevation,
        executable: &Path,
        products: &Products,
    ) -> Result<Option<Outcome>> {
        let own = [
            ("FUZZ_SEED", self.seed.to_string()),
            ("FUZZ_THREADS", self.threads.to_string()),
            ("FUZZ_CALLS", self.calls.to_string()),
            ("FUZZ_MODE", self.mode.clone()),
            ("FUZZ_ATTACH", self.attach.clone()),
        ]
        .map(|(name, value)| (name, OsString::from(value)));
        let mut variables: Vec<(&str, &OsStr)> = own
            .iter()
            .map(|(name, value)| (*name, value.as_os_str()))
            .collect();
        let keep = self.keep.as_deref().map(path::absolute).transpose();
        let keep = keep.context("the folder for recordings has no absolute path")?;
        if let Some(keep) = &keep {
            variables.push(("FUZZ_KEEP", keep.as_os_str()));
        }
        variables.push(("TRACER_BIN", products.tracer.as_os_str()));
        variables.push(("WORKLOAD_BIN", products.workload.as_os_str()));
        let mut child = elevation
            .command(executable.as_os_str(), &variables)?
            .args(["--ignored", "--test-threads=1", "--nocapture"])
            .args(["--exact", TEST])
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot run the live tests")?;
        let mut outcome = None;
        if let Some(output) = child.stdout.take() {
            for line in BufReader::new(output).lines() {
                let line = line.context("cannot read what the live tests print")?;
                if let Some((_, progress)) = line.split_once(PROGRESS) {
                    show_progress(progress);
                }
                outcome = outcome.or(Outcome::find(&line)?);
            }
        }
        let status = child.wait().context("cannot wait for the live tests")?;
        clear_progress();
        Ok(outcome.map(|outcome| Outcome {
            passed: status.success(),
            ..outcome
        }))
    }
}

impl Outcome {
    /// The names of the columns.
    pub const HEAD: &str = "    seed  mode      attach      calls  calls/s     events     lost   checks  re-read  maps  procs  mismatches";

    /// The figures in a line of the test, behind what its harness has put before them.
    fn find(line: &str) -> Result<Option<Self>> {
        let Some((_, json)) = line.split_once(FIGURES) else {
            return Ok(None);
        };
        let outcome = serde_json::from_str(json);
        outcome
            .map(Some)
            .with_context(|| format!("cannot read the figures of a round: {json}"))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per_second = self.calls as f64 / self.seconds.max(0.001);
        write!(
            f,
            "{:>8}  {:<8}  {:<6}  {:>9}  {per_second:>7.0}  {:>9}  {:>7}  {:>7}  {:>7}  {:>4}  {:>5}  {:>10}{}",
            self.seed,
            self.mode,
            self.attach,
            self.calls,
            self.events,
            self.lost,
            self.checks,
            self.rereadings,
            self.compared,
            self.processes,
            self.mismatches,
            if self.passed { "" } else { "  FAILED" }
        )
    }
}

/// On a terminal only, where it can be taken back.
fn show_progress(text: &str) {
    if stdout().is_terminal() {
        print!("\r      {text} calls …");
        // A progress line that cannot be written is no reason to stop.
        let _ = stdout().flush();
    }
}

fn clear_progress() {
    if stdout().is_terminal() {
        print!("\r\x1b[K");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_behind_the_harness_words() {
        let line = r#"test fuzz::x ... fuzz-round {"seed":3,"mode":"mixed","attach":"amid","threads":4,"calls":10,"failed":1,"seconds":2.0,"processes":1,"compared":1,"events":9,"lost":0,"checks":4,"rereadings":2,"mismatches":0}"#;
        let outcome = Outcome::find(line)
            .expect("it is JSON")
            .expect("it is there");
        assert_eq!((outcome.seed, outcome.rereadings), (3, 2));
        assert!(!outcome.passed, "not before the test's end");
        assert!(outcome.to_string().ends_with("0  FAILED"));
        assert!(Outcome::find("test x ... ok").expect("no JSON").is_none());
        assert!(Outcome::find("fuzz-round {").is_err());
    }
}
