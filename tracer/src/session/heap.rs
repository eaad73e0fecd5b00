//! The heap view of a run: when the files of a process are looked at, and what was found.

use std::collections::{BTreeMap, BTreeSet};

use super::Session;
use crate::{
    attribute::{
        evidence::{CallSite, Held},
        in_words,
    },
    event::{Event, EventKind, Request},
    heap::{Look, ProbedFile, Sums},
    report::{HeapPlace, HeapReport},
    space::{Space, piece::Prot, sites::CodeAddress},
    track::Tracked,
    units::{Addr, Nanos, Pid, Span},
    world::World,
};

/// Places, and frames of each, that are named where there is no room for all.
const NAMED: usize = 3;
/// Return addresses looked for at a place that allocates.
const DEPTH: usize = 16;

/// Notes on what could not be probed that are kept of a process.
const MOST_TROUBLE: usize = 8;

/// The heap view of a run.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// It is not wanted, as the world said.
    off: bool,
    /// It is wanted, as the world said.
    on: bool,
    /// Processes that may have mapped new code.
    due: BTreeSet<Pid>,
    processes: BTreeMap<Pid, Watched>,
}

/// What is known of the heap view of one process.
#[derive(Clone, Debug, Default)]
pub(super) struct Watched {
    /// Since when every function of an allocator that it had mapped was probed. Memory placed
    /// later was handed out and given back before the eyes of the probes only.
    pub whole_since: Nanos,
    /// When its program was executed, if that was seen.
    executed: Nanos,
    /// What is probed.
    pub files: Vec<ProbedFile>,
    /// What could not be.
    pub trouble: Vec<String>,
}

impl Watched {
    fn take(&mut self, look: Look) {
        for mut file in look.files {
            // What is older than the program was there before its code.
            file.late &= file.since > self.executed;
            if file.late {
                self.whole_since = self.whole_since.max(file.since);
            }
            self.files.push(file);
        }
        self.trouble.extend(look.trouble);
        self.trouble.truncate(MOST_TROUBLE);
    }
}

impl Watch {
    /// What an event means for it.
    pub fn note(&mut self, event: &Event) {
        if self.off {
            return;
        }
        let pid = match &event.kind {
            EventKind::Fork(fork) if fork.child != event.pid => fork.child,
            EventKind::Exec { .. } => {
                let executed = Watched {
                    executed: event.exited,
                    ..Watched::default()
                };
                self.processes.insert(event.pid, executed);
                event.pid
            }
            EventKind::Call(call) => match call.request {
                Request::Map {
                    fd: Some(_), prot, ..
                } if Prot::from_bits(prot).exec => event.pid,
                _ => return,
            },
            _ => return,
        };
        self.due.insert(pid);
    }

    /// Whether processes are probed.
    pub const fn is_on(&self) -> bool {
        self.on
    }

    /// What is known of a process, which is over.
    pub fn take(&mut self, pid: Pid) -> Option<Watched> {
        self.due.remove(&pid);
        self.processes.remove(&pid)
    }
}

impl<W: World> Session<'_, W> {
    /// Looks at every process that may have mapped new code.
    pub(super) fn look_at_heaps(&mut self) {
        while let Some(pid) = self.heap.due.pop_first() {
            if self.processes.contains_key(&pid) {
                self.look_at_heap(pid);
            }
        }
    }

    /// Looks at one process.
    pub(super) fn look_at_heap(&mut self, pid: Pid) {
        if self.heap.off {
            return;
        }
        match self.world.heap_look(pid) {
            Some(look) => {
                self.heap.processes.entry(pid).or_default().take(look);
                if !std::mem::replace(&mut self.heap.on, true) {
                    self.spaces.values_mut().for_each(Tracked::set_probed);
                }
            }
            None => self.heap.off = true,
        }
    }
}

