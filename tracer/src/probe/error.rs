//! Why there are no probes: aya's errors in, one sentence with a way out.

use std::{error::Error, fmt, io};

use aya::programs::ProgramError;

use crate::host::{kernel::Release, privilege};

/// Why there are no probes.
#[derive(Debug)]
pub enum ProbeError {
    /// This binary was built without them.
    NotBuilt,
    /// The kernel is older than any that has what the probes need.
    KernelTooOld(Release),
    /// The kernel refused for lack of permission.
    NotPermitted {
        /// What.
        what: String,
        /// What is missing, and what helps.
        why: String,
    },
    /// Process ids here are not those of the kernel.
    OtherPidNamespace,
    /// The kernel lacks something, or refused for another reason.
    Unsupported(String),
}

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotBuilt => f.write_str(
                "this tracer was built without probes: build it with `cargo xtask build`, and \
                 without AYA_BUILD_SKIP",
            ),
            Self::KernelTooOld(release) => write!(
                f,
                "Linux {release} is too old: the probes need the BPF ring buffer; the oldest \
                 supported kernel is {}",
                Release::OLDEST
            ),
            Self::NotPermitted { what, why } => {
                write!(f, "the kernel does not permit {what}: {why}")
            }
            Self::OtherPidNamespace => f.write_str(
                "tracer runs in a pid namespace of its own, where process ids are not those that \
                 the kernel names processes by: run it on the host, or with the host's pid \
                 namespace (`--pid=host`)",
            ),
            Self::Unsupported(what) => f.write_str(what),
        }
    }
}

impl Error for ProbeError {}

pub(super) fn incomplete(name: &str) -> ProbeError {
    ProbeError::Unsupported(format!(
        "the kernel side that was built in lacks `{name}`: build tracer anew"
    ))
}

pub(super) fn unsupported(error: &anyhow::Error) -> ProbeError {
    ProbeError::Unsupported(format!("{error:#}"))
}

pub(super) fn verifier(program: &str, error: &ProgramError) -> ProbeError {
    refused(&format!("loading the program `{program}`"), error)
}

/// Tells lack of permission from everything else by the error at the root. The verifier refuses
/// programs with the same error, but not without a word.
pub(super) fn refused(what: &str, error: &(dyn Error + 'static)) -> ProbeError {
    let mut cause = Some(error).filter(|error| !is_from_verifier(*error));
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<io::Error>()
            && io.kind() == io::ErrorKind::PermissionDenied
        {
            return ProbeError::NotPermitted {
                what: what.to_owned(),
                why: privilege::why_refused(&privilege::for_probes()),
            };
        }
        cause = error.source();
    }
    ProbeError::Unsupported(format!("{what} failed: {}", root_cause(error)))
}

fn is_from_verifier(error: &(dyn Error + 'static)) -> bool {
    matches!(
        error.downcast_ref(),
        Some(ProgramError::LoadError { verifier_log, .. })
            if !verifier_log.to_string().trim().is_empty()
    )
}

/// The error and its causes on one line. The verifier's log has thousands; its last words
/// say what it did not like.
fn root_cause(error: &(dyn Error + 'static)) -> String {
    if let Some(ProgramError::LoadError {
        io_error,
        verifier_log,
    }) = error.downcast_ref()
    {
        let log = verifier_log.to_string();
        let words = log
            .lines()
            .rev()
            .find(|line| is_verdict(line))
            .unwrap_or_default();
        return format!("{io_error}; the verifier says: {}", words.trim());
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Whether a line of the verifier's log is its reason rather than its statistics.
fn is_verdict(line: &str) -> bool {
    const STATISTICS: [&str; 3] = ["processed ", "verification time", "stack depth"];
    !line.trim().is_empty() && !STATISTICS.iter().any(|prefix| line.starts_with(prefix))
}
