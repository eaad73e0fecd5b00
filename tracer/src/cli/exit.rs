//! How a run ends: the exit codes, one table for the program, its help and its man page.

use std::process::ExitCode;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The summary was written.
    Done,
    /// Something failed while running.
    Failed,
    /// The arguments make no sense.
    Usage,
    /// The user may not do this.
    NotPermitted,
    /// There is no such process, or none that can be observed.
    NoTarget,
    /// The kernel or this build lacks what is needed.
    Unsupported,
    /// A recording is damaged; what comes before the damage was reported.
    Damaged,
    /// A file is no recording that this build can read.
    NoRecording,
}

impl Exit {
    /// All of them, in order of their codes.
    pub const ALL: [Self; 8] = [
        Self::Done,
        Self::Failed,
        Self::Usage,
        Self::NotPermitted,
        Self::NoTarget,
        Self::Unsupported,
        Self::Damaged,
        Self::NoRecording,
    ];

    /// The code, as the shell sees it.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotPermitted => 3,
            Self::NoTarget => 4,
            Self::Unsupported => 5,
            Self::Damaged => 6,
            Self::NoRecording => 7,
        }
    }

    /// What it tells, for the help text.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Done => {
                "the summary was written, whether Ctrl-C, SIGTERM, --duration or the end of the \
                 process ended the run"
            }
            Self::Failed => {
                "something failed while running, such as writing the summary or the recording"
            }
            Self::Usage => "the arguments make no sense",
            Self::NotPermitted => "not permitted: a capability is missing (try sudo)",
            Self::NoTarget => {
                "no such process, or it ended before it could be observed, or it is a 32-bit \
                 process, or the command could not be started"
            }
            Self::Unsupported => "this kernel or this build of tracer lacks what is needed",
            Self::Damaged => {
                "the recording is cut short or damaged, the summary is of what comes before the \
                 damage"
            }
            Self::NoRecording => {
                "the file is no recording, or one that only another version of tracer can read: \
                 there is no summary"
            }
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_count_up() {
        let codes = Exit::ALL.map(Exit::code);
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 7]);
    }
}
