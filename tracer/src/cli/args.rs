//! What may be typed, in the words of the help text.

use std::{ffi::OsString, num::NonZeroU32, path::PathBuf, time::Duration};

use clap::{ArgAction, Parser, Subcommand, ValueEnum, ValueHint};

use super::{audit::AuditArgs, generate::Paper, help, serve::ServeArgs, values};
use crate::units::Bytes;

/// Explains why a process's virtual memory grew, and why it did not shrink
///
/// Follows the system calls that change an address space with eBPF, rebuilds the address
/// space from them, and says whose its bytes are, in what state, and why they are still
/// there. Tracing ends with Ctrl-C, with the process, or after --duration; then the summary
/// is written. The process runs on and is not changed.
#[derive(Debug, Parser)]
#[command(
    name = "tracer",
    version,
    override_usage = "tracer [OPTIONS] --pid <PID>\n       tracer [OPTIONS] -- <CMD> [ARGS]...\n       \
                      tracer <COMMAND>",
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    after_help = help::SHORT,
    after_long_help = help::long(),
)]
pub struct Args {
    /// Something else than to trace and explain.
    #[command(subcommand)]
    pub task: Option<Task>,

    #[command(flatten)]
    pub run: RunArgs,

    #[command(flatten)]
    pub view: ViewArgs,

    /// Record the run to this file too, for `tracer report`
    ///
    /// See `tracer record --help`.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, value_parser = values::recording)]
    pub record: Option<PathBuf>,

    #[command(flatten)]
    pub limit: LimitArgs,

    /// Make pairs of malloc and free, for the heap view to measure what they cost
    #[arg(long, hide = true, exclusive = true)]
    pub heap_pairs: bool,

    /// Print the man page or shell completions
    #[arg(long, value_name = "WHAT", hide = true, exclusive = true)]
    pub generate: Option<Paper>,
}

/// What can be done besides.
#[derive(Debug, Subcommand)]
pub enum Task {
    /// Trace and record now, explain later
    ///
    /// Writes all that a report needs to a file: each call, and what was read of the
    /// processes, their maps and their object files. `tracer report` makes the report from
    /// it, on any machine of the same architecture and without privileges. The file holds
    /// what such a report may show, and the top of the stack at each call that maps memory:
    /// only its owner may read it.
    #[command(
        override_usage = "tracer record [OPTIONS] --output <FILE> --pid <PID>\n       \
                                tracer record [OPTIONS] --output <FILE> -- <CMD> [ARGS]..."
    )]
    Record(RecordArgs),
    /// Explain a recorded run
    ///
    /// Gives the report that tracing gave, or would have given. Of a file that is cut short
    /// or damaged it reports what comes before the damage, says so, and ends with exit code
    /// 6.
    Report(ReportArgs),
    /// Rank all processes of this host by what their address space is made of, and why
    ///
    /// Counts, in the kernel, the calls of every process that change an address space; reads the
    /// maps of those that are large enough, at a bounded cost; and says of each what its VmSize
    /// consists of, which allocators are in it, and what to do. Totals by control group and by
    /// allocator follow. Ends after 5 seconds unless told otherwise; Ctrl-C ends it sooner, with
    /// the report.
    Audit(Box<AuditArgs>),
    /// Audit this host all the time, and answer Prometheus
    ///
    /// Serves, over HTTP on this machine alone: /metrics (Prometheus or OpenMetrics text), /audit
    /// and /status (JSON), /healthz and /readyz. SIGHUP reads the settings again, SIGTERM and
    /// Ctrl-C end it with exit code 0. Described in docs/serve.md.
    Serve(Box<ServeArgs>),
    /// Tell what this host allows, and why not
    ///
    /// Looks at the kernel, at the rights of the caller and at /proc, and really loads and
    /// attaches the probes for a moment. Each feature is answered by yes, no or "could not
    /// tell", with what is used instead. Ends with exit code 0 if tracing is possible in some
    /// way, with 3 if it would be with more rights, else with 5.
    Doctor(DoctorArgs),
}

