//! Probes in the functions of allocators: a process and a file in; sums of the kernel side out.
//!
//! The programs are loaded only if the heap view is asked for. They are attached to one process
//! at a time: others that use the same file do not pay for it. What is attached goes with this
//! process, however it ends.

use std::{collections::HashMap, num::NonZeroU32, os::fd::OwnedFd, path::Path};

use aya::{
    Ebpf,
    maps::{HashMap as BpfMap, Map, MapData, MapError},
    programs::{
        UProbe,
        uprobe::{UProbeLink, UProbeLinkId, UProbeScope},
    },
};
use tracer_ebpf::heap::{HeapBlock, HeapKey, HeapPlace, HeapSettings, HeapSums, HeapTarget};

use super::{
    error::{ProbeError, incomplete, refused, verifier},
    multi::Multi,
};
use crate::{
    heap::{Place, Sums, Totals, Tracked, Wish, functions::Signature},
    host::{clock, exports::Functions},
    units::{Addr, Bytes, Pid, Span},
};

/// Places of a process that are told one by one.
const MOST_PLACES: usize = 200;
/// The maps of the heap view, which have next to no room without it.
pub(super) const MAPS: [&str; 4] = ["HEAP_TARGETS", "HEAP_BLOCKS", "HEAP_PLACES", "HEAP_CALLS"];
/// The program at a return.
const RETURN: &str = "heap_return";

/// The program at the entry of a function.
const fn program(signature: Signature) -> &'static str {
    match signature {
        Signature::Size => "heap_size",
        Signature::CountSize => "heap_count_size",
        Signature::AlignSize => "heap_align_size",
        Signature::Written => "heap_written",
        Signature::Resize => "heap_resize",
        Signature::ResizeCount => "heap_resize_count",
        Signature::Free => "heap_free",
    }
}

/// What the programs are told before they are loaded.
pub(super) fn settings(wish: Option<&Wish>) -> HeapSettings {
    wish.map_or_else(HeapSettings::default, |wish| HeapSettings {
        min: wish.min.0,
        sample: wish.sample.map_or(0, |sample| sample.0),
    })
}

/// A structure of the wire as aya's maps want it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
struct Plain<T>(T);

macro_rules! plain {
    ($($name:ty),+) => {$(
        #[expect(unsafe_code, reason = "aya's marker for plain data")]
        // SAFETY: it is `repr(C)` of integers only, without padding (zerocopy's `IntoBytes` is
        // derived for it, which refuses padding).
        unsafe impl aya::Pod for Plain<$name> {}
    )+};
}

plain!(HeapTarget, HeapKey, HeapBlock, HeapPlace, HeapSums);

/// Loads the programs as those of perf events.
fn load_all(ebpf: &mut Ebpf) -> Result<(), ProbeError> {
    let entries = Signature::ALL.map(program);
    for name in entries.into_iter().chain([RETURN]) {
        let program = uprobe(ebpf, name)?;
        program.load().map_err(|error| verifier(name, &error))?;
    }
    Ok(())
}

/// Loads the programs, and says how they would be attached.
pub(super) fn try_out(ebpf: &mut Ebpf, object: &[u8]) -> Result<String, ProbeError> {
    load_all(ebpf)?;
    Ok(match multi(ebpf, object) {
        Ok(_) => "many at a time, by uprobe_multi".to_owned(),
        Err(why) => format!("each by a perf event, which take long to be taken away: {why:#}"),
    })
}

/// The maps and what is attached.
pub(super) struct Heap {
    wish: Wish,
    targets: BpfMap<MapData, u32, Plain<HeapTarget>>,
    blocks: BpfMap<MapData, Plain<HeapKey>, Plain<HeapBlock>>,
    places: BpfMap<MapData, Plain<HeapPlace>, Plain<HeapSums>>,
    attaching: Attaching,
    links: Vec<OwnedFd>,
    events: Vec<UProbeLink>,
}

/// How functions are attached to.
enum Attaching {
    /// Many of a file at a time.
    Multi(Multi),
    /// One by one, and why.
    Events(anyhow::Error),
}

/// Programs that many functions can be attached to at a time, of `object`.
pub(super) fn multi(ebpf: &Ebpf, object: &[u8]) -> anyhow::Result<Multi> {
    let entries = Signature::ALL.map(program);
    Multi::load(ebpf, object, entries.into_iter().chain([RETURN]))
}

impl Heap {
    /// Loads the programs.
    pub fn load(
        ebpf: &mut Ebpf,
        wish: Wish,
        multi: anyhow::Result<Multi>,
    ) -> Result<Self, ProbeError> {
        let attaching = match multi {
            Ok(multi) => Attaching::Multi(multi),
            Err(why) => {
                load_all(ebpf)?;
                Attaching::Events(why)
            }
        };
        Ok(Self {
            wish,
            targets: take(ebpf, "HEAP_TARGETS", BpfMap::try_from)?,
            blocks: take(ebpf, "HEAP_BLOCKS", BpfMap::try_from)?,
            places: take(ebpf, "HEAP_PLACES", BpfMap::try_from)?,
            attaching,
            links: Vec::new(),
            events: Vec::new(),
        })
    }

