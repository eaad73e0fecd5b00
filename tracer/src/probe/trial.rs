//! The facts of a diagnosis that only trying tells: this kernel in, what it loads and attaches
//! out. Everything is detached and unloaded before this returns.

use aya::{Ebpf, maps::MapType, programs::Program, sys::is_map_supported};
use tracer_ebpf::Layout;

use super::{
    attach,
    attempts::{self, Part},
    error::{ProbeError, refused},
    heap, layout, load, object,
    options::StackWish,
};
use crate::{
    diagnosis::{Fact, LoadedProgram, Topic, VERIFIER_LIMIT},
    host::{kernel::Release, survey},
};

/// The size of the ring for the trial, bytes: small, and a multiple of any page.
const RING: u32 = 1 << 16;

/// What was found out.
#[derive(Debug, Default)]
pub struct Trial {
    /// The facts.
    pub facts: Vec<Fact>,
    /// What was loaded.
    pub programs: Vec<LoadedProgram>,
}

/// The raw tracepoints and what they are asked about.
const TRACEPOINTS: [(&str, Topic); 5] = [
    ("sys_exit", Topic::SysExit),
    ("sys_enter", Topic::SysEnter),
    ("sched_process_fork", Topic::ProcessFork),
    ("sched_process_exec", Topic::ProcessExec),
    ("sched_process_exit", Topic::ProcessExit),
];

/// Tries it all.
#[must_use]
pub fn try_out() -> Trial {
    let mut trial = Trial::default();
    let layout = trial.types();
    trial.maps();
    trial.facts.push(Fact::whether(
        Topic::ProbesBuiltIn,
        load::is_built(),
        if load::is_built() {
            ""
        } else {
            "AYA_BUILD_SKIP was set"
        },
    ));
    let why = if !load::is_built() {
        "this build has no probes"
    } else if trial.permits_maps() {
        ""
    } else {
        "bpf() is needed"
    };
    if why.is_empty() {
        trial.programs(layout);
    } else {
        trial.without_programs(why);
    }
    trial
}

impl Trial {
    fn types(&mut self) -> Layout {
        let types = match load::kernel_types() {
            Ok(types) => types,
            Err(error) => {
                self.facts.push(Fact::no(Topic::Btf, format!("{error:#}")));
                for topic in [Topic::SizeOffsets, Topic::PathOffsets] {
                    self.facts.push(Fact::no(topic, "without BTF"));
                }
                return Layout::default();
            }
        };
        self.facts.push(Fact::yes(Topic::Btf, ""));
        let (sizes, layout) = match layout::resolve(&types) {
            Ok(layout) => (Fact::yes(Topic::SizeOffsets, ""), layout),
            Err(error) => {
                let fact = Fact::no(Topic::SizeOffsets, format!("{error:#}"));
                (fact, Layout::default())
            }
        };
        self.facts.push(sizes);
        self.facts.push(match layout::resolve_files(&types) {
            Ok(()) => Fact::yes(Topic::PathOffsets, ""),
            Err(error) => Fact::no(Topic::PathOffsets, format!("{error:#}")),
        });
        layout
    }

    fn maps(&mut self) {
        if Release::running().is_ok_and(|release| release < Release::MEMLOCK_FREE) {
            // If that fails, what is refused for it says so.
            let _ = load::raise_memlock();
        }
        // The oldest kind of map.
        let array = is_map_supported(MapType::Array);
        let ring = match &array {
            Ok(true) => is_map_supported(MapType::RingBuf),
            Ok(false) | Err(_) => Ok(false),
        };
        let works = matches!(array, Ok(true));
        self.facts.push(match &array {
            Ok(true) => Fact::yes(Topic::BpfSyscall, ""),
            Ok(false) => Fact::no(Topic::BpfSyscall, "the kernel knows no arrays"),
            Err(error) => Fact::no(
                Topic::BpfSyscall,
                refused("making a map", error).to_string(),
            ),
        });
        self.facts.push(match ring {
            _ if !works => Fact::unknown(Topic::RingBuffer, "bpf() is needed"),
            Ok(there) => Fact::whether(Topic::RingBuffer, there, ""),
            Err(error) => Fact::unknown(
                Topic::RingBuffer,
                refused("making a ring buffer", &error).to_string(),
            ),
        });
    }

    fn permits_maps(&self) -> bool {
        let found = self
            .facts
            .iter()
            .find(|fact| fact.topic == Topic::BpfSyscall);
        found.is_some_and(|fact| fact.answer == crate::diagnosis::Answer::Yes)
    }

    /// Loads a program that uses all that the others do, with less and less as a run would; tells
    /// what had to be left out. Returns what the others can be opened with.
    fn least_refused(&mut self, layout: Layout) -> Result<(Layout, StackWish), ProbeError> {
        let direct =
            Release::running().map_or(layout, |release| load::with_direct_loads(layout, release));
        let wanted: &[Part] = if direct.direct == 0 {
            let why = if layout.known == 0 {
                "without offsets".to_owned()
            } else {
                format!("Linux {} and newer have them", Release::DIRECT_LOADS)
            };
            self.facts.push(Fact::no(Topic::DirectLoads, why));
            &[Part::Stacks]
        } else {
            &[Part::DirectLoads, Part::Stacks]
        };
        let mut tries = 0;
        let loaded = attempts::load(wanted, |left_out| {
            tries += 1;
            let is_left_out = |part| left_out.contains(&part);
            let layout = if is_left_out(Part::DirectLoads) {
                direct.without_direct_loads()
            } else {
                direct
            };
            let stacks = if is_left_out(Part::Stacks) {
                StackWish::NONE
            } else {
                StackWish::default()
            };
            attach::try_exit(&mut load::open(layout, RING, stacks, None)?)?;
            Ok((layout, stacks))
        });
        let (found, blamed) = loaded?;
        for part in wanted {
            let topic = match part {
                Part::DirectLoads => Topic::DirectLoads,
                Part::Stacks | Part::Heap => Topic::Stacks,
            };
            let blame = blamed.iter().find(|blame| blame.part == *part);
            self.facts.push(match blame {
                Some(blame) => Fact::no(topic, blame.refusal.clone()),
                None if topic == Topic::Stacks => Fact::yes(topic, format!("at attempt {tries}")),
                None => Fact::yes(topic, ""),
            });
        }
        Ok(found)
    }