/// `tracer record`.
#[derive(Debug, clap::Args)]
pub struct RecordArgs {
    /// Record to this file; one that exists is overwritten
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath, value_parser = values::recording)]
    pub output: PathBuf,

    #[command(flatten)]
    pub limit: LimitArgs,

    #[command(flatten)]
    pub run: RunArgs,

    #[command(flatten)]
    pub say: SayArgs,
}

/// `tracer report`.
#[derive(Debug, clap::Args)]
pub struct ReportArgs {
    /// The recording; "-" reads it from standard input
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,

    #[command(flatten)]
    pub view: ViewArgs,
}

/// `tracer doctor`.
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    /// How to write the answers
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub format: Format,

    /// Write them to this file rather than standard output
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,

    /// When to use colours; auto: on a terminal, unless NO_COLOR is set
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
}

/// Whom to trace, and how.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// Trace this running process; give it again or a comma list for several
    #[arg(short, long = "pid", value_name = "PID", value_delimiter = ',')]
    #[arg(value_parser = values::pid)]
    pub pids: Vec<NonZeroU32>,

    /// Start this command and trace it from its first instruction
    ///
    /// It gets the environment that tracer was given, LD_PRELOAD and the like included.
    /// Under sudo it runs as the user who called sudo, not as root. Its own exit code is
    /// not passed on.
    #[arg(last = true, value_name = "CMD", value_hint = ValueHint::CommandName)]
    pub command: Vec<OsString>,

    /// End after this long: seconds, or 500ms, 2m, 1h
    #[arg(short, long, value_name = "TIME", value_parser = values::duration)]
    pub duration: Option<Duration>,

    /// Do not trace the processes that a traced process makes
    #[arg(long)]
    pub no_follow: bool,

    /// Memory for events on their way from the kernel, in MiB, a power of two
    ///
    /// If the summary reports lost events, try a larger one.
    #[arg(long, value_name = "MIB", default_value = "8", value_parser = values::ring_size)]
    pub ring_size: u32,

    /// Where the kernel is tapped; auto: by trampolines if it allows them
    ///
    /// Trampolines (fentry, fexit) cost other system calls of the machine nothing; the
    /// tracepoints of system calls work on every kernel. `-vv` says which it is.
    #[arg(long, value_name = "HOW", default_value = "auto")]
    pub capture: Capture,

    /// Do not copy the stacks of callers
    ///
    /// Calls then have what looks like return addresses on the top of the stack, no more, and
    /// calls that give memory back have no caller at all.
    #[arg(long)]
    pub no_stacks: bool,

    /// How much of a stack is copied at most, in KiB
    ///
    /// A stack is copied once, then it is known. If the summary has many stacks that were cut
    /// off, try 32.
    #[arg(long, value_name = "KIB", default_value = "16", value_parser = values::stack_size, conflicts_with = "no_stacks")]
    pub stack_size: u32,

    /// Copy the stacks of calls about at least this much, in KiB
    #[arg(
        long,
        value_name = "KIB",
        default_value = "0",
        conflicts_with = "no_stacks"
    )]
    pub stack_threshold: u32,

    #[command(flatten)]
    pub bounds: BoundArgs,

    /// Use at most this share of one processor, per cent; beyond, stop observing for a while
    ///
    /// As --max-events-per-second. What loading the probes took does not count.
    #[arg(long, value_name = "PERCENT", value_parser = values::percent)]
    pub max_cpu: Option<u32>,

    #[command(flatten)]
    pub heap: HeapArgs,
}

/// What observing may cost.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct BoundArgs {
    /// Handle at most this many events per second; beyond, stop observing for a while
    ///
    /// What happened meanwhile is not known: maps are read anew, and the report says when.
    #[arg(long, value_name = "N", value_parser = values::rate)]
    pub max_events_per_second: Option<u64>,
}

