//! Counting: this kernel in, the counts of every process of the host out.
//!
//! Apart from tracing: an object of its own with its own programs, none of which writes to the
//! ring or does anything at the entry of a call.

use aya::{
    Btf, Ebpf, EbpfLoader,
    maps::{HashMap, MapData, MapError, PerCpuArray},
    programs::{FExit, ProgramError},
};
use tracer_ebpf::{
    CALL_SLOTS, Layout,
    audit::{self as wire, count, origin},
};
use zerocopy::IntoBytes as _;

use super::{
    attach::{self, CaptureWish, FUNCTION_PREFIX, program, raw_tracepoint},
    error::{ProbeError, refused, verifier},
    heap, load,
    meter::Meter,
    object,
};
use crate::{
    audit::counts::{Counts, Sizes, Tally, Turnover},
    cost::ProbeCost,
    event::Syscall,
    host::kernel,
    units::{Bytes, Nanos, Pid},
};

mod inventory;

pub use inventory::{Measuring, Program, host_measures};

/// What the other programs' maps are made with: nothing uses them.
const UNUSED: u32 = 1;
/// The same for tables that evict, which keep some entries for each processor.
const UNUSED_LRU: u32 = 64;
/// The smallest ring that any page size allows, likewise.
const UNUSED_RING: u32 = 1 << 16;

/// Maps of what is traced call by call, which nothing is here.
const OF_TARGETS: [&str; 7] = [
    "TARGETS",
    "TARGETS_PLACED",
    "OWNERS",
    "IN_FLIGHT",
    "THREADS_PLACED",
    "THREADS",
    "CLAIMED",
];

/// Programs that count; they are detached when this is dropped.
pub struct Census {
    ebpf: Ebpf,
    meter: Option<Meter>,
    tallies: HashMap<MapData, u32, Value<wire::Tally>>,
    turnover: PerCpuArray<MapData, Value<wire::Turnover>>,
    room: u32,
    /// Processes that were evicted so far.
    evicted: u64,
    /// Processes that were taken out from here.
    forgotten: u64,
    /// Whether processes that end leave the table by themselves.
    sees_ends: bool,
    by_trampolines: bool,
    /// Why not, if that was tried.
    refusal: Option<String>,
}

/// A value of the wire as aya's maps want it.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Value<T: Copy>(T);

#[expect(unsafe_code, reason = "aya's marker for plain data")]
// SAFETY: `repr(C)`, of integers only, without padding (zerocopy's `IntoBytes` is derived for it,
// which refuses padding).
unsafe impl aya::Pod for Value<wire::Tally> {}

#[expect(unsafe_code, reason = "aya's marker for plain data")]
// SAFETY: as above.
unsafe impl aya::Pod for Value<wire::Turnover> {}

impl Census {
    /// Loads the programs and attaches them, with room for so many processes.
    ///
    /// # Errors
    /// This build has no probes, or the kernel lacks or refuses something they cannot do without.
    pub fn open(room: u32, wish: CaptureWish) -> Result<Self, ProbeError> {
        let (layout, _) = load::prepare()?;
        match Self::open_with(room, wish, layout) {
            Err(ProbeError::Unsupported(_)) if layout.direct != 0 => {
                Self::open_with(room, wish, layout.without_direct_loads())
            }
            opened => opened,
        }
    }

