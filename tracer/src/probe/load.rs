//! Loading and attaching: an object and this kernel in, live probes out.

use std::{error::Error, fmt, io};

use aya::{
    Ebpf, EbpfLoader, include_bytes_aligned,
    maps::{HashMap, MapData, PerCpuArray, RingBuf},
    programs::{ProgramError, RawTracePoint},
};
use tracer_ebpf::{Layout, Target};
use zerocopy::IntoBytes;

use super::{
    layout,
    loss::{Counters, Losses},
    plan::plans,
    ring::Ring,
    words::Words,
};
use crate::{
    event::Syscall,
    host::{
        btf::Btf,
        clock,
        kernel::{Release, page_size},
    },
    units::{Bytes, Pid},
};

static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/tracer-ebpf"));
const KERNEL_TYPES: &str = "/sys/kernel/btf/vmlinux";

/// The programs, the tracepoints they go to, and whether they need the kernel's BTF. The
/// exit of calls comes before their entry: one seen entering must be seen leaving.
const PROGRAMS: &[(&str, &str, bool)] = &[
    ("sys_exit", "sys_exit", false),
    ("sys_enter", "sys_enter", false),
    ("fork", "sched_process_fork", true),
    ("exec", "sched_process_exec", false),
    ("thread_end", "sched_process_exit", false),
];

/// How to load.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Size of the ring; a power of two, at least a page.
    pub ring: Bytes,
    /// Whether children of targets become targets.
    pub follow: bool,
}

/// What this kernel gave and what it did not.
#[derive(Clone, Debug, Default)]
pub struct Availability {
    /// Why the kernel's own figures cannot be read with each event, if so.
    pub no_figures: Option<String>,
    /// What else is missing, in words, with what that costs.
    pub notes: Vec<String>,
}

/// Programs that run in the kernel; they are detached when this is dropped.
pub struct Probes {
    // The programs live as long as this does.
    ebpf: Ebpf,
    targets: HashMap<MapData, u32, TargetValue>,
    counters: Counters,
    words: Option<Words>,
    follow: bool,
    availability: Availability,
}

/// [`Target`] as aya's maps want it.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct TargetValue(Target);

#[expect(unsafe_code, reason = "aya's marker for plain data")]
// SAFETY: `Target` is `repr(C)` of integers only, without padding (zerocopy's `IntoBytes`
// is derived for it, which refuses padding).
unsafe impl aya::Pod for TargetValue {}

/// Why there are no probes.
#[derive(Debug)]
pub enum ProbeError {
    /// This binary was built without them.
    NotBuilt,
    /// The kernel is older than any that has what the probes need.
    KernelTooOld(Release),
    /// The kernel refused for lack of permission.
    NotPermitted(String),
    /// The kernel lacks something, or refused for another reason.
    Unsupported(String),
}

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotBuilt => f.write_str(
                "this tracer was built without probes: build it with `cargo xtask build`, and \
                 without AYA_BUILD_SKIP",
            ),
            Self::KernelTooOld(release) => write!(
                f,
                "Linux {release} is too old: the probes need the BPF ring buffer; the oldest \
                 supported kernel is {}",
                Release::OLDEST
            ),
            Self::NotPermitted(what) => write!(
                f,
                "the kernel does not permit {what}: run tracer as root (`sudo tracer …`) or give \
                 it cap_bpf, cap_perfmon and cap_sys_ptrace"
            ),
            Self::Unsupported(what) => f.write_str(what),
        }
    }
}

impl Error for ProbeError {}