/// The heap view.
#[derive(Debug, clap::Args)]
pub struct HeapArgs {
    /// Probe the allocator too: what the program holds, and who asked for it
    ///
    /// Tells memory that is in use from memory that was freed and is kept by the allocator.
    /// Each malloc and free of the traced processes then costs them a microsecond or more; how
    /// much it is here is measured and said before it begins. Needs symbols: those of shared
    /// libraries are always there, those of a static allocator only if it was not stripped.
    #[arg(long)]
    pub heap: bool,

    /// Track only blocks of at least this many bytes: 4096, 4k, 1m; others are counted
    #[arg(long, value_name = "SIZE", requires = "heap", value_parser = values::block)]
    pub heap_min: Option<Bytes>,

    /// Track one block in so many bytes, by chance, and estimate the rest: 512k
    ///
    /// Larger blocks are always tracked. The report gives the error of each estimate.
    #[arg(long, value_name = "BYTES", requires = "heap", value_parser = values::distance)]
    pub heap_sample: Option<Bytes>,

    /// Track at most this many blocks at a time
    ///
    /// Each takes about 100 bytes of the kernel's memory. Blocks beyond are counted as lost.
    #[arg(long, value_name = "BLOCKS", requires = "heap", default_value = "1000000", value_parser = values::blocks)]
    pub heap_blocks: u32,
}

/// How to show a report.
#[derive(Debug, clap::Args)]
pub struct ViewArgs {
    /// Print each call as it happens, before the summary
    ///
    /// One line a call on standard output; as JSON Lines with --format json.
    #[arg(long)]
    pub events: bool,

    /// How to write the summary and the events
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub format: Format,

    /// Write the summary to this file rather than standard output
    ///
    /// "-" is standard output. Events are printed to standard output all the same.
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,

    /// Show the call paths that mapped, kept and gave back most
    #[arg(long)]
    pub stacks: bool,

    #[command(flatten)]
    pub profile: ProfileArgs,

    #[command(flatten)]
    pub say: SayArgs,
}

/// Call paths as files for other programs.
#[derive(Debug, clap::Args)]
pub struct ProfileArgs {
    /// Write the call paths as folded stacks to this file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub folded: Option<PathBuf>,

    /// Write them as a flame graph (SVG) to this file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub flamegraph: Option<PathBuf>,

    /// Write them as a profile for `go tool pprof` to this file
    ///
    /// With all five measures: mapped, retained, released, purged, still_mapped.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub pprof: Option<PathBuf>,

    /// What folded stacks and the flame graph count
    #[arg(long, value_name = "WHAT", default_value = "mapped")]
    pub measure: Measure,
}

/// What of a call path is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Measure {
    /// Bytes that its calls mapped
    Mapped,
    /// What of them is still mapped
    StillMapped,
    /// What of that was given back, the address space kept
    Retained,
    /// Bytes that its calls unmapped
    Released,
    /// Bytes that its calls gave back by advice
    Purged,
}

/// What to say besides.
#[derive(Debug, clap::Args)]
pub struct SayArgs {
    /// Show the calls and the final map too; twice: what tracer itself does
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,

    /// No status line and no remarks: only the summary, and errors
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,

    /// When to use colours; auto: on a terminal, unless NO_COLOR is set
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
}

/// How much to record.
#[derive(Debug, clap::Args)]
pub struct LimitArgs {
    /// Record at most this much, in MiB; tracing goes on beyond
    #[arg(long, value_name = "MIB", default_value = "1024", value_parser = values::record_size)]
    pub record_size: u32,
}

/// How the summary and the events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// For programs: see docs/json.md
    Json,
}

/// Where the kernel is tapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Capture {
    /// By trampolines if the kernel allows them
    Auto,
    /// At the raw tracepoints of system calls
    Tracepoints,
    /// In the functions of the calls
    Trampolines,
}

/// When colours are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// In files and pipes too
    Always,
    /// Not at all
    Never,
}

impl Color {
    /// Whether to use colours where the output is a terminal or not, and `NO_COLOR` is set
    /// to something or not.
    #[must_use]
    pub const fn wanted(self, terminal: bool, no_color: bool) -> bool {
        match self {
            Self::Auto => terminal && !no_color,
            Self::Always => true,
            Self::Never => false,
        }
    }
}