    fn open_with(room: u32, wish: CaptureWish, layout: Layout) -> Result<Self, ProbeError> {
        let mut loader = EbpfLoader::new();
        for map in heap::MAPS.iter().chain(&OF_TARGETS) {
            loader.map_max_entries(map, UNUSED);
        }
        let mut ebpf = loader
            // Nothing here is to be relocated by the kernel's types, which take tens of MiB.
            .btf(None)
            .override_global("LAYOUT", layout.as_bytes(), true)
            .override_global("COUNTED", counted().as_bytes(), true)
            .override_global("PAGE_SIZE", &kernel::page_size().0, true)
            .map_max_entries("TALLIES", room)
            .map_max_entries("SPOTS", UNUSED_LRU)
            .map_max_entries("STACKS_SENT", UNUSED_LRU)
            .map_max_entries("EVENTS", UNUSED_RING)
            .load(object::for_kernel(&layout))
            .map_err(|error| refused("loading the maps of counts", &error))?;
        let tallies = load::take(&mut ebpf, "TALLIES", HashMap::try_from)?;
        let turnover = load::take(&mut ebpf, "TURNOVER", PerCpuArray::try_from)?;
        let mut census = Self {
            ebpf,
            meter: None,
            tallies,
            turnover,
            room,
            evicted: 0,
            forgotten: 0,
            sees_ends: layout.known != 0,
            by_trampolines: false,
            refusal: None,
        };
        census.attach(layout, wish)?;
        census.meter = Some(Meter::begin(&census.ebpf));
        Ok(census)
    }

    fn attach(&mut self, layout: Layout, wish: CaptureWish) -> Result<(), ProbeError> {
        let ebpf = &mut self.ebpf;
        raw_tracepoint(ebpf, "count_exec", "sched_process_exec")?;
        if layout.known != 0 {
            raw_tracepoint(ebpf, "count_end", "sched_process_exit")?;
        }
        if wish != CaptureWish::Tracepoints {
            match trampolines(ebpf) {
                Ok(()) => {
                    self.by_trampolines = true;
                    return Ok(());
                }
                Err(error) => {
                    attach::release_trampolines(ebpf);
                    let refusal = attach::refusal(error);
                    if wish == CaptureWish::Trampolines {
                        return Err(attach::no_trampolines(&refusal));
                    }
                    self.refusal = Some(refusal);
                }
            }
        }
        raw_tracepoint(ebpf, "count_exit", "sys_exit")
    }

    /// How calls are captured, for others that are to do the same.
    #[must_use]
    pub const fn capture(&self) -> CaptureWish {
        match self.by_trampolines {
            true => CaptureWish::Trampolines,
            false => CaptureWish::Tracepoints,
        }
    }

    /// What was attached, in words.
    #[must_use]
    pub fn describe(&self) -> String {
        match (&self.refusal, self.by_trampolines) {
            (_, true) => "calls are counted by trampolines".to_owned(),
            (None, false) => "calls are counted at a raw tracepoint".to_owned(),
            (Some(refusal), false) => format!(
                "calls are counted at a raw tracepoint, because this kernel refuses trampolines: \
                 {refusal}"
            ),
        }
    }

    /// The counts of all processes in the table, and what came and went.
    ///
    /// # Errors
    /// The table cannot be read.
    pub fn read(&mut self) -> Result<(Vec<(Pid, Tally)>, Turnover), ProbeError> {
        let failed = |error: MapError| refused("reading the counts", &error);
        // Entries before the table is walked, exits after: who comes or goes meanwhile is no
        // reason to say that one was evicted.
        let entered = self.turnover.get(&0, 0).map_err(failed)?;
        let entered: u64 = entered.iter().map(|Value(sum)| sum.entered).sum();
        let mut tallies = Vec::new();
        // A key that is taken out while the table is walked sends the walk back to its start.
        let most = 2 * self.room as usize;
        for key in self.tallies.keys().take(most).flatten() {
            if let Ok(Value(tally)) = self.tallies.get(&key, 0) {
                tallies.push((Pid(key), typed(&tally)));
            }
        }
        tallies.sort_by_key(|(pid, _)| *pid);
        tallies.dedup_by_key(|(pid, _)| *pid);
        let mut turnover = Turnover {
            room: u64::from(self.room),
            present: tallies.len() as u64,
            ..Turnover::default()
        };
        let mut left = self.forgotten;
        for Value(sum) in self.turnover.get(&0, 0).map_err(failed)?.iter() {
            left += sum.left;
            turnover.refused += sum.refused;
            turnover.ended += sum.ended;
            turnover.executed += sum.executed;
            turnover.gone += typed_counts(&sum.counts);
        }
        let evicted = entered.saturating_sub(left + turnover.present);
        self.evicted = self.evicted.max(evicted);
        turnover.evicted = self.evicted;
        Ok((tallies, turnover))
    }