/// What the heap view has of one process at the end.
pub(super) struct View {
    watched: Watched,
    sums: Sums,
    begun: Nanos,
    addresses: Vec<Vec<CodeAddress>>,
}

/// Ends the heap view of a process; `begun` is since when it was observed.
pub(super) fn read(
    watched: Watched,
    (space, begun): (&Space, Nanos),
    pid: Pid,
    world: &mut impl World,
) -> Option<View> {
    let spans: Vec<Span> = space.pieces().map(|(span, _)| span).collect();
    let sums = world.heap_sums(pid, &spans)?;
    let code = |addr: u64| space.code_at(Addr(addr));
    let addresses = sums.places.iter().map(|place| {
        let words = std::iter::once(place.ip.0).chain(place.stack.iter().copied());
        words.filter_map(code).take(DEPTH).collect()
    });
    Some(View {
        addresses: addresses.collect(),
        watched,
        sums,
        begun,
    })
}

impl View {
    /// The code addresses found at each place.
    pub fn addresses(&self) -> &[Vec<CodeAddress>] {
        &self.addresses
    }

    /// What follows from it for the address space.
    pub fn held(&self, places: &[CallSite]) -> Held<'_> {
        let totals = &self.sums.totals;
        let sample = self.sums.wish.sample;
        let asked = self.sums.places.iter().zip(places);
        let asked = asked.filter(|(place, _)| place.outstanding.bytes.0 > 0);
        let asked = asked.filter_map(|(place, site)| {
            let frames: Vec<String> = site.frames.iter().take(NAMED).map(in_words).collect();
            let bytes = place.outstanding.estimate(sample).bytes;
            (!frames.is_empty()).then(|| (frames.join(" < "), bytes))
        });
        Held {
            pieces: &self.sums.spans,
            whole_since: self.watched.whole_since,
            exact: self.sums.wish.is_exact()
                && self.watched.trouble.is_empty()
                && totals.lost == 0
                && totals.reused == 0
                && totals.abandoned == 0,
            files: &self.watched.files,
            places: asked.take(NAMED).collect(),
        }
    }

    /// What is to be shown of it, with the places resolved.
    pub fn report(self, places: &[CallSite]) -> HeapReport {
        let sample = self.sums.wish.sample;
        let places = self
            .sums
            .places
            .iter()
            .zip(places)
            .map(|(place, site)| HeapPlace {
                frames: site.frames.to_vec(),
                outstanding: place.outstanding.estimate(sample),
                blocks: place.outstanding.blocks,
                allocated_bytes: place.allocated_bytes,
                freed_bytes: place.freed_bytes,
                allocated: place.allocated,
                freed: place.freed,
            });
        let late = self.watched.whole_since;
        HeapReport {
            wish: self.sums.wish,
            totals: self.sums.totals,
            outstanding: self.sums.outstanding.estimate(sample),
            outstanding_blocks: self.sums.outstanding.blocks,
            late_ns: (late > Nanos(0)).then(|| late.since(self.begun)),
            files: self.watched.files,
            places: joined(places),
            rest: self.sums.rest.estimate(sample),
            left_out: self.sums.left_out,
            trouble: self.watched.trouble,
        }
    }
}

/// Places with the same return addresses are one, whatever the depth of the stack was.
fn joined(places: impl Iterator<Item = HeapPlace>) -> Vec<HeapPlace> {
    let mut joined: Vec<HeapPlace> = Vec::new();
    for place in places {
        match joined.iter_mut().find(|known| known.frames == place.frames) {
            Some(known) => {
                known.outstanding = known.outstanding.and(place.outstanding);
                known.blocks += place.blocks;
                known.allocated_bytes += place.allocated_bytes;
                known.freed_bytes += place.freed_bytes;
                known.allocated += place.allocated;
                known.freed += place.freed;
            }
            None => joined.push(place),
        }
    }
    joined.sort_by_key(|place| std::cmp::Reverse((place.outstanding.bytes, place.allocated_bytes)));
    joined
}
