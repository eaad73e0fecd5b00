//! The program: what the user wants in, an exit code out.
//!
//! Only here do arguments, a run and views meet, and only here is anything written.

mod output;
mod screen;

use std::{
    ffi::OsString,
    io::{self, IsTerminal as _, Write as _},
};

use anyhow::{Context as _, Result};
use output::Destination;
use screen::Screen;

use crate::{
    cli::{
        self, Exit, Intent,
        intent::{Capture, Color, Format, Output, Subject, Trace, Verbosity},
    },
    host::kernel::{Capability, missing},
    probe::{CaptureWish, ProbeError},
    report::Report,
    session::{self, Observed, Outcome, Wishes},
    view::{self, Style},
};

/// What a run needs to be allowed to do.
const NEEDED: [Capability; 3] = [Capability::BPF, Capability::PERFMON, Capability::SYS_PTRACE];

/// Runs the program with these arguments, its name first.
pub fn main(args: impl IntoIterator<Item = OsString>) -> Exit {
    match cli::parse(args) {
        Ok(Intent::Generate(paper)) => write_paper(paper),
        Ok(Intent::Trace(trace)) => match observe(&trace) {
            Ok(()) => Exit::Done,
            Err((exit, error)) => {
                eprintln!("tracer: {error:#}");
                exit
            }
        },
        Err(error) => {
            // Nothing is left to tell if standard error is closed.
            let _ = error.print();
            if error.exit_code() == 0 {
                Exit::Done
            } else {
                Exit::Usage
            }
        }
    }
}

fn write_paper(paper: cli::generate::Paper) -> Exit {
    match cli::generate::write(paper, &mut io::stdout().lock()) {
        Ok(()) => Exit::Done,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
        Err(error) => {
            eprintln!("tracer: cannot write to standard output: {error}");
            Exit::Failed
        }
    }
}

fn observe(trace: &Trace) -> Result<(), (Exit, anyhow::Error)> {
    check_capabilities()?;
    // Before anything runs: an output that cannot be written would be found out too late.
    let destination = Destination::open(&trace.output).map_err(|error| (Exit::Failed, error))?;
    let (pids, command) = match &trace.subject {
        Subject::Running(pids) => (pids.clone(), None),
        Subject::Command { program, args } => {
            let words = std::iter::once(program).chain(args).cloned();
            (Vec::new(), Some(words.collect()))
        }
    };
    let wishes = Wishes {
        pids,
        command,
        follow: trace.follow,
        duration: trace.duration,
        ring: trace.ring_size,
        capture: match trace.capture {
            Capture::Auto => CaptureWish::Best,
            Capture::Tracepoints => CaptureWish::Tracepoints,
            Capture::Trampolines => CaptureWish::Trampolines,
        },
    };
    let mut screen = Screen::new(trace, style(trace.color, &io::stdout()));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")
        .map_err(|error| (Exit::Failed, error))?;
    let outcome = runtime.block_on(session::run(wishes, &mut screen));
    screen.clear();
    let Observed { report, probes } = outcome.map_err(exit_of)?;
    if report.processes.is_empty() {
        let why = report.notes.join("; ");
        let error = anyhow::anyhow!("no process could be observed to its end. {why}");
        return Err((Exit::NoTarget, error));
    }
    let style = style(trace.color, &io::stdout());
    let style = if destination.is_file() {
        Style::new(false, Style::WIDEST)
    } else {
        style
    };
    let document = render(&report, trace, style).map_err(|error| (Exit::Failed, error))?;
    destination
        .write(&document)
        .map_err(|error| (Exit::Failed, error))?;
    screen.detaching();
    drop(probes);
    screen.clear();
    Ok(())
}

fn check_capabilities() -> Result<(), (Exit, anyhow::Error)> {
    let status = procfs::process::Process::myself().and_then(|process| process.status());
    // Where that cannot be read the kernel will say itself what it refuses.
    let Ok(status) = status else {
        return Ok(());
    };
    let lacking = missing(status.capeff, &NEEDED);
    if lacking.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = lacking.iter().map(|capability| capability.name).collect();
    let error = anyhow::anyhow!(
        "not permitted: {} missing. Run it with sudo, or once `sudo setcap \
         cap_bpf,cap_perfmon,cap_sys_ptrace+ep {}`",
        names.join(", "),
        std::env::current_exe().map_or_else(
            |_| "$(which tracer)".to_owned(),
            |path| path.display().to_string()
        )
    );
    Err((Exit::NotPermitted, error))
}

fn exit_of(outcome: Outcome) -> (Exit, anyhow::Error) {
    match outcome {
        Outcome::NoTarget(error) => (Exit::NoTarget, error),
        Outcome::Failed(error) => (Exit::Failed, error),
        Outcome::NoProbes(error) => {
            let exit = match error {
                ProbeError::NotPermitted(_) => Exit::NotPermitted,
                _ => Exit::Unsupported,
            };
            (exit, error.into())
        }
    }
}

fn render(report: &Report, trace: &Trace, style: Style) -> Result<Vec<u8>> {
    match trace.format {
        Format::Json => {
            let layout = if trace.events && trace.output == Output::Standard {
                view::json::Layout::Line
            } else {
                view::json::Layout::Pretty
            };
            let mut document = Vec::new();
            view::json::write(report, layout, &mut document).context("cannot make JSON")?;
            Ok(document)
        }
        Format::Text => {
            let detail = if trace.verbosity >= Verbosity::Verbose {
                view::text::Detail::Everything
            } else {
                view::text::Detail::Summary
            };
            Ok(view::text::render(report, style, detail).into_bytes())
        }
    }
}

/// The style for a stream, whose width is the terminal's if it is one.
fn style(color: Color, stream: &(impl io::IsTerminal + std::os::fd::AsFd)) -> Style {
    let terminal = stream.is_terminal();
    let width = terminal_size::terminal_size_of(stream)
        .map_or(Style::WIDEST, |(width, _)| usize::from(width.0));
    let colored = color.wanted(terminal, std::env::var_os("NO_COLOR").is_some());
    Style::new(colored, width)
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
