//! What the arguments mean, known to make sense: no combination here is an error.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf, time::Duration};

use clap::error::ErrorKind;

use super::{
    args::{Args, LimitArgs, RunArgs, SayArgs, Task, ViewArgs},
    generate::Paper,
};
pub use super::{
    args::{Capture, Color, Format, Measure},
    audit::{Audit, Sort},
    serve::Serve,
    watch::Watch,
};
use crate::{
    heap::Wish,
    units::{Bytes, Pid},
};

/// What the user wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    /// The man page or completions on standard output.
    Generate(Paper),
    /// Pairs of malloc and free, for another tracer that measures what they cost.
    HeapPairs,
    /// A run, explained at its end.
    Trace(Trace),
    /// A run, recorded.
    Record(Record),
    /// A recorded run, explained.
    Report(Report),
    /// All processes of this host, judged.
    Audit(Box<Audit>),
    /// The same all the time, for Prometheus.
    Serve(Box<Serve>),
    /// What this host allows.
    Doctor(Doctor),
}

/// A run, explained at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Whom to trace, and how.
    pub run: Run,
    /// How to show what comes of it.
    pub view: View,
    /// Where to record it too.
    pub recording: Option<Recording>,
}

/// A run, recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Whom to trace, and how.
    pub run: Run,
    /// Where.
    pub recording: Recording,
    /// How much to say.
    pub verbosity: Verbosity,
    /// When to use colours.
    pub color: Color,
}

/// A recorded run, explained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The recording.
    pub source: Source,
    /// How to show it.
    pub view: View,
}

/// What this host allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doctor {
    /// How to write it.
    pub format: Format,
    /// Where it goes.
    pub output: Output,
    /// When to use colours.
    pub color: Color,
}

/// Whom to trace, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Whom.
    pub subject: Subject,
    /// Whether to trace the processes it makes.
    pub follow: bool,
    /// When to end, unless something else ends it before.
    pub duration: Option<Duration>,
    /// The size of the ring buffer; a power of two.
    pub ring_size: Bytes,
    /// How calls are captured.
    pub capture: Capture,
    /// What is copied of callers' stacks.
    pub stacks: StackWish,
    /// Events per second at most.
    pub max_events_per_second: Option<u64>,
    /// Per cent of one processor at most.
    pub max_cpu: Option<u32>,
    /// What the heap view tracks, if it is wanted.
    pub heap: Option<Wish>,
}

/// How to show a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Whether to print each event.
    pub events: bool,
    /// How to write.
    pub format: Format,
    /// Where the summary goes.
    pub output: Output,
    /// How much to say.
    pub verbosity: Verbosity,
    /// When to use colours.
    pub color: Color,
    /// Whether to show call paths.
    pub stacks: bool,
    /// Where call paths go as files of other programs.
    pub profiles: Profiles,
}

/// Files for other programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profiles {
    /// Folded stacks.
    pub folded: Option<PathBuf>,
    /// A flame graph.
    pub flamegraph: Option<PathBuf>,
    /// For `go tool pprof`.
    pub pprof: Option<PathBuf>,
    /// What the first two count.
    pub measure: Measure,
}

/// What is copied of callers' stacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StackWish {
    /// Of one at most; nothing of any if 0.
    pub most: Bytes,
    /// Of calls about at least this much.
    pub threshold: Bytes,
}

/// Where to record, and how much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// The file.
    pub file: PathBuf,
    /// Its size at most.
    pub limit: Bytes,
}

/// Where a recording comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Standard input.
    Standard,
    /// A file.
    File(PathBuf),
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
    /// The summary would take the recording's place.
    OneFile,
    /// Other machines can reach the address, and that was not said to be meant.
    Remote(SocketAddr),
}

impl TryFrom<Args> for Intent {
    type Error = Conflict;

