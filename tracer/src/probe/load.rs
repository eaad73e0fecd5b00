//! Loading and attaching: an object and this kernel in, live probes out.

use std::{path::Path, sync::OnceLock};

use aya::{
    Ebpf, EbpfLoader,
    maps::{HashMap, MapData, MapError, PerCpuArray, RingBuf},
};
use serde::{Deserialize, Serialize};
use tracer_ebpf::{InFlight, Layout, Spot, SpotKey, Target};
use zerocopy::IntoBytes;

use super::{
    attach::{self, Capture},
    attempts::{self, Blame, Part},
    error::{ProbeError, incomplete, refused, unsupported},
    heap::{self, Heap},
    layout,
    loss::{Counters, Losses, MissedStacks},
    meter::Meter,
    object,
    options::{Options, StackWish},
    plan::plans,
    ring::Ring,
    skips::Skips,
    targets::Targets,
    words::Words,
};
use crate::{
    cost::ProbeCost,
    diagnosis::Answer,
    heap::{Sums, Wish},
    host::{btf::Btf, clock, exports::Functions, kernel::Release, survey},
    units::{Bytes, Pid, Span},
};

const KERNEL_TYPES: &str = "/sys/kernel/btf/vmlinux";

/// What this kernel gave and what it did not.
#[derive(Clone, Debug, Default)]
pub struct Availability {
    /// Why the kernel's own figures cannot be read with each event, if so.
    pub no_figures: Option<String>,
    /// What else is missing, in words, with what that costs.
    pub notes: Vec<String>,
}

/// Calls of a process that can change its map, counted since it was observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calls {
    /// Those entered.
    pub entered: u64,
    /// Those left, with their records in the ring.
    pub left: u64,
}

impl Calls {
    /// Whether none is under way.
    #[must_use]
    pub const fn are_over(self) -> bool {
        self.entered == self.left
    }
}

/// Programs that run in the kernel; they are detached when this is dropped.
pub struct Probes {
    // The programs live as long as this does.
    ebpf: Ebpf,
    targets: Targets,
    counters: Counters,
    skips: Skips,
    meter: Option<Meter>,
    words: Option<Words>,
    spots: HashMap<MapData, SpotKeyValue, SpotValue>,
    missed: MissedStacks,
    follow: bool,
    direct: bool,
    capture: Capture,
    availability: Availability,
    heap: Option<Heap>,
}

/// [`SpotKey`] and [`Spot`] as aya's maps want them.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct SpotKeyValue(SpotKey);
#[derive(Clone, Copy)]
#[repr(transparent)]
struct SpotValue(Spot);

#[expect(unsafe_code, reason = "aya's marker for plain data")]
// SAFETY: `SpotKey` is `repr(C)` of integers only, without padding (zerocopy's `IntoBytes` is
// derived for it, which refuses padding).
unsafe impl aya::Pod for SpotKeyValue {}
#[expect(unsafe_code, reason = "aya's marker for plain data")]
// SAFETY: as is `Spot`.
unsafe impl aya::Pod for SpotValue {}

impl Probes {
    /// Loads the programs and attaches them. Nothing is traced until [`Probes::add_target`].
    ///
    /// # Errors
    /// This build has no probes, or the kernel lacks or refuses something they cannot do
    /// without.
    pub fn load(options: Options) -> Result<(Self, Ring), ProbeError> {
        let (layout, availability) = prepare()?;
        let wanted = parts(&options, &layout);
        let ((mut probes, ring), blamed) = attempts::load(&wanted, |left_out| {
            let (options, layout) = without(left_out, options, layout);
            Self::load_with(options, layout, availability.clone())
        })?;
        let notes = blamed.iter().filter_map(Blame::note);
        probes.availability.notes.extend(notes);
        Ok((probes, ring))
    }

