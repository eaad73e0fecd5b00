//! All processes of this host, judged: on standard output or in a file, once or again and again.

use std::{
    io,
    time::{Duration, Instant},
};

use anyhow::Context as _;

use super::{
    Failure, check_capabilities,
    clock::{Clock, Woken},
    exit_of, failed, is_watched,
    output::Destination,
    wide_style, write_out,
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
        intent::{Audit, Capture, Format, Sort, Watch},
    },
    host::privilege,
    probe::CaptureWish,
    view::{self, Style, audit::Layout},
};

/// Watches and tells.
pub fn audit(wanted: &Audit) -> Result<(), Failure> {
    check_capabilities()?;
    let destination = Destination::open(&wanted.output).map_err(failed)?;
    let mut clock = Clock::start(false).map_err(failed)?;
    let mut auditor = Auditor::open(options(wanted)).map_err(exit_of)?;
    confine(&mut auditor, wanted.picks, destination.is_elsewhere());
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
        if clock.wait(left.map_or(rest, |left| left.min(rest))) != Woken::Time {
            return false;
        }
    }
}

/// What was attached is; from here on little is needed, unless processes may be traced later.
pub(super) fn confine(auditor: &mut Auditor, picks: usize, elsewhere: bool) {
    let kept = privilege::Kept {
        folders: elsewhere,
        attaching: false,
    };
    let given_up = match picks {
        0 => privilege::confine(kept, || auditor.counts_work()),
        _ => privilege::confine_for_now(elsewhere, || auditor.counts_work()),
    };
    if let Err(error) = given_up {
        auditor.note(format!(
            "tracer kept rights that it did not need any more: {error:#}"
        ));
    }
}

fn options(wanted: &Audit) -> Options {
    let sort = match wanted.sort {
        Sort::Gap => rank::Sort::Gap,
        Sort::VmSize => rank::Sort::VmSize,
        Sort::Rss => rank::Sort::Rss,
        Sort::Growth => rank::Sort::Growth,
        Sort::Retained => rank::Sort::Retained,
        Sort::Purged => rank::Sort::Purged,
        Sort::Calls => rank::Sort::Calls,
        Sort::Vmas => rank::Sort::Vmas,
    };
    let mut wishes = wishes(&wanted.watch, sort, wanted.top, wanted.picks);
    wishes.filter.pid = wanted.explain;
    Options {
        max_events_per_second: wanted.max_events_per_second,
        ..watching(&wanted.watch, wishes)
    }
}

/// What is asked of the host, and how many processes may be traced.
pub(super) fn wishes(watch: &Watch, sort: rank::Sort, top: Option<usize>, picks: usize) -> Wishes {
    Wishes {
        min_size: watch.min_size,
        filter: Filter {
            comm: watch.comm.clone(),
            user: watch.user.clone(),
            cgroup: watch.cgroup.clone(),
            pid: None,
        },
        sort,
        top,
        picks,
        pick_growth: watch.pick_growth,
    }
}

/// How it is found out.
pub(super) fn watching(watch: &Watch, wishes: Wishes) -> Options {
    Options {
        wishes,
        capture: Some(match watch.capture {
            Capture::Auto => CaptureWish::Best,
            Capture::Tracepoints => CaptureWish::Tracepoints,
            Capture::Trampolines => CaptureWish::Trampolines,
        }),
        room: watch.max_processes,
        max_cpu: Some(watch.max_cpu),
        max_events_per_second: None,
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