    /// From now on what a process asks of its allocator counts, as far as it is attached to.
    pub fn add_target(&mut self, pid: Pid) -> Result<(), ProbeError> {
        let target = HeapTarget {
            id: u64::from(pid.0) << 32 | clock::now().0 >> 10 & 0xffff_ffff,
            ..HeapTarget::default()
        };
        self.targets
            .insert(pid.0, Plain(target), 0)
            .map_err(|error| refused(&format!("adding process {pid} to the heap view"), &error))
    }

    /// Attaches to functions of a file in one process. `path` names the file to this process.
    pub fn attach(
        &mut self,
        ebpf: &mut Ebpf,
        pid: Pid,
        path: &Path,
        functions: &Functions,
    ) -> Result<(), ProbeError> {
        let of = |wanted: &dyn Fn(Signature) -> bool| -> Vec<u64> {
            let wanted = functions.iter().filter(|(_, of)| wanted(**of));
            wanted.map(|(offset, _)| *offset).collect()
        };
        // The returns first: a call that is seen entering must be seen returning.
        let returns = (RETURN, of(&Signature::returns));
        let entries = Signature::ALL.map(|which| (program(which), of(&|of| of == which)));
        for (name, offsets) in std::iter::once(returns).chain(entries) {
            if offsets.is_empty() {
                continue;
            }
            match &self.attaching {
                Attaching::Multi(multi) => {
                    let link = multi.attach(name, pid, path, &offsets, name == RETURN);
                    let refused = |error| refused(&format!("attaching `{name}`"), &error);
                    self.links.push(link.map_err(refused)?);
                }
                Attaching::Events(_) => {
                    for offset in offsets {
                        self.events.push(attach(ebpf, name, pid, path, offset)?);
                    }
                }
            }
        }
        Ok(())
    }

    /// How functions are attached to, in words.
    pub fn describe(&self) -> String {
        match &self.attaching {
            Attaching::Multi(_) => {
                "functions of allocators are probed by one link for many (uprobe_multi)".to_owned()
            }
            Attaching::Events(why) => format!(
                "functions of allocators are probed by a perf event each, which take long to be \
                 taken away: {why:#}"
            ),
        }
    }

    /// Whether it costs little to attach to what may never be used.
    pub const fn attaches_ahead(&self) -> bool {
        matches!(self.attaching, Attaching::Multi(_))
    }

    /// The sums of a process, and of what is handed out in each of `spans` (in order, apart).
    /// From then on nothing of it counts any more.
    pub fn conclude(&mut self, pid: Pid, spans: &[Span]) -> Result<Sums, ProbeError> {
        let reading = |error: MapError| refused("reading the sums of the heap view", &error);
        let Plain(target) = self.targets.get(&pid.0, 0).map_err(reading)?;
        // From here on nothing of it moves.
        let _ = self.targets.remove(&pid.0);
        let mut sums = Sums {
            wish: self.wish,
            totals: totals(&target),
            spans: vec![Tracked::default(); spans.len()],
            outstanding: Tracked::default(),
            places: Vec::new(),
            rest: Tracked::default(),
            left_out: 0,
        };
        let mut places: HashMap<HeapPlace, Tracked> = HashMap::new();
        for (key, block) in self.take_blocks(target.id) {
            let size = Bytes(block.size);
            let place = HeapPlace {
                id: target.id,
                ip: block.ip,
                depth: block.depth,
            };
            let sample = self.wish.sample;
            places.entry(place).or_default().add(size, size, sample);
            sums.outstanding.add(size, size, sample);
            let block = Span::new(Addr(key.address), block.size);
            let first = spans.partition_point(|span| span.end <= block.start);
            for (span, sum) in spans.iter().zip(&mut sums.spans).skip(first) {
                let Some(common) = span.intersect(block) else {
                    break;
                };
                sum.add(size, common.len(), sample);
            }
        }
        self.add_places(&mut sums, target.id, places);
        Ok(sums)
    }

    /// Nothing of a process counts any more. What is attached to it stays: taking it away takes
    /// the kernel long, and a process that is gone pays nothing for it.
    pub fn forget(&mut self, pid: Pid) {
        if let Ok(Plain(target)) = self.targets.get(&pid.0, 0) {
            let _ = self.targets.remove(&pid.0);
            let _ = self.take_blocks(target.id);
            self.take_places(target.id);
        }
    }

