//! The end of a process' observation: last readings, evidence, its report.

use super::{
    MOST_ENDED, Session, facts,
    heap::{self, View, Watched},
    mappings,
    process::Process,
    readings::Verified,
    stacks,
};
use crate::{
    attribute::{
        self,
        evidence::{Doubt, Evidence, HeapWalk, PageCensus, Resident, Trend},
    },
    report::{Ending, EventCounts, Gap, ProcessReport},
    space::piece::{Backing, Content},
    track::Tracked,
    units::{Addr, Bytes, Nanos, Pid, Span},
    world::{Memory, World},
};

/// RSS up to which residency is read mapping by mapping: the kernel walks every page table
/// of the process under its lock, about a second for this much.
const MOST_RESIDENT: Bytes = Bytes(256 << 30);

/// Ranges whose pages are looked at, the largest if there are more.
const MOST_RANGES: usize = 1 << 16;

impl<W: World> Session<'_, W> {
    /// Ends the observation of a process and keeps its report.
    pub(super) fn finish(&mut self, pid: Pid, ending: Ending) {
        let verified = match ending {
            Ending::StillRunning => self.verify(pid, &mut |_| {}),
            Ending::Exited => None,
        };
        self.world.remove_target(pid);
        // The verification may have found that it ended meanwhile: then it is reported.
        let Some(process) = self.processes.remove(&pid) else {
            return;
        };
        let shared = self.users(process.space) > 0;
        let ended = ending == Ending::Exited;
        if process.awaits_exec || (ended && (shared || !self.keeps_ended)) {
            self.leave(process.space);
            return;
        }
        if ended && process.is_child && self.ended.len() >= MOST_ENDED {
            self.ended_unreported += 1;
            self.leave(process.space);
            return;
        }
        let paused = self.bounds.paused_since();
        if let Some(tracked) = self.spaces.get_mut(&process.space) {
            if let Some(since) = paused {
                tracked.lost_events(since);
            }
            tracked.give_up_reading();
        }
        let lost = (self.lost(), self.bounds.pauses());
        let Some(tracked) = self.spaces.get(&process.space) else {
            return;
        };
        let heap = self.heap.take(pid);
        let outside = (&mut *self.world, (&mut self.elf, &mut self.stacks));
        let report = report(&process, tracked, ending, (verified, heap), lost, outside);
        self.ended.push((process.order, report));
        self.leave(process.space);
    }
}

pub(super) fn report(
    process: &Process,
    tracked: &Tracked,
    ending: Ending,
    (verified, watched): (Option<Verified>, Option<Watched>),
    (lost, pauses): (u64, u64),
    (world, caches): (&mut impl World, (&mut facts::ElfCache, &mut stacks::Stacks)),
) -> ProcessReport {
    // Before files are looked into, which takes its time.
    let now = world.now();
    let pid = process.pid;
    let space = tracked.space();
    let alive = ending == Ending::StillRunning;
    let memory = alive.then(|| world.memory(pid).ok()).flatten();
    let residency = residency(world, pid, memory);
    let pages = alive.then(|| pages(world, pid, tracked)).flatten();
    let heap = alive.then(|| heap(world, pid, tracked)).flatten();
    let kernel = match verified {
        Some(verified) => Some(verified.kernel_vm_size),
        None => tracked.last_figures().map(|figures| figures.vm_size),
    };
    let drift = kernel.map_or(0, |kernel| signed(space.vm_size()) - signed(kernel));
    let sums = tracked.reconciler().sums();
    let vm_size = Trend {
        at_attach: process.vm_at_attach,
        peak: Some(tracked.peak().max(process.vm_at_attach.unwrap_or_default())),
        at_end: Some(space.vm_size()),
    };
    let rss = Trend {
        at_attach: process.rss_at_attach,
        peak: peak_rss(process, tracked, memory),
        at_end: memory.map(|memory| memory.rss).or(tracked.rss().last),
    };
    let view = watched.and_then(|watched| heap::read(watched, (space, process.begun), pid, world));
    let places = view
        .as_ref()
        .map(View::addresses)
        .unwrap_or_default()
        .to_vec();
    let gathered = facts::gather(space, pid, &process.target.exe, &places, world, caches);
    let facts::Gathered {
        sites,
        places,
        modules,
    } = gathered;
    let mut settings = process.settings.clone();
    if settings.environment.is_empty() && alive {
        settings = world.settings(pid);
    }
    let held = view.as_ref().map(|view| view.held(&places));
    let explanation = attribute::explain(&Evidence {
        space,
        sites: &sites,
        modules: &modules,
        settings: &settings,
        residency: residency.as_deref(),
        pages: pages.as_ref(),
        heap: heap.as_ref(),
        held: held.as_ref(),
        vm_size,
        rss,
        rss_anon_at_end: memory
            .map(|memory| memory.rss_anon)
            .or(tracked.rss().anonymous),
        doubt: Doubt {
            // What a pause hid is as good as lost.
            lost: lost + pauses + tracked.dropped(),
            mismatches: sums.mismatches,
            drift: Bytes(drift.unsigned_abs()),
            unread: tracked.was_never_read(),
        },
        observed: (process.begun, now),
    });
    let names_memory = verified.is_some_and(|verified| verified.names_memory);
    ProcessReport {
        target: process.target.clone(),
        ending,
        observed: now.since(process.begun),
        vm_size,
        kernel_vm_size_at_end: kernel,
        rss,
        events: EventCounts {
            received: tracked.counts().received,
            lost: lost + tracked.dropped(),
            by_call: tracked.counts().by_call.clone(),
        },
        reconciliation: crate::report::Reconciliation {
            drift_bytes: drift,
            exact_after_ns: tracked.exact_since().map(|at| at.since(process.begun)),
            ..sums
        },
        unobserved: gaps(tracked, process.begun, now),
        mappings: mappings::lines(space, &explanation.owners, names_memory),
        explanation,
        heap: view.map(|view| view.report(&places)),
        timeline: tracked.timeline().to_vec(),
        notes: notes(tracked, ending, verified, residency.is_some()),
    }
}