    fn load_with(
        options: Options,
        layout: Layout,
        availability: Availability,
    ) -> Result<(Self, Ring), ProbeError> {
        let ring_size = u32::try_from(options.ring.0)
            .map_err(|_| ProbeError::Unsupported("the ring must be smaller than 4 GiB".into()))?;
        let mut ebpf = open(layout, ring_size, options.stacks, options.heap.as_ref())?;
        // Before the maps are taken out of it.
        let multi = options
            .heap
            .map(|_| heap::multi(&ebpf, object::for_kernel(&layout)));
        let spots = take(&mut ebpf, "SPOTS", HashMap::try_from)?;
        let missed = MissedStacks::new(take(&mut ebpf, "STACKS_MISSED", PerCpuArray::try_from)?);
        let targets = Targets::take(&mut ebpf, &layout)?;
        let counters = Counters::new(take(&mut ebpf, "LOST", PerCpuArray::try_from)?);
        let ring = Ring::new(take(&mut ebpf, "EVENTS", RingBuf::try_from)?);
        let mut probes = Self {
            ebpf,
            targets,
            counters,
            spots,
            missed,
            words: None,
            follow: options.follow && layout.known != 0,
            direct: layout.direct != 0,
            skips: Skips::default(),
            meter: None,
            capture: Capture::default(),
            availability,
            heap: None,
        };
        attach::tasks(&mut probes.ebpf, layout.known != 0)?;
        probes.capture = attach::calls(&mut probes.ebpf, options.capture)?;
        if let (Some(wish), Some(multi)) = (options.heap, multi) {
            probes.heap = Some(Heap::load(&mut probes.ebpf, wish, multi)?);
        }
        probes.skips = Skips::of(&probes.ebpf);
        probes.meter = Some(Meter::begin(&probes.ebpf));
        match Words::collect(&mut probes.ebpf) {
            Ok(words) => probes.words = Some(words),
            Err(error) => {
                let note = format!("the probes' own messages cannot be read: {error}");
                probes.availability.notes.push(note);
            }
        }
        Ok((probes, ring))
    }

    /// What this kernel gave.
    #[must_use]
    pub const fn availability(&self) -> &Availability {
        &self.availability
    }

    /// From now on the calls of this process leave the kernel.
    ///
    /// # Errors
    /// The table of processes is full.
    pub fn add_target(&mut self, pid: Pid) -> Result<(), ProbeError> {
        let target = Target {
            entered: 0,
            exited: 0,
            follow: u64::from(self.follow),
            since: clock::now().0,
            first: InFlight::NEW,
            image: 0,
        };
        self.targets
            .add(pid, target)
            .map_err(|error| refused(&format!("adding process {pid} to the targets"), &error))
    }

    /// The calls of a target that can change its map, as the kernel side counts them.
    ///
    /// # Errors
    /// It is no target, or the table cannot be read.
    pub fn calls(&self, pid: Pid) -> Result<Calls, ProbeError> {
        let target = self
            .targets
            .get(pid)
            .map_err(|error| refused(&format!("reading the calls of process {pid}"), &error))?;
        Ok(Calls {
            entered: target.entered,
            left: target.exited,
        })
    }

    /// No further call of this process leaves the kernel.
    pub fn remove_target(&mut self, pid: Pid) {
        self.targets.remove(pid);
    }

    /// What was attached, in words.
    #[must_use]
    pub fn describe(&self) -> Vec<String> {
        let figures = match &self.availability.no_figures {
            None if self.direct => "the kernel's own figures come with each event, loaded directly",
            None => "the kernel's own figures come with each event, copied by a helper",
            Some(_) => "the kernel's own figures do not come with events",
        };
        let heap = self.heap.as_ref().map(Heap::describe);
        let capture = [self.capture.to_string(), figures.to_owned()];
        capture.into_iter().chain(heap).collect()
    }

    /// What the kernel side could not deliver so far.
    ///
    /// # Errors
    /// The counters cannot be read.
    pub fn losses(&mut self) -> Result<Losses, ProbeError> {
        let losses = self.counters.read();
        let losses =
            losses.map_err(|error| refused("reading the counters of lost records", &error))?;
        Ok(Losses {
            skipped: self.skips.sum(),
            stacks: self.missed.read(),
            ..losses
        })
    }