    fn try_from(args: Args) -> Result<Self, Conflict> {
        if let Some(paper) = args.generate {
            return Ok(Self::Generate(paper));
        }
        if args.heap_pairs {
            return Ok(Self::HeapPairs);
        }
        match args.task {
            None if args.record.is_some() && args.record == args.view.output => {
                Err(Conflict::OneFile)
            }
            None => Ok(Self::Trace(Trace {
                run: Run::try_from(args.run)?,
                view: View::from(args.view),
                recording: args.record.map(|file| recording(file, &args.limit)),
            })),
            Some(Task::Record(args)) => Ok(Self::Record(Record {
                run: Run::try_from(args.run)?,
                recording: recording(args.output, &args.limit),
                verbosity: verbosity(&args.say),
                color: args.say.color,
            })),
            Some(Task::Report(args)) => Ok(Self::Report(Report {
                source: if args.file.as_os_str() == "-" {
                    Source::Standard
                } else {
                    Source::File(args.file)
                },
                view: View::from(args.view),
            })),
            Some(Task::Audit(args)) => Ok(Self::Audit(Box::new(Audit::from(*args)))),
            Some(Task::Serve(args)) => Ok(Self::Serve(Box::new(Serve::try_from(*args)?))),
            Some(Task::Doctor(args)) => Ok(Self::Doctor(Doctor {
                format: args.format,
                output: output(args.output),
                color: args.color,
            })),
        }
    }
}

impl TryFrom<RunArgs> for Run {
    type Error = Conflict;

    fn try_from(args: RunArgs) -> Result<Self, Conflict> {
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
        Ok(Self {
            subject,
            follow: !args.no_follow,
            duration: args.duration,
            ring_size: mebibytes(args.ring_size),
            capture: args.capture,
            stacks: StackWish {
                most: Bytes(if args.no_stacks {
                    0
                } else {
                    u64::from(args.stack_size) << 10
                }),
                threshold: Bytes(u64::from(args.stack_threshold) << 10),
            },
            max_events_per_second: args.bounds.max_events_per_second,
            max_cpu: args.max_cpu,
            heap: args.heap.heap.then(|| Wish {
                min: args.heap.heap_min.unwrap_or_default(),
                sample: args.heap.heap_sample,
                most: args.heap.heap_blocks,
            }),
        })
    }
}

impl From<ViewArgs> for View {
    fn from(args: ViewArgs) -> Self {
        Self {
            events: args.events,
            format: args.format,
            output: output(args.output),
            verbosity: verbosity(&args.say),
            color: args.say.color,
            stacks: args.stacks,
            profiles: Profiles {
                folded: args.profile.folded,
                flamegraph: args.profile.flamegraph,
                pprof: args.profile.pprof,
                measure: args.profile.measure,
            },
        }
    }
}

pub(super) fn output(path: Option<PathBuf>) -> Output {
    match path {
        Some(path) if path.as_os_str() != "-" => Output::File(path),
        _ => Output::Standard,
    }
}

fn recording(file: PathBuf, limit: &LimitArgs) -> Recording {
    Recording {
        file,
        limit: mebibytes(limit.record_size),
    }
}

const fn verbosity(args: &SayArgs) -> Verbosity {
    match (args.quiet, args.verbose) {
        (true, _) => Verbosity::Quiet,
        (false, 0) => Verbosity::Normal,
        (false, 1) => Verbosity::Verbose,
        (false, _) => Verbosity::Debug,
    }
}

fn mebibytes(count: u32) -> Bytes {
    Bytes(u64::from(count) << 20)
}

impl Conflict {
    /// As an error of the command line.
    pub(super) fn into_error(self) -> clap::Error {
        let (kind, text) = match self {
            Self::NoSubject => (
                ErrorKind::MissingRequiredArgument,
                "nothing to trace: give a running process with --pid, or a command after --"
                    .to_owned(),
            ),
            Self::TwoSubjects => (
                ErrorKind::ArgumentConflict,
                "two things to trace: give either --pid or a command after --, not both".to_owned(),
            ),
            Self::OneFile => (
                ErrorKind::ArgumentConflict,
                "one file for the summary and the recording: give --output and --record a file each"
                    .to_owned(),
            ),
            Self::Remote(address) => (
                ErrorKind::ArgumentConflict,
                format!(
                    "{address} can be reached from other machines, and there is neither encryption \
                     nor authentication: say --allow-remote if that is meant, or listen at 127.0.0.1"
                ),
            ),
        };
        clap::Error::raw(kind, text)
    }
}