fn gaps(tracked: &Tracked, begun: Nanos, now: Nanos) -> Vec<Gap> {
    let gaps = tracked.gaps(now).into_iter();
    gaps.map(|(from, to)| Gap {
        from_ns: from.since(begun),
        to_ns: to.since(begun),
    })
    .collect()
}

fn residency(world: &mut impl World, pid: Pid, memory: Option<Memory>) -> Option<Vec<Resident>> {
    memory.filter(|memory| memory.rss <= MOST_RESIDENT)?;
    world
        .residency(pid)
        .ok()
        .filter(|resident| !resident.is_empty())
}

/// Which pages of its own memory are there. What nothing was ever in is not asked about.
fn pages(world: &mut impl World, pid: Pid, tracked: &Tracked) -> Option<PageCensus> {
    let pieces = tracked.space().pieces().filter(|(_, piece)| {
        piece.is_anonymous() && !piece.traits.huge_tlb && !piece.content.is_barren()
    });
    // In case there is no time for all: what was given back first, then the largest.
    let mut ranges: Vec<_> = pieces
        .map(|(span, piece)| {
            (
                piece.content == Content::Unknown,
                std::cmp::Reverse(span.len()),
                span,
            )
        })
        .collect();
    ranges.sort();
    ranges.truncate(MOST_RANGES);
    let spans: Vec<Span> = ranges.into_iter().map(|(.., span)| span).collect();
    world.pages(pid, &spans).ok()
}

/// The walk through the main heap, whose ends the kernel's figures or the map give.
fn heap(world: &mut impl World, pid: Pid, tracked: &Tracked) -> Option<HeapWalk> {
    let figures = tracked.last_figures();
    let span = match figures.filter(|figures| figures.start_brk > Addr(0)) {
        Some(figures) => Span::between(figures.start_brk, figures.brk),
        None => {
            let pieces = tracked.space().pieces();
            let heap = pieces.filter(|(_, piece)| piece.backing == Backing::Heap);
            heap.map(|(span, _)| span)
                .reduce(|first, last| Span::between(first.start, last.end))?
        }
    };
    world.heap_walk(pid, span)
}

/// The highest RSS of the observation: what events and samples showed, or the kernel's own
/// high-water mark if it rose meanwhile.
fn peak_rss(process: &Process, tracked: &Tracked, memory: Option<Memory>) -> Option<Bytes> {
    let risen = memory
        .map(|memory| memory.rss_high)
        .or(tracked.last_figures().map(|figures| figures.peak_rss))
        .filter(|high| {
            process
                .rss_high_at_attach
                .is_some_and(|before| *high > before)
        });
    tracked.rss().peak.max(risen).max(process.rss_at_attach)
}

fn notes(
    tracked: &Tracked,
    ending: Ending,
    verified: Option<Verified>,
    has_residency: bool,
) -> Vec<String> {
    let mut notes = Vec::new();
    if tracked.was_never_read() {
        notes.push(
            "it ended before its map could be read: what the kernel mapped for it at exec, or \
             what came after the last reading, is missing in the model"
                .to_owned(),
        );
    }
    match (ending, verified) {
        (Ending::Exited, _) => notes.push(
            "the process had ended: its map could not be compared line by line at the end, and \
             what is in memory is known as a sum only"
                .to_owned(),
        ),
        (Ending::StillRunning, Some(verified)) if !verified.decided => notes.push(
            "calls went on while the map was compared at the end: the final figures are a \
             moment's"
                .to_owned(),
        ),
        (Ending::StillRunning, None) => {
            notes.push("the map could not be compared with the kernel's at the end".to_owned());
        }
        (Ending::StillRunning, Some(_)) => {}
    }
    if ending == Ending::StillRunning && !has_residency {
        notes.push("what is in memory could not be read (/proc/<pid>/smaps)".to_owned());
    }
    if tracked.last_figures().is_none() && tracked.counts().received > 0 {
        notes.push("the kernel's own figures did not come with the events".to_owned());
    }
    if tracked.dropped() > 0 {
        notes.push(format!(
            "{} events came while the map could not be read, and were dropped",
            tracked.dropped()
        ));
    }
    notes.extend(tracked.reconciler().details().cloned());
    notes
}

fn signed(bytes: Bytes) -> i64 {
    i64::try_from(bytes.0).unwrap_or(i64::MAX)
}
