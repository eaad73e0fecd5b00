//! Call paths of all processes as samples: a report in, stacks with figures out, which every
//! profile format is made from.

pub mod flamegraph;
pub mod folded;
pub mod pprof;

use super::clean::clean;
use crate::{
    attribute::{demangled, evidence::Frame, explanation::CallPath},
    report::Report,
    units::Bytes,
};

/// What of a call path is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Measure {
    /// Bytes that its calls mapped.
    #[default]
    Mapped,
    /// What of them is still mapped.
    StillMapped,
    /// What of that was given back by advice: address space kept.
    Retained,
    /// Bytes that its calls unmapped, whoever had mapped them.
    Released,
    /// Bytes that its calls gave back by advice, counted each time.
    Purged,
}

impl Measure {
    /// All of them, in the order of a profile's columns.
    pub const ALL: [Self; 5] = [
        Self::Mapped,
        Self::Retained,
        Self::Released,
        Self::Purged,
        Self::StillMapped,
    ];

    /// Its name in a profile.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mapped => "mapped",
            Self::StillMapped => "still_mapped",
            Self::Retained => "retained",
            Self::Released => "released",
            Self::Purged => "purged",
        }
    }

    /// Its figure of a call path.
    #[must_use]
    pub const fn of(self, path: &CallPath) -> Bytes {
        match self {
            Self::Mapped => path.mapped,
            Self::StillMapped => path.still_mapped,
            Self::Retained => path.retained,
            Self::Released => path.released,
            Self::Purged => path.purged,
        }
    }
}

/// A call path of a process.
pub struct Sample<'a> {
    /// The process, in words, if there are several.
    pub process: Option<String>,
    /// The path.
    pub path: &'a CallPath,
}

/// All of a report.
pub fn samples(report: &Report) -> impl Iterator<Item = Sample<'_>> {
    let several = report.processes.len() > 1;
    report.processes.iter().flat_map(move |process| {
        let target = &process.target;
        let name = several.then(|| format!("{} ({})", target.comm, target.pid));
        let paths = process.explanation.paths.iter();
        paths.map(move |path| Sample {
            process: name.clone(),
            path,
        })
    })
}

/// A frame in words: its function, or its place in its file.
#[must_use]
pub fn label(frame: &Frame) -> String {
    let name = match &frame.function {
        Some(function) => demangled(function).into_owned(),
        None if frame.module.is_empty() => format!("{:#x}", frame.offset),
        None => {
            let module = frame.module.rsplit('/').next().unwrap_or_default();
            format!("{module}+{:#x}", frame.offset)
        }
    };
    clean(&name).into_owned()
}

/// Whose stack is not known in words: as one frame.
#[must_use]
pub fn nameless(path: &CallPath) -> String {
    format!("[{}, no stack]", path.owner)
}
