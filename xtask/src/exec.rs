//! Running other programs: commands in, their success or one clear error out.

use std::fs::{self, File};
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::steps::elapsed;

/// How many lines of a failed program's log the error repeats.
const LOG_TAIL: usize = 20;

/// Runs with the caller's own input and output.
pub fn stream(command: &mut Command, what: &str) -> Result<()> {
    let status = command.status().with_context(|| cannot_run(command))?;
    succeeded(status, what)
}

/// Runs and returns standard output; standard error goes to the caller's.
pub fn capture(command: &mut Command, what: &str) -> Result<String> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| cannot_run(command))?;
    succeeded(output.status, what)?;
    String::from_utf8(output.stdout).with_context(|| format!("{what} printed invalid UTF-8"))
}

/// Runs quietly and returns standard output, or nothing where the program is missing or fails.
pub fn probe(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then_some(text)
}

/// Runs with all output in `log`, showing only that time passes.
pub fn logged(command: &mut Command, what: &str, log: &Path) -> Result<()> {
    let Some(status) = logged_for(command, log, Duration::MAX)? else {
        bail!("{what} took too long");
    };
    if status.success() {
        return Ok(());
    }
    let text = fs::read_to_string(log).unwrap_or_default();
    bail!(
        "{what} failed ({status}); the end of {}:\n{}",
        log.display(),
        tail(&text, LOG_TAIL)
    )
}

/// Runs with all output in `log`, showing only that time passes; kills it, and returns nothing, if
/// it takes longer than `limit`.
pub fn logged_for(
    command: &mut Command,
    log: &Path,
    limit: Duration,
) -> Result<Option<ExitStatus>> {
    let file = File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
    let errors = file.try_clone().context("cannot share the log file")?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(errors)
        .spawn()
        .with_context(|| cannot_run(command))?;
    let mut ticker = Ticker::start();
    let status = loop {
        let status = child.try_wait().context("cannot wait for a program")?;
        if status.is_some() {
            break status;
        }
        if ticker.started.elapsed() > limit {
            child.kill().context("cannot end a program")?;
            child.wait().context("cannot wait for a program")?;
            break None;
        }
        ticker.tick();
        thread::sleep(Duration::from_millis(50));
    };
    ticker.clear();
    Ok(status)
}

fn cannot_run(command: &Command) -> String {
    let program = Path::new(command.get_program()).display();
    format!("cannot run {program}: is it installed?")
}

fn succeeded(status: ExitStatus, what: &str) -> Result<()> {
    if status.success() {
        Ok(())
    } else {
        bail!("{what} failed ({status})")
    }
}

/// The last lines of a text.
pub fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    let start = all.len().saturating_sub(lines);
    all.get(start..).unwrap_or_default().join("\n")
}

/// A line that counts seconds on a terminal, and speaks twice a minute elsewhere.
struct Ticker {
    started: Instant,
    next: Duration,
    terminal: bool,
}

impl Ticker {
    fn start() -> Self {
        let terminal = std::io::stdout().is_terminal();
        let next = Duration::from_secs(if terminal { 1 } else { 30 });
        Self {
            started: Instant::now(),
            next,
            terminal,
        }
    }

    fn tick(&mut self) {
        let so_far = self.started.elapsed();
        if so_far < self.next {
            return;
        }
        if self.terminal {
            print!("\r      {} …", elapsed(so_far));
            // A progress line that cannot be written is no reason to stop.
            let _ = std::io::stdout().flush();
            self.next += Duration::from_secs(1);
        } else {
            println!("      still running after {}", elapsed(so_far));
            self.next += Duration::from_secs(30);
        }
    }

    fn clear(&self) {
        if self.terminal {
            print!("\r\x1b[K");
            let _ = std::io::stdout().flush();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_keeps_the_last_lines() {
        assert_eq!(tail("a\nb\nc\n", 2), "b\nc");
        assert_eq!(tail("a", 2), "a");
        assert_eq!(tail("", 2), "");
    }

    #[test]
    fn what_takes_too_long_is_ended() {
        let log = std::env::temp_dir().join(format!("xtask-exec-{}", std::process::id()));
        let mut command = Command::new("sleep");
        let status = logged_for(command.arg("60"), &log, Duration::from_millis(100));
        assert_eq!(status.expect("sleep runs"), None);
        fs::remove_file(&log).expect("own file");
    }

    #[test]
    fn a_failure_names_what_failed() {
        let error = stream(&mut Command::new("false"), "the check").expect_err("false fails");
        assert!(error.to_string().starts_with("the check failed"));
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = stream(&mut Command::new("no-such-program"), "it").expect_err("absent");
        assert!(error.to_string().contains("no-such-program"));
    }
}