    fn programs(&mut self, layout: Layout) {
        let opened = self
            .least_refused(layout)
            .and_then(|(layout, stacks)| Ok((layout, load::open(layout, RING, stacks, None)?)));
        let (layout, mut ebpf) = match opened {
            Ok(opened) => opened,
            Err(error) => return self.without_programs(&error.to_string()),
        };
        let trampolines = attach::trampolines(&mut ebpf);
        self.measure(&ebpf);
        if trampolines.is_err() {
            attach::release_trampolines(&mut ebpf);
        }
        let tapped = attach::each_tracepoint(&mut ebpf, layout.known != 0);
        self.measure(&ebpf);
        let mut calls_refused = None;
        for (place, tried) in tapped {
            let Some((_, topic)) = TRACEPOINTS.iter().find(|(name, _)| *name == place) else {
                continue;
            };
            self.facts.push(match tried {
                None => Fact::unknown(*topic, "its program needs the offsets of sizes"),
                Some(Ok(())) => Fact::yes(*topic, ""),
                Some(Err(error)) => {
                    if place.starts_with("sys_") {
                        calls_refused = Some(error.to_string());
                    }
                    Fact::no(*topic, error.to_string())
                }
            });
        }
        let capture = match (&trampolines, &calls_refused) {
            (Ok(_), _) => Fact::yes(Topic::Capture, "by trampolines"),
            (Err(_), None) => Fact::yes(Topic::Capture, "by raw tracepoints"),
            (Err(_), Some(refusal)) => Fact::no(Topic::Capture, refusal.clone()),
        };
        self.facts.push(capture);
        self.facts.push(match trampolines {
            Ok(absent) if absent.is_empty() => Fact::yes(Topic::Trampolines, ""),
            Ok(absent) => {
                let names: Vec<_> = absent.iter().map(|call| call.name()).collect();
                let detail = format!("this kernel has no {}", names.join(", "));
                Fact::yes(Topic::Trampolines, detail)
            }
            Err(error) => Fact::no(Topic::Trampolines, attach::refusal(error)),
        });
        self.facts.push(
            match heap::try_out(&mut ebpf, object::for_kernel(&layout)) {
                Ok(how) => Fact::yes(Topic::HeapView, how),
                Err(error) => Fact::no(Topic::HeapView, error.to_string()),
            },
        );
        self.measure(&ebpf);
        self.budget();
        self.facts.extend(survey::jit().or_else(|| jitted(&ebpf)));
    }

    /// Adds the programs that were loaded since.
    fn measure(&mut self, ebpf: &Ebpf) {
        for (name, program) in ebpf.programs() {
            let info = match program {
                Program::RawTracePoint(program) => program.info(),
                Program::FEntry(program) => program.info(),
                Program::FExit(program) => program.info(),
                Program::UProbe(program) => program.info(),
                _ => continue,
            };
            // Those that were not loaded have none.
            let Ok(info) = info else {
                continue;
            };
            if self.programs.iter().all(|known| known.name != name) {
                self.programs.push(LoadedProgram {
                    name: name.to_owned(),
                    verified_instructions: info.verified_instruction_count(),
                });
            }
        }
        self.programs
            .sort_by(|one, other| one.name.cmp(&other.name));
    }

    fn budget(&mut self) {
        let most = self
            .programs
            .iter()
            .filter_map(|program| Some((program.verified_instructions?, &program.name)));
        self.facts.push(match most.max() {
            Some((most, name)) => Fact::whether(
                Topic::VerifierBudget,
                most < VERIFIER_LIMIT,
                format!("at most {most}, of `{name}`"),
            ),
            None if self.programs.is_empty() => {
                Fact::unknown(Topic::VerifierBudget, "no program was loaded")
            }
            None => Fact::unknown(Topic::VerifierBudget, "Linux 5.16 and newer tell"),
        });
    }

    fn without_programs(&mut self, why: &str) {
        let tracepoints = TRACEPOINTS.map(|(_, topic)| topic);
        for topic in tracepoints.into_iter().chain([
            Topic::DirectLoads,
            Topic::Stacks,
            Topic::Trampolines,
            Topic::Capture,
            Topic::HeapView,
            Topic::VerifierBudget,
        ]) {
            self.facts.push(Fact::unknown(topic, why));
        }
        let unread = || Fact::unknown(Topic::Jit, why);
        self.facts.push(survey::jit().unwrap_or_else(unread));
    }
}

/// Whether programs were compiled, by one that was loaded.
fn jitted(ebpf: &Ebpf) -> Option<Fact> {
    let sizes = ebpf.programs().filter_map(|(_, program)| match program {
        Program::RawTracePoint(program) => Some(program.info().ok()?.size_jitted()),
        _ => None,
    });
    let size = sizes.max()?;
    Some(Fact::whether(
        Topic::Jit,
        size > 0,
        "by the size of a loaded program",
    ))
}