    /// Ends what was begun for a moment only. To be called now and then.
    pub fn turn(&mut self) {
        if let Some(meter) = &mut self.meter {
            meter.turn();
        }
    }

    /// What the programs cost whoever makes calls, if the kernel tells.
    pub fn cost(&mut self) -> Option<ProbeCost> {
        self.meter.as_mut()?.cost()
    }

    /// Takes processes that are gone out of the table, where they do not leave it by themselves.
    pub fn forget(&mut self, pid: Pid) {
        if !self.sees_ends && self.tallies.remove(&pid.0).is_ok() {
            self.forgotten += 1;
        }
    }
}

/// Attaches to the function of each call that is counted, if this kernel has it.
fn trampolines(ebpf: &mut Ebpf) -> Result<(), ProbeError> {
    let types = Btf::from_sys_fs().map_err(|error| refused("reading the kernel's BTF", &error))?;
    for &call in Syscall::ALL.iter().filter(|call| kind_of(**call) != 0) {
        let name = format!("count_{call}");
        let function = format!("{FUNCTION_PREFIX}{call}");
        let exit: &mut FExit = program(ebpf, &name)?;
        match exit.load(&function, &types) {
            Ok(()) => {}
            Err(ProgramError::Btf(_)) if call != Syscall::Mmap => continue,
            Err(error) => return Err(verifier(&name, &error)),
        }
        exit.attach()
            .map_err(|error| refused(&format!("attaching to {function}"), &error))?;
    }
    Ok(())
}

/// What is counted of each call, by its number.
fn counted() -> [u8; CALL_SLOTS] {
    let mut counted = [0; CALL_SLOTS];
    for &call in Syscall::ALL {
        let slot = call
            .number()
            .and_then(|number| usize::try_from(number).ok());
        if let Some(slot) = slot.and_then(|slot| counted.get_mut(slot)) {
            *slot = kind_of(call);
        }
    }
    counted
}

const fn kind_of(call: Syscall) -> u8 {
    match call {
        Syscall::Mmap => count::MMAP,
        Syscall::Munmap => count::MUNMAP,
        Syscall::Brk => count::BRK,
        Syscall::Mremap => count::MREMAP,
        Syscall::Mprotect | Syscall::PkeyMprotect => count::MPROTECT,
        Syscall::Madvise => count::MADVISE,
        Syscall::ProcessMadvise => count::PROCESS_MADVISE,
        Syscall::Shmat | Syscall::Shmdt => count::SHM,
        _ => 0,
    }
}

fn typed(tally: &wire::Tally) -> Tally {
    Tally {
        since: Nanos(tally.since),
        by_exec: tally.origin == origin::EXEC,
        counts: typed_counts(&tally.counts),
    }
}

fn typed_counts(counts: &wire::Counts) -> Counts {
    Counts {
        calls: counts.calls,
        failed: counts.failed,
        sizes: Sizes {
            mapped: Bytes(counts.mapped),
            unmapped: Bytes(counts.unmapped),
            purged: Bytes(counts.purged),
            lazily_freed: Bytes(counts.lazily_freed),
        },
        purges: counts.purges,
        lazy_frees: counts.lazy_frees,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::counts::CallKind;

    #[test]
    fn each_kind_has_its_slot() {
        for &call in Syscall::ALL {
            let Some(slot) = usize::from(kind_of(call)).checked_sub(1) else {
                continue;
            };
            let kind = CallKind::ALL[slot];
            let shared = ["shmat", "shmdt", "pkey_mprotect"].contains(&call.name());
            assert!(shared || kind.name() == call.name(), "{call}");
        }
        assert_eq!(CallKind::ALL.len(), wire::CALL_KINDS);
    }
}