    /// Where return addresses are on stacks of a place, so that the kernel side knows such
    /// stacks when it sees them again.
    pub fn tell_spot(&mut self, key: SpotKey, spot: Spot) {
        // Without it stacks of this place are sent again and again, at a bounded rate.
        let _ = self.spots.insert(SpotKeyValue(key), SpotValue(spot), 0);
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

    /// Whether maps can be used with the rights that this process has now.
    #[must_use]
    pub fn maps_work(&mut self) -> bool {
        self.targets.can_be_changed() && self.counters.read().is_ok()
    }

    /// From now on what a process asks of its allocator counts, as far as its functions are
    /// probed.
    ///
    /// # Errors
    /// There is no heap view, or its table of processes is full.
    pub fn add_heap(&mut self, pid: Pid) -> Result<(), ProbeError> {
        self.heap.as_mut().ok_or_else(no_heap)?.add_target(pid)
    }

    /// Probes functions of a file in one process; `path` names the file to this process.
    ///
    /// # Errors
    /// There is no heap view, or the kernel refuses.
    pub fn attach_heap(
        &mut self,
        pid: Pid,
        path: &Path,
        functions: &Functions,
    ) -> Result<(), ProbeError> {
        let heap = self.heap.as_mut().ok_or_else(no_heap)?;
        heap.attach(&mut self.ebpf, pid, path, functions)
    }

    /// Whether it costs little to probe functions that may never be called.
    #[must_use]
    pub fn attaches_ahead(&self) -> bool {
        self.heap.as_ref().is_some_and(Heap::attaches_ahead)
    }

    /// Whether there is a heap view: it was asked for, and the kernel did not refuse it.
    #[must_use]
    pub const fn has_heap(&self) -> bool {
        self.heap.is_some()
    }

    /// Ends the heap view of a process: its sums, and what is handed out in each of `spans`
    /// (in order of address, apart).
    ///
    /// # Errors
    /// It is in no heap view, or its sums cannot be read.
    pub fn conclude_heap(&mut self, pid: Pid, spans: &[Span]) -> Result<Sums, ProbeError> {
        self.heap.as_mut().ok_or_else(no_heap)?.conclude(pid, spans)
    }

    /// Makes room in the tables of the heap view: of a process, and of images that are gone.
    pub fn forget_heap(&mut self, pid: Option<Pid>) {
        if let Some(heap) = &mut self.heap {
            match pid {
                Some(pid) => heap.forget(pid),
                None => heap.sweep(),
            }
        }
    }

    /// What the kernel side said since the last call.
    pub fn words(&mut self) -> Vec<String> {
        self.words.as_mut().map(Words::take).unwrap_or_default()
    }
}

/// What of the options and the layout can be left out.
fn parts(options: &Options, layout: &Layout) -> Vec<Part> {
    let wanted = [
        (Part::DirectLoads, layout.direct != 0),
        (Part::Heap, options.heap.is_some()),
        (Part::Stacks, options.stacks.most > Bytes(0)),
    ];
    let wanted = wanted.into_iter().filter(|(_, wanted)| *wanted);
    wanted.map(|(part, _)| part).collect()
}

/// The options and the layout without some of their parts.
fn without(left_out: &[Part], mut options: Options, mut layout: Layout) -> (Options, Layout) {
    for part in left_out {
        match part {
            Part::DirectLoads => layout = layout.without_direct_loads(),
            Part::Heap => options.heap = None,
            Part::Stacks => options.stacks = StackWish::NONE,
        }
    }
    (options, layout)
}

/// Whether this build has a kernel side.
pub(super) const fn is_built() -> bool {
    !object::built().is_empty()
}

/// Makes sure that this kernel has what cannot be done without; where it keeps what is read, and
/// what it lacks.
pub(super) fn prepare() -> Result<(Layout, Availability), ProbeError> {
    if !is_built() {
        return Err(ProbeError::NotBuilt);
    }
    let release = Release::running().map_err(|error| unsupported(&error))?;
    if release < Release::OLDEST {
        return Err(ProbeError::KernelTooOld(release));
    }
    if survey::pid_namespace().answer == Answer::No {
        return Err(ProbeError::OtherPidNamespace);
    }
    let mut availability = Availability::default();
    let layout = match kernel_layout() {
        Ok(layout) => with_direct_loads(layout, release),
        Err(error) => {
            availability.no_figures = Some(format!("{error:#}"));
            Layout::default()
        }
    };
    if let Some(reason) = &availability.no_figures {
        availability.notes.push(format!(
            "{reason}: VmSize is not checked against the kernel at each call, and children \
             are not followed"
        ));
    }
    if release < Release::MEMLOCK_FREE
        && let Err(error) = raise_memlock()
    {
        availability.notes.push(format!(
            "RLIMIT_MEMLOCK could not be raised ({error}); this kernel charges maps to it"
        ));
    }
    Ok((layout, availability))
}

fn no_heap() -> ProbeError {
    ProbeError::Unsupported("there is no heap view".to_owned())
}

/// Makes the maps; those of the heap view with next to no room if it is not wanted.
pub(super) fn open(
    layout: Layout,
    ring_size: u32,
    stacks: StackWish,
    heap: Option<&Wish>,
) -> Result<Ebpf, ProbeError> {
    let stacks = stacks.limits();
    let (plans, settings) = (plans(stacks.most > 0), heap::settings(heap));
    let mut loader = EbpfLoader::new();
    match heap {
        Some(wish) => _ = loader.map_max_entries("HEAP_BLOCKS", wish.most),
        None => heap::MAPS
            .iter()
            .for_each(|map| _ = loader.map_max_entries(map, 1)),
    }
    loader
        // Nothing here is to be relocated by the kernel's types, which take tens of MiB.
        .btf(None)
        .override_global("LAYOUT", layout.as_bytes(), true)
        .override_global("PLANS", plans.as_bytes(), true)
        .override_global("STACK_LIMITS", stacks.as_bytes(), true)
        .override_global("LOOK_EVERY", &look_every(ring_size), true)
        .override_global("HEAP", settings.as_bytes(), true)
        .map_max_entries("EVENTS", ring_size)
        .load(object::for_kernel(&layout))
        .map_err(|error| refused("loading the probes' maps", &error))
}

/// How many bytes a processor may write before it looks how full the ring is: all of them
/// together, no more than an eighth of it.
fn look_every(ring_size: u32) -> u64 {
    const MOST: u64 = 64 << 10;
    let processors = aya::util::nr_cpus().unwrap_or(1).max(1) as u64;
    MOST.min(u64::from(ring_size) / 8 / processors)
}

/// It does not change while the kernel runs, and finding it out reads some MiB.
fn kernel_layout() -> anyhow::Result<Layout> {
    static FOUND: OnceLock<Layout> = OnceLock::new();
    if let Some(layout) = FOUND.get() {
        return Ok(*layout);
    }
    let layout = layout::resolve(&kernel_types()?)?;
    Ok(*FOUND.get_or_init(|| layout))
}

/// A layout whose structures are loaded from directly where a kernel of that release lets
/// programs do so.
pub(super) fn with_direct_loads(layout: Layout, release: Release) -> Layout {
    if layout.known == 0 || release < Release::DIRECT_LOADS {
        return layout.without_direct_loads();
    }
    Layout {
        direct: 1,
        ..layout
    }
}

/// Reads the kernel's types.
pub(super) fn kernel_types() -> anyhow::Result<Btf> {
    use anyhow::Context as _;
    let bytes = std::fs::read(KERNEL_TYPES)
        .with_context(|| format!("this kernel has no BTF ({KERNEL_TYPES})"))?;
    Btf::parse(bytes)
}

pub(super) fn raise_memlock() -> nix::Result<()> {
    use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};
    setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY)
}

pub(super) fn take<T>(
    ebpf: &mut Ebpf,
    name: &str,
    convert: impl FnOnce(aya::maps::Map) -> Result<T, MapError>,
) -> Result<T, ProbeError> {
    let map = ebpf.take_map(name).ok_or_else(|| incomplete(name))?;
    convert(map).map_err(|error| refused(&format!("opening the map {name}"), &error))
}
