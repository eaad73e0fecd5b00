//! Steps in, lines out: each line is formatted into a fixed buffer and
//! written at once.

mod event;
mod json;
mod line;
mod text;

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;

use clap::ValueEnum;

pub use self::event::{Action, Event};
use self::line::Line;
use crate::allocator::Allocator;
use crate::error::Error;
use crate::scenario::Scenario;
use crate::stats::Stats;
use crate::status::{Status, Usage};
use crate::units::Step;

/// The form of the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table for people
    Text,
    /// JSON Lines: one object per step
    Json,
}

/// Who runs what: said once, in the first line.
#[derive(Debug, Clone, Copy)]
pub struct Subject {
    /// The scenario that runs.
    pub scenario: Scenario,
    /// The allocator it runs on.
    pub allocator: Allocator,
}

/// A step with everything its line says.
struct Record {
    step: Step,
    event: Event,
    usage: Usage,
    /// The figures of step 0.
    start: Usage,
    subject: Subject,
    /// What the allocator says of itself, if asked for.
    stats: Option<Stats>,
}

/// Numbers the steps and prints them.
#[derive(Debug)]
pub struct Reporter {
    format: Format,
    subject: Subject,
    status: Status,
    output: File,
    next: Step,
    start: Option<Usage>,
    with_stats: bool,
}

impl Reporter {
    /// Opens everything that a line needs, so that printing opens nothing.
    pub fn open(format: Format, subject: Subject, with_stats: bool) -> Result<Self, Error> {
        let output = io::stdout().as_fd().try_clone_to_owned();
        Ok(Self {
            format,
            subject,
            status: Status::open()?,
            output: File::from(output.map_err(Error::Output)?),
            next: Step(0),
            start: None,
            with_stats,
        })
    }

    /// Reads VmSize and VmRSS, then prints one line.
    pub fn step(&mut self, event: Event) -> Result<(), Error> {
        let stats = self.with_stats.then(|| Stats::ask(self.subject.allocator));
        let usage = self.status.read()?;
        let record = Record {
            step: self.next,
            event,
            usage,
            start: *self.start.get_or_insert(usage),
            subject: self.subject,
            stats,
        };
        let mut line = Line::new();
        let written = match self.format {
            Format::Text => text::write(&mut line, &record),
            Format::Json => json::write(&mut line, &record),
        };
        written.map_err(|fmt::Error| Error::Output(io::ErrorKind::StorageFull.into()))?;
        self.next = Step(self.next.0 + 1);
        let text = line.as_str().as_bytes();
        self.output.write_all(text).map_err(Error::Output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{Address, Bytes, Count, Kilobytes};

    fn usage(vm_size: u64, vm_rss: u64) -> Usage {
        Usage {
            vm_size: Kilobytes(vm_size),
            vm_rss: Kilobytes(vm_rss),
        }
    }

    fn record(step: u32, event: Event, now: Usage) -> Record {
        Record {
            step: Step(step),
            event,
            usage: now,
            start: usage(3000, 1500),
            subject: Subject {
                scenario: Scenario::PinnedTop,
                allocator: Allocator::Jemalloc,
            },
            stats: None,
        }
    }

    /// The first step and an allocation, for the tests of each format.
    pub(super) fn start_and_alloc() -> [Record; 2] {
        let mut alloc = Event::phase(Action::Alloc, Count(1), Bytes::mib(128));
        alloc.address = Some(Address(0x7f00_0000_0010));
        [
            record(0, Event::bare(Action::Start), usage(3000, 1500)),
            record(1, alloc, usage(134_076, 1504)),
        ]
    }

    #[test]
    fn the_longest_lines_fit() {
        let most = usage(u64::MAX >> 10, u64::MAX >> 10);
        let mut event = Event::phase(Action::Start, Count(1), Bytes(usize::MAX));
        event.address = Some(Address(usize::MAX));
        let record = record(u32::MAX, event, most);
        text::write(&mut Line::new(), &record).expect("the text fits");
        json::write(&mut Line::new(), &record).expect("the object fits");
    }
}