    /// What belongs to images of processes that are gone, such as before an exec, makes room.
    pub fn sweep(&mut self) {
        let living: Vec<u64> = self.targets.iter().flatten().map(|(_, t)| t.0.id).collect();
        let dead: Vec<_> = self.blocks.keys().flatten().collect();
        for key in dead.iter().filter(|key| !living.contains(&key.0.id)) {
            let _ = self.blocks.remove(key);
        }
        let dead: Vec<_> = self.places.keys().flatten().collect();
        for key in dead.iter().filter(|key| !living.contains(&key.0.id)) {
            let _ = self.places.remove(key);
        }
    }

    fn take_blocks(&mut self, id: u64) -> HashMap<HeapKey, HeapBlock> {
        // Others may come and go meanwhile, so that one is seen twice.
        let blocks = self.blocks.iter().flatten();
        let blocks = blocks.filter(|(key, _)| key.0.id == id);
        let blocks: HashMap<HeapKey, HeapBlock> =
            blocks.map(|(key, block)| (key.0, block.0)).collect();
        for key in blocks.keys() {
            let _ = self.blocks.remove(&Plain(*key));
        }
        blocks
    }

    fn take_places(&mut self, id: u64) -> Vec<(HeapPlace, HeapSums)> {
        let places = self.places.iter().flatten();
        let places = places.filter(|(place, _)| place.0.id == id);
        let places: HashMap<HeapPlace, HeapSums> =
            places.map(|(place, sums)| (place.0, sums.0)).collect();
        for place in places.keys() {
            let _ = self.places.remove(&Plain(*place));
        }
        places.into_iter().collect()
    }

    fn add_places(&mut self, sums: &mut Sums, id: u64, mut held: HashMap<HeapPlace, Tracked>) {
        let mut all: Vec<Place> = self
            .take_places(id)
            .into_iter()
            .map(|(place, sums)| Place {
                ip: Addr(place.ip),
                sp: Addr(sums.sp),
                fp: Addr(sums.fp),
                stack: stack(&sums),
                allocated: sums.allocated,
                allocated_bytes: Bytes(sums.allocated_bytes),
                freed: sums.freed,
                freed_bytes: Bytes(sums.freed_bytes),
                outstanding: held.remove(&place).unwrap_or_default(),
            })
            .collect();
        // What is left has no place.
        all.extend(held.into_values().map(|outstanding| Place {
            outstanding,
            ..Place::default()
        }));
        let sample = self.wish.sample;
        all.sort_by_key(|place| {
            let bytes = place.outstanding.estimate(sample).bytes;
            let order = (bytes, place.allocated_bytes);
            (std::cmp::Reverse(order), place.ip, place.sp)
        });
        for place in all.iter().skip(MOST_PLACES) {
            sums.rest.merge(place.outstanding);
        }
        sums.left_out = all.len().saturating_sub(MOST_PLACES) as u64;
        all.truncate(MOST_PLACES);
        sums.places = all;
    }
}

fn attach(
    ebpf: &mut Ebpf,
    name: &str,
    pid: Pid,
    path: &Path,
    offset: u64,
) -> Result<UProbeLink, ProbeError> {
    let failed = |error: &aya::programs::ProgramError| {
        refused(&format!("attaching `{name}` to a function"), error)
    };
    let scope = NonZeroU32::new(pid.0).map_or(UProbeScope::CallingProcess, UProbeScope::OneProcess);
    let program = uprobe(ebpf, name)?;
    let id: UProbeLinkId = program
        .attach(offset, path, scope)
        .map_err(|error| failed(&error))?;
    program.take_link(id).map_err(|error| failed(&error))
}

fn uprobe<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut UProbe, ProbeError> {
    ebpf.program_mut(name)
        .ok_or_else(|| incomplete(name))?
        .try_into()
        .map_err(|error| verifier(name, &error))
}

fn take<T>(
    ebpf: &mut Ebpf,
    name: &str,
    convert: impl FnOnce(Map) -> Result<T, MapError>,
) -> Result<T, ProbeError> {
    let map = ebpf.take_map(name).ok_or_else(|| incomplete(name))?;
    convert(map).map_err(|error| refused(&format!("opening the map {name}"), &error))
}

const fn totals(target: &HeapTarget) -> Totals {
    Totals {
        allocated: target.allocated,
        allocated_bytes: Bytes(target.allocated_bytes),
        failed: target.failed,
        freed: target.freed,
        freed_bytes: Bytes(target.freed_bytes),
        unmatched: target.unmatched,
        untracked: target.untracked,
        untracked_bytes: Bytes(target.untracked_bytes),
        lost: target.lost,
        lost_bytes: Bytes(target.lost_bytes),
        reused: target.reused,
        abandoned: target.abandoned,
        unplaced: target.unplaced,
    }
}

/// The words of a stack, without the zeros where it could not be read.
fn stack(sums: &HeapSums) -> Vec<u64> {
    let len = sums.stack.iter().rposition(|word| *word != 0);
    sums.stack[..len.map_or(0, |last| last + 1)].to_vec()
}
