//! The program: what the user wants in, an exit code out.
//!
//! Only here do arguments, a run and views meet, and only here is anything written.

mod audit;
mod clock;
mod doctor;
mod heap_pairs;
mod observe;
mod output;
mod record_file;
mod replay;
mod screen;
mod serve;
mod show;

use std::{
    ffi::OsString,
    io::{self, IsTerminal as _, Write as _},
};

use anyhow::{Context as _, Result, anyhow};

use crate::{
    cli::{self, Exit, Intent, intent::Color},
    host::{
        privilege::{self, BPF, PERFMON},
        process::NotPermitted,
    },
    probe::ProbeError,
    report::Report,
    view::Style,
    world::Outcome,
};

/// Why the program does not end with [`Exit::Done`], and with what instead.
type Failure = (Exit, anyhow::Error);

/// Runs the program with these arguments, its name first.
pub fn main(args: impl IntoIterator<Item = OsString>) -> Exit {
    let args: Vec<OsString> = args.into_iter().collect();
    let done = match cli::parse(&args) {
        Ok(Intent::Generate(paper)) => write_paper(paper),
        Ok(Intent::HeapPairs) => heap_pairs::answer().map_err(|error| failed(error.into())),
        Ok(Intent::Trace(trace)) => observe::trace(&trace),
        Ok(Intent::Record(record)) => observe::record(&record),
        Ok(Intent::Report(report)) => replay::report(&report),
        Ok(Intent::Audit(wanted)) => audit::audit(&wanted),
        Ok(Intent::Serve(wanted)) => serve::serve(&args, *wanted),
        Ok(Intent::Doctor(wanted)) => doctor::doctor(&wanted),
        Err(error) => {
            // Nothing is left to tell if standard error is closed.
            let _ = error.print();
            return if error.exit_code() == 0 {
                Exit::Done
            } else {
                Exit::Usage
            };
        }
    };
    match done {
        Ok(()) => Exit::Done,
        Err((exit, error)) => {
            eprintln!("tracer: {error:#}");
            exit
        }
    }
}

fn write_paper(paper: cli::generate::Paper) -> Result<(), Failure> {
    match cli::generate::write(paper, &mut io::stdout().lock()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(failed(
            anyhow::Error::new(error).context("cannot write to standard output"),
        )),
    }
}

const fn failed(error: anyhow::Error) -> Failure {
    (Exit::Failed, error)
}

fn exit_of(outcome: Outcome) -> Failure {
    match outcome {
        Outcome::NoTarget(error) if error.is::<NotPermitted>() => (Exit::NotPermitted, error),
        Outcome::NoTarget(error) => (Exit::NoTarget, error),
        Outcome::Failed(error) => (Exit::Failed, error),
        Outcome::NoProbes(error) => {
            let exit = match error {
                ProbeError::NotPermitted { .. } => Exit::NotPermitted,
                _ => Exit::Unsupported,
            };
            (exit, error.into())
        }
    }
}

/// What loading needs can be said before anything is opened; what reading a process needs depends
/// on whose it is.
fn check_capabilities() -> Result<(), Failure> {
    let lacking = privilege::missing(&[BPF, PERFMON]);
    if lacking.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = lacking.into_iter().map(privilege::name).collect();
    let error = anyhow!(
        "not permitted: {} missing, to load and attach the probes. {}",
        names.join(" and "),
        privilege::way_out()
    );
    Err((Exit::NotPermitted, error))
}

/// A run without a process is none.
fn refuse_empty(report: &Report) -> Result<(), Failure> {
    if !report.processes.is_empty() {
        return Ok(());
    }
    let why = report.notes.join("; ");
    let error = anyhow::anyhow!("no process could be observed to its end. {why}");
    Err((Exit::NoTarget, error))
}

/// The style for a stream, whose width is the terminal's if it is one.
fn style(color: Color, stream: &(impl io::IsTerminal + std::os::fd::AsFd)) -> Style {
    let (colored, width) = looks(color, stream);
    Style::new(colored, width.unwrap_or(Style::WIDEST))
}

/// The same for tables, which may be as wide as the terminal.
fn wide_style(color: Color, stream: &(impl io::IsTerminal + std::os::fd::AsFd)) -> Style {
    let (colored, width) = looks(color, stream);
    Style::wide(colored, width.unwrap_or(Style::WIDEST_TABLE))
}

fn looks(
    color: Color,
    stream: &(impl io::IsTerminal + std::os::fd::AsFd),
) -> (bool, Option<usize>) {
    let terminal = stream.is_terminal();
    let size = terminal_size::terminal_size_of(stream);
    let colored = color.wanted(terminal, std::env::var_os("NO_COLOR").is_some());
    (colored, size.map(|(width, _)| usize::from(width.0)))
}

/// Writes to standard output; a reader who left is no error.
fn write_out(bytes: &[u8]) -> Result<bool> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context("cannot write to standard output"),
    }
}

/// Whether standard error is somebody's screen.
fn is_watched() -> bool {
    io::stderr().is_terminal()
}
