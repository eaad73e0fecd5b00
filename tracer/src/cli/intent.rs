//! What the arguments mean, known to make sense: no combination here is an error.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::error::ErrorKind;

pub use super::args::{Capture, Color, Format};
use super::{args::Args, generate::Paper};
use crate::units::{Bytes, Pid};

/// What the user wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    /// The man page or completions on standard output.
    Generate(Paper),
    /// A run.
    Trace(Trace),
}

/// A run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Whom to trace.
    pub subject: Subject,
    /// Whether to trace the processes it makes.
    pub follow: bool,
    /// When to end, unless something else ends it before.
    pub duration: Option<Duration>,
    /// Whether to print each event.
    pub events: bool,
    /// How to write.
    pub format: Format,
    /// Where the summary goes.
    pub output: Output,
    /// How much to say.
    pub verbosity: Verbosity,
    /// The size of the ring buffer; a power of two.
    pub ring_size: Bytes,
    /// When to use colours.
    pub color: Color,
    /// How calls are captured.
    pub capture: Capture,
}

/// Whom to trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Processes that run already: at least one, each once, in the order given.
    Running(Vec<Pid>),
    /// A command to start.
    Command {
        /// The program, a path or a name to look for in `PATH`.
        program: OsString,
        /// Its arguments, without its name.
        args: Vec<OsString>,
    },
}

/// Where the summary goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Standard output.
    Standard,
    /// A file, to be made or overwritten.
    File(PathBuf),
}

/// How much to say beside the summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Errors.
    Quiet,
    /// The status line, and what the user should know.
    Normal,
    /// The calls and the final map in the summary.
    Verbose,
    /// What the tracer itself does.
    Debug,
}

/// Arguments that make sense alone and not together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// Neither a process nor a command.
    NoSubject,
    /// Both.
    TwoSubjects,
}

impl TryFrom<Args> for Intent {
    type Error = Conflict;

    fn try_from(args: Args) -> Result<Self, Conflict> {
        if let Some(paper) = args.generate {
            return Ok(Self::Generate(paper));
        }
        let mut pids: Vec<Pid> = Vec::new();
        for pid in args.pids.iter().map(|pid| Pid(pid.get())) {
            if !pids.contains(&pid) {
                pids.push(pid);
            }
        }
        let mut command = args.command.into_iter();
        let subject = match (pids.is_empty(), command.next()) {
            (false, None) => Subject::Running(pids),
            (true, Some(program)) => Subject::Command {
                program,
                args: command.collect(),
            },
            (true, None) => return Err(Conflict::NoSubject),
            (false, Some(_)) => return Err(Conflict::TwoSubjects),
        };
        Ok(Self::Trace(Trace {
            subject,
            follow: !args.no_follow,
            duration: args.duration,
            events: args.events,
            format: args.format,
            output: match args.output {
                Some(path) if path.as_os_str() != "-" => Output::File(path),
                _ => Output::Standard,
            },
            verbosity: match (args.quiet, args.verbose) {
                (true, _) => Verbosity::Quiet,
                (false, 0) => Verbosity::Normal,
                (false, 1) => Verbosity::Verbose,
                (false, _) => Verbosity::Debug,
            },
            ring_size: Bytes(u64::from(args.ring_size) << 20),
            color: args.color,
            capture: args.capture,
        }))
    }
}

impl Conflict {
    /// As an error of the command line.
    pub(super) fn into_error(self) -> clap::Error {
        let (kind, text) = match self {
            Self::NoSubject => (
                ErrorKind::MissingRequiredArgument,
                "nothing to trace: give a running process with --pid, or a command after --",
            ),
            Self::TwoSubjects => (
                ErrorKind::ArgumentConflict,
                "two things to trace: give either --pid or a command after --, not both",
            ),
        };
        clap::Error::raw(kind, text)
    }
}