impl Probes {
    /// Loads the programs and attaches them. Nothing is traced until [`Probes::add_target`].
    ///
    /// # Errors
    /// This build has no probes, or the kernel lacks or refuses something they cannot do
    /// without.
    pub fn load(options: Options) -> Result<(Self, Ring), ProbeError> {
        if OBJECT.is_empty() {
            return Err(ProbeError::NotBuilt);
        }
        let release = Release::running().map_err(|error| unsupported(&error))?;
        if release < Release::OLDEST {
            return Err(ProbeError::KernelTooOld(release));
        }
        let mut availability = Availability::default();
        let layout = match kernel_layout() {
            Ok(layout) => layout,
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
        let ring_size = u32::try_from(options.ring.0)
            .map_err(|_| ProbeError::Unsupported("the ring must be smaller than 4 GiB".into()))?;
        let mut ebpf = EbpfLoader::new()
            .override_global("LAYOUT", layout.as_bytes(), true)
            .override_global("PLANS", plans().as_bytes(), true)
            .map_max_entries("EVENTS", ring_size)
            .load(OBJECT)
            .map_err(|error| refused("loading the probes' maps", &error))?;
        let targets = take(&mut ebpf, "TARGETS", HashMap::try_from)?;
        let counters = Counters::new(take(&mut ebpf, "LOST", PerCpuArray::try_from)?);
        let ring = Ring::new(take(&mut ebpf, "EVENTS", RingBuf::try_from)?, page_size());
        let mut probes = Self {
            ebpf,
            targets,
            counters,
            words: None,
            follow: options.follow && layout.known != 0,
            availability,
        };
        probes.attach(layout.known != 0)?;
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
        let target = TargetValue(Target {
            entered: 0,
            exited: 0,
            follow: u64::from(self.follow),
            since: clock::now().0,
        });
        self.targets
            .insert(pid.0, target, 0)
            .map_err(|error| refused(&format!("adding process {pid} to the targets"), &error))
    }

    /// No further call of this process leaves the kernel.
    pub fn remove_target(&mut self, pid: Pid) {
        // It may have removed itself by ending.
        let _ = self.targets.remove(&pid.0);
    }

    /// What was attached, in words.
    #[must_use]
    pub fn describe(&self) -> Vec<String> {
        let figures = match &self.availability.no_figures {
            None => "the kernel's own figures come with each event",
            Some(_) => "the kernel's own figures do not come with events",
        };
        let traced = Syscall::ALL.iter().filter(|call| call.number().is_some());
        vec![
            format!("{} system calls traced", traced.count()),
            figures.to_owned(),
        ]
    }

    /// What the kernel side could not deliver so far.
    ///
    /// # Errors
    /// The counters cannot be read.
    pub fn losses(&self) -> Result<Losses, ProbeError> {
        let losses = self.counters.read();
        losses.map_err(|error| refused("reading the counters of lost records", &error))
    }

    /// What the kernel side said since the last call.
    pub fn words(&mut self) -> Vec<String> {
        self.words.as_mut().map(Words::take).unwrap_or_default()
    }

    fn attach(&mut self, has_btf: bool) -> Result<(), ProbeError> {
        for &(name, tracepoint, needs_btf) in PROGRAMS {
            if needs_btf && !has_btf {
                continue;
            }
            let program = self
                .ebpf
                .program_mut(name)
                .ok_or_else(|| incomplete(name))?;
            let program: &mut RawTracePoint = program
                .try_into()
                .map_err(|error: ProgramError| verifier(name, &error))?;
            program.load().map_err(|error| verifier(name, &error))?;
            program
                .attach(tracepoint)
                .map_err(|error| refused(&format!("attaching to {tracepoint}"), &error))?;
        }
        Ok(())
    }
}

fn kernel_layout() -> anyhow::Result<Layout> {
    use anyhow::Context as _;
    let bytes = std::fs::read(KERNEL_TYPES)
        .with_context(|| format!("this kernel has no BTF ({KERNEL_TYPES})"))?;
    layout::resolve(&Btf::parse(&bytes)?)
}

fn raise_memlock() -> nix::Result<()> {
    use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};
    setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY)
}

fn take<T>(
    ebpf: &mut Ebpf,
    name: &str,
    convert: impl FnOnce(aya::maps::Map) -> Result<T, aya::maps::MapError>,
) -> Result<T, ProbeError> {
    let map = ebpf.take_map(name).ok_or_else(|| incomplete(name))?;
    convert(map).map_err(|error| refused(&format!("opening the map {name}"), &error))
}

fn incomplete(name: &str) -> ProbeError {
    ProbeError::Unsupported(format!(
        "the kernel side that was built in lacks `{name}`: build tracer anew"
    ))
}

fn unsupported(error: &anyhow::Error) -> ProbeError {
    ProbeError::Unsupported(format!("{error:#}"))
}

fn verifier(program: &str, error: &ProgramError) -> ProbeError {
    refused(&format!("loading the program `{program}`"), error)
}

/// Tells lack of permission from everything else by the error at the root.
fn refused(what: &str, error: &(dyn Error + 'static)) -> ProbeError {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<io::Error>()
            && io.kind() == io::ErrorKind::PermissionDenied
        {
            return ProbeError::NotPermitted(what.to_owned());
        }
        cause = error.source();
    }
    ProbeError::Unsupported(format!("{what} failed: {}", root_cause(error)))
}

/// The error and its causes on one line. The verifier's log has thousands; its last words
/// say what it did not like.
fn root_cause(error: &(dyn Error + 'static)) -> String {
    if let Some(ProgramError::LoadError {
        io_error,
        verifier_log,
    }) = error.downcast_ref()
    {
        let log = verifier_log.to_string();
        let words = log
            .lines()
            .rev()
            .find(|line| is_verdict(line))
            .unwrap_or_default();
        return format!("{io_error}; the verifier says: {}", words.trim());
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Whether a line of the verifier's log is its reason rather than its statistics.
fn is_verdict(line: &str) -> bool {
    const STATISTICS: [&str; 3] = ["processed ", "verification time", "stack depth"];
    !line.trim().is_empty() && !STATISTICS.iter().any(|prefix| line.starts_with(prefix))
}
