//! The first frame: who recorded whom, and by which layouts. Plain data, as JSON.

use std::{error::Error, ffi::OsString, fmt};

use serde::{Deserialize, Serialize};
use tracer_ebpf::WIRE_VERSION;

use crate::{
    units::{PageSize, Pid},
    world::{Limits, Subject, World},
};

/// Who recorded whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The version of the tracer that recorded.
    pub tracer: String,
    /// [`WIRE_VERSION`] of its records.
    pub wire: u32,
    /// The architecture, as Rust names it: call numbers are its own.
    pub arch: String,
    /// The size of a page, bytes.
    pub page_size: u64,
    /// The release of the kernel.
    pub kernel: String,
    /// Which boot of the machine it was: times of one boot can be compared.
    pub boot_id: String,
    /// The processes that were asked for; none if a command was started.
    pub pids: Vec<Pid>,
    /// The command that was started.
    pub command: Vec<String>,
    /// What the probes could not do.
    pub notes: Vec<String>,
    /// What was attached.
    pub details: Vec<String>,
    /// What observing might cost.
    #[serde(default)]
    pub limits: Limits,
}

/// Why this build cannot read what a recording holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WrongHeader {
    /// Records of other layouts, recorded by this version of the tracer.
    Wire {
        /// Their version.
        version: u32,
        /// Who made it.
        tracer: String,
    },
    /// Call numbers of another architecture.
    Architecture(String),
    /// No page is of that size.
    PageSize(u64),
}

impl Header {
    /// What is to be told of a run in `world`.
    pub fn of(world: &impl World, kernel: String, boot_id: String) -> Self {
        let (pids, command) = match world.subject() {
            Subject::Running(pids) => (pids, Vec::new()),
            Subject::Command(words) => {
                let text = |word: OsString| word.to_string_lossy().into_owned();
                (Vec::new(), words.into_iter().map(text).collect())
            }
        };
        Self {
            tracer: env!("CARGO_PKG_VERSION").to_owned(),
            wire: WIRE_VERSION,
            arch: std::env::consts::ARCH.to_owned(),
            page_size: world.page_size().0,
            kernel,
            boot_id,
            pids,
            command,
            notes: world.notes(),
            details: world.details(),
            limits: world.limits(),
        }
    }

    /// Whom the run was about.
    #[must_use]
    pub fn subject(&self) -> Subject {
        if self.command.is_empty() {
            Subject::Running(self.pids.clone())
        } else {
            Subject::Command(self.command.iter().map(OsString::from).collect())
        }
    }

    /// The size of a page there.
    #[must_use]
    pub const fn page(&self) -> PageSize {
        PageSize(self.page_size)
    }

    /// Makes sure that this build reads the records as they were meant.
    pub(super) fn check(&self) -> Result<(), WrongHeader> {
        if self.wire != WIRE_VERSION {
            return Err(WrongHeader::Wire {
                version: self.wire,
                tracer: self.tracer.clone(),
            });
        }
        if self.arch != std::env::consts::ARCH {
            return Err(WrongHeader::Architecture(self.arch.clone()));
        }
        // From 4 KiB to 64 KiB on everything Linux runs on; a model would not survive 0.
        if !self.page_size.is_power_of_two() || !(1 << 12..=1 << 20).contains(&self.page_size) {
            return Err(WrongHeader::PageSize(self.page_size));
        }
        Ok(())
    }
}

impl fmt::Display for WrongHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wire { version, tracer } => write!(
                f,
                "its records are of version {version}, this tracer reads version {WIRE_VERSION}: \
                 use tracer {tracer}, which recorded it"
            ),
            Self::Architecture(arch) => write!(
                f,
                "it was recorded on {arch}: use a tracer built for {arch} to read it"
            ),
            Self::PageSize(size) => write!(f, "it claims a page size of {size} bytes"),
        }
    }
}

impl Error for WrongHeader {}

#[cfg(test)]
mod tests {
    use tracer_ebpf::{
        CallRecord, FileRecord, NamingRecord, PlacingRecord, RangesRecord, StackRecord, TaskRecord,
    };

    use super::*;

    /// Recordings of one version must have one layout: if this fails, `WIRE_VERSION` goes up
    /// and the recordings under `tests/` are made anew.
    #[test]
    fn a_version_has_one_layout() {
        let sizes = [
            size_of::<CallRecord>(),
            size_of::<PlacingRecord>(),
            size_of::<FileRecord>(),
            size_of::<NamingRecord>(),
            size_of::<RangesRecord>(),
            size_of::<TaskRecord>(),
            size_of::<StackRecord>(),
        ];
        assert_eq!(
            (WIRE_VERSION, sizes),
            (2, [200, 336, 1384, 280, 2256, 216, 152])
        );
    }
}
