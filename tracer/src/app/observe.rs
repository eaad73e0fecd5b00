//! A run on this host: explained at its end, recorded, or both.

use std::{fs::File, io};

use anyhow::anyhow;

use super::{
    Failure, check_capabilities, exit_of, failed, record_file::RecordFile, refuse_empty,
    screen::Screen, show, style,
};
use crate::{
    cli::intent::{Capture, Record, Recording, Run, Subject, Trace, Verbosity},
    host::{elf, kernel},
    probe::{CaptureWish, StackWish},
    recording::{Kept, Limit, Recorder, WhyStopped},
    report::Report,
    session,
    world::{
        self, Limits,
        live::{self, Live, Wishes},
    },
};

/// Traces and explains, and records if asked to.
pub fn trace(trace: &Trace) -> Result<(), Failure> {
    check_capabilities()?;
    // Before anything runs: what cannot be written would be found out too late.
    let destinations = show::Destinations::open(&trace.view).map_err(failed)?;
    let sink = trace.recording.as_ref().map(Sink::open).transpose()?;
    let style = style(trace.view.color, &io::stdout());
    let mut screen = Screen::live(&trace.run.subject, &trace.view, style);
    let mut seen = observe(&trace.run, destinations.are_elsewhere(), sink, &mut screen)?;
    show::write(&seen.report, &trace.view, destinations)?;
    screen.detaching();
    drop(seen.live);
    screen.clear();
    seen.kept.take().map_or(Ok(()), |(_, kept)| check(&kept))
}

/// Traces and records.
pub fn record(record: &Record) -> Result<(), Failure> {
    check_capabilities()?;
    let sink = Sink::open(&record.recording)?;
    let style = style(record.color, &io::stdout());
    let mut screen = Screen::recording(&record.run.subject, record.verbosity, style);
    let seen = observe(&record.run, false, Some(sink), &mut screen)?;
    if record.verbosity >= Verbosity::Normal {
        for note in &seen.report.notes {
            eprintln!("tracer: {note}");
        }
    }
    let Some((file, kept)) = seen.kept else {
        return Ok(());
    };
    check(&kept)?;
    if record.verbosity >= Verbosity::Normal {
        let path = file.path().display();
        let processes = match seen.report.processes.len() {
            1 => "1 process".to_owned(),
            several => format!("{several} processes"),
        };
        eprintln!(
            "tracer: recorded {} events of {processes} in {}; `tracer report {path}` explains them",
            kept.records, kept.size,
        );
    }
    screen.detaching();
    drop(seen.live);
    screen.clear();
    Ok(())
}

/// A run that is over.
struct Seen {
    report: Report,
    /// The kernel takes seconds to detach the probes, so the report is to be written before
    /// this is dropped.
    live: Live,
    kept: Option<(RecordFile, Kept)>,
}

/// Where to record.
struct Sink {
    record: RecordFile,
    file: File,
    limit: Limit,
}

impl Sink {
    fn open(recording: &Recording) -> Result<Self, Failure> {
        let (record, file) = RecordFile::open(&recording.file).map_err(failed)?;
        Ok(Self {
            record,
            file,
            limit: Limit(recording.limit),
        })
    }
}

fn observe(
    run: &Run,
    elsewhere: bool,
    sink: Option<Sink>,
    screen: &mut Screen,
) -> Result<Seen, Failure> {
    let elsewhere = elsewhere || sink.as_ref().is_some_and(|sink| sink.record.is_elsewhere());
    let Some(Sink {
        record,
        file,
        limit,
    }) = sink
    else {
        let mut live = Live::open(wishes(run, elsewhere)).map_err(exit_of)?;
        let outcome = session::run(&mut live, screen);
        screen.clear();
        let report = outcome.map_err(exit_of)?;
        refuse_empty(&report)?;
        return Ok(Seen {
            report,
            live,
            kept: None,
        });
    };
    let recorded = || {
        let live = Live::open(wishes(run, elsewhere)).map_err(exit_of)?;
        let (kernel, boot_id) = (kernel::release_name(), kernel::boot_id());
        let mut recorder = Recorder::begin(live, file, limit, kernel, boot_id);
        let outcome = session::run(&mut recorder, screen);
        screen.clear();
        let report = outcome.map_err(exit_of)?;
        refuse_empty(&report)?;
        let (live, kept) = recorder.end();
        Ok((report, live, kept))
    };
    match recorded() {
        Ok((report, live, kept)) => Ok(Seen {
            report,
            live,
            kept: Some((record, kept)),
        }),
        Err(failure) => {
            record.discard();
            Err(failure)
        }
    }
}

fn wishes(run: &Run, elsewhere: bool) -> Wishes {
    let subject = match &run.subject {
        Subject::Running(pids) => world::Subject::Running(pids.clone()),
        Subject::Command { program, args } => {
            let words = std::iter::once(program).chain(args).cloned();
            world::Subject::Command(words.collect())
        }
    };
    Wishes {
        subject,
        follow: run.follow,
        duration: run.duration,
        turn: live::TURN,
        ring: run.ring_size,
        capture: match run.capture {
            Capture::Auto => CaptureWish::Best,
            Capture::Tracepoints => CaptureWish::Tracepoints,
            Capture::Trampolines => CaptureWish::Trampolines,
        },
        files: elf::Limits::GENEROUS,
        limits: Limits {
            events_per_second: run.max_events_per_second,
            cpu_percent: run.max_cpu,
        },
        heap: run.heap,
        elsewhere,
        stacks: StackWish {
            most: run.stacks.most,
            threshold: run.stacks.threshold,
        },
    }
}

/// A recording that reached its limit is what was asked for, one that failed is not.
fn check(kept: &Kept) -> Result<(), Failure> {
    match &kept.stopped {
        Some(WhyStopped::Failed(why)) => Err(failed(anyhow!(
            "the recording could not be written: {why}; it ends after {}",
            kept.size
        ))),
        Some(WhyStopped::Limit(_)) | None => Ok(()),
    }
}
