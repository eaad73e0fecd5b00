//! All processes of this host, judged: on standard output or in a file, once or again and again.

use std::{
    io,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use tokio::{
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
    time::sleep,
};

use super::{
    Failure, check_capabilities, exit_of, failed, is_watched, output::Destination, wide_style,
    write_out,
};
use crate::{
    audit::{
        rank::{self, Filter},
        roll::Wishes,
        row::Audit as Known,
    },
    auditor::{Auditor, Options},
    cli::{
        Exit,
        intent::{Audit, Capture, Format, Sort},
    },
    host::privilege,
    probe::CaptureWish,
    units::Bytes,
    view::{self, Style, audit::Layout},
};

/// Watches and tells.
pub fn audit(wanted: &Audit) -> Result<(), Failure> {
    check_capabilities()?;
    let destination = Destination::open(&wanted.output).map_err(failed)?;
    let mut clock = Clock::start().map_err(failed)?;
    let mut auditor = Auditor::open(options(wanted)).map_err(exit_of)?;
    confine(&mut auditor, destination.is_elsewhere());
    if let Some(pid) = wanted.explain
        && !auditor.knows(pid)
    {
        let error = anyhow::anyhow!("there is no process {pid} with an address space");
        return Err((Exit::NoTarget, error));
    }
    if !wanted.quiet && is_watched() {
        eprintln!("tracer: {}; Ctrl-C ends it", auditor.describe());
    }
    let style = match destination.is_file() {
        true => Style::wide(false, Style::WIDEST_TABLE),
        false => wide_style(wanted.color, &io::stdout()),
    };
    let started = Instant::now();
    let end = wanted.duration.map(|duration| started + duration);
    let Some(interval) = wanted.interval else {
        watch(&mut auditor, &mut clock, end);
        let document = render(&mut auditor, wanted, style)?;
        return destination.write(&document).map_err(failed);
    };
    let mut next = started + interval;
    loop {
        let until = end.map_or(next, |end| end.min(next));
        let goes_on = watch(&mut auditor, &mut clock, Some(until));
        let listens = write_out(&render(&mut auditor, wanted, style)?).map_err(failed)?;
        if !goes_on || !listens || end.is_some_and(|end| end <= Instant::now()) {
            return Ok(());
        }
        next = (next + interval).max(Instant::now());
    }
}

/// Watches until a moment; returns whether nobody ended it sooner.
fn watch(auditor: &mut Auditor, clock: &mut Clock, until: Option<Instant>) -> bool {
    loop {
        let rest = auditor.turn();
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) {
            return true;
        }
        if !clock.wait(left.map_or(rest, |left| left.min(rest))) {
            return false;
        }
    }
}

/// What was attached is; from here on little is needed.
fn confine(auditor: &mut Auditor, elsewhere: bool) {
    let kept = privilege::Kept {
        folders: elsewhere,
        attaching: false,
    };
    let given_up = privilege::confine(kept, || auditor.counts_work());
    if let Err(error) = given_up {
        auditor.note(format!(
            "tracer kept rights that it did not need any more: {error:#}"
        ));
    }
}

fn options(wanted: &Audit) -> Options {
    Options {
        wishes: Wishes {
            min_size: wanted.min_size,
            filter: Filter {
                comm: wanted.comm.clone(),
                user: wanted.user.clone(),
                cgroup: wanted.cgroup.clone(),
                pid: wanted.explain,
            },
            sort: match wanted.sort {
                Sort::Gap => rank::Sort::Gap,
                Sort::VmSize => rank::Sort::VmSize,
                Sort::Rss => rank::Sort::Rss,
                Sort::Growth => rank::Sort::Growth,
                Sort::Retained => rank::Sort::Retained,
                Sort::Purged => rank::Sort::Purged,
                Sort::Calls => rank::Sort::Calls,
                Sort::Vmas => rank::Sort::Vmas,
            },
            top: wanted.top,
            picks: 0,
            pick_growth: Bytes(u64::MAX),
        },
        capture: Some(match wanted.capture {
            Capture::Auto => CaptureWish::Best,
            Capture::Tracepoints => CaptureWish::Tracepoints,
            Capture::Trampolines => CaptureWish::Trampolines,
        }),
        room: wanted.max_processes,
        max_cpu: Some(wanted.max_cpu),
    }
}

fn render(auditor: &mut Auditor, wanted: &Audit, style: Style) -> Result<Vec<u8>, Failure> {
    let known: Known = auditor.audit(true);
    match wanted.format {
        Format::Text => Ok(match wanted.explain {
            Some(_) => view::audit::explain(&known, style),
            None => view::audit::render(&known, style),
        }
        .into_bytes()),
        Format::Json => {
            let layout = match wanted.interval {
                Some(_) => Layout::Line,
                None => Layout::Pretty,
            };
            let mut document = Vec::new();
            view::audit::write_json(&known, layout, &mut document)
                .context("cannot make JSON")
                .map_err(failed)?;
            Ok(document)
        }
    }
}

/// What ends a wait.
struct Clock {
    runtime: Runtime,
    interrupt: Signal,
    terminate: Signal,
}

impl Clock {
    fn start() -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the asynchronous runtime")?;
        let within = runtime.enter();
        let [interrupt, terminate] = [SignalKind::interrupt(), SignalKind::terminate()]
            .map(|kind| signal(kind).context("cannot listen to signals"));
        drop(within);
        Ok(Self {
            runtime,
            interrupt: interrupt?,
            terminate: terminate?,
        })
    }

    /// Waits so long; false if a signal came.
    fn wait(&mut self, time: Duration) -> bool {
        let (interrupt, terminate) = (&mut self.interrupt, &mut self.terminate);
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                _ = interrupt.recv() => false,
                _ = terminate.recv() => false,
                () = sleep(time) => true,
            }
        })
    }
}
