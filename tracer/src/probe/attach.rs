//! Which programs go where: how calls are captured on this kernel, and what was chosen.

use std::fmt;

use aya::{
    Btf, Ebpf,
    programs::{FEntry, FExit, Program, ProgramError, RawTracePoint},
};

use super::error::{ProbeError, incomplete, refused, verifier};
use crate::event::Syscall;

/// Programs on the scheduler's raw tracepoints: program, tracepoint, whether it needs the
/// kernel's BTF.
const TASKS: &[(&str, &str, bool)] = &[
    ("fork", "sched_process_fork", true),
    ("exec", "sched_process_exec", false),
    ("thread_end", "sched_process_exit", false),
];

/// Programs on the raw tracepoints of system calls. The exit of calls comes before their
/// entry: one seen entering must be seen leaving.
const CALLS: &[(&str, &str)] = &[("sys_exit", "sys_exit"), ("sys_enter", "sys_enter")];

/// What the kernel puts before a call's name in that of its function.
#[cfg(target_arch = "x86_64")]
pub(super) const FUNCTION_PREFIX: &str = "__x64_sys_";
#[cfg(target_arch = "aarch64")]
pub(super) const FUNCTION_PREFIX: &str = "__arm64_sys_";

/// How the user wants calls to be captured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CaptureWish {
    /// By trampolines where the kernel allows them, else by tracepoints.
    #[default]
    Best,
    /// By the raw tracepoints of system calls: every kernel, and a little of each system
    /// call of the machine.
    Tracepoints,
    /// By trampolines in the functions of the calls: nothing for other system calls.
    Trampolines,
}

/// How calls are captured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Capture {
    /// By the raw tracepoints of system calls, and why not by trampolines if they were
    /// tried.
    Tracepoints {
        /// What the kernel said.
        trampolines: Option<String>,
    },
    /// By trampolines.
    Trampolines {
        /// Calls that this kernel has no function for: it has no such calls.
        absent: Vec<Syscall>,
    },
    /// Not at all, so far.
    #[default]
    None,
}

impl fmt::Display for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("no calls are captured"),
            Self::Tracepoints { trampolines: None } => {
                f.write_str("calls are captured by raw tracepoints")
            }
            Self::Tracepoints {
                trampolines: Some(refusal),
            } => write!(
                f,
                "calls are captured by raw tracepoints, because this kernel refuses trampolines: \
                 {refusal}"
            ),
            Self::Trampolines { absent } if absent.is_empty() => {
                f.write_str("calls are captured by trampolines")
            }
            Self::Trampolines { absent } => {
                let names: Vec<_> = absent.iter().map(|call| call.name()).collect();
                write!(
                    f,
                    "calls are captured by trampolines; this kernel has no {}",
                    names.join(", ")
                )
            }
        }
    }
}

/// Attaches to fork, exec and exit.
pub(super) fn tasks(ebpf: &mut Ebpf, has_btf: bool) -> Result<(), ProbeError> {
    TASKS
        .iter()
        .filter(|(_, _, needs_btf)| has_btf || !needs_btf)
        .try_for_each(|(program, tracepoint, _)| raw_tracepoint(ebpf, program, tracepoint))
}

/// Tries each raw tracepoint; `has_btf` as in [`tasks`]. What was attached stays.
pub(super) fn each_tracepoint(
    ebpf: &mut Ebpf,
    has_btf: bool,
) -> Vec<(&'static str, Option<Result<(), ProbeError>>)> {
    let calls = CALLS.iter().map(|&(program, place)| (program, place, true));
    let tasks = TASKS
        .iter()
        .map(|&(program, place, needs_btf)| (program, place, has_btf || !needs_btf));
    calls
        .chain(tasks)
        .map(|(program, place, fits)| {
            let tried = fits.then(|| raw_tracepoint(ebpf, program, place));
            (place, tried)
        })
        .collect()
}

/// Attaches to system calls.
pub(super) fn calls(ebpf: &mut Ebpf, wish: CaptureWish) -> Result<Capture, ProbeError> {
    let refusal = match wish {
        CaptureWish::Tracepoints => None,
        CaptureWish::Best | CaptureWish::Trampolines => match trampolines(ebpf) {
            Ok(absent) => return Ok(Capture::Trampolines { absent }),
            Err(error) => {
                release_trampolines(ebpf);
                let refusal = refusal(error);
                if wish == CaptureWish::Trampolines {
                    return Err(no_trampolines(&refusal));
                }
                Some(refusal)
            }
        },
    };
    for (program, tracepoint) in CALLS {
        raw_tracepoint(ebpf, program, tracepoint)?;
    }
    Ok(Capture::Tracepoints {
        trampolines: refusal,
    })
}

/// Why trampolines were refused. If that is for want of a right, others of the same right were
/// loaded before: what is refused is this kind, to anyone.
pub(super) fn refusal(error: ProbeError) -> String {
    match error {
        ProbeError::NotPermitted { what, .. } => format!("it does not permit {what}"),
        other => other.to_string(),
    }
}

/// Whether the kernel accepts a program that uses all that the others do; it is not attached.
pub(super) fn try_exit(ebpf: &mut Ebpf) -> Result<(), ProbeError> {
    let (name, _) = CALLS[0];
    let program: &mut RawTracePoint = program(ebpf, name)?;
    program.load().map_err(|error| verifier(name, &error))
}

/// Trampolines were asked for, and refused.
pub(super) fn no_trampolines(refusal: &str) -> ProbeError {
    ProbeError::Unsupported(format!(
        "this kernel refuses trampolines: {refusal}; leave out --capture, or give --capture \
         tracepoints"
    ))
}

pub(super) fn raw_tracepoint(
    ebpf: &mut Ebpf,
    name: &str,
    tracepoint: &str,
) -> Result<(), ProbeError> {
    let program: &mut RawTracePoint = program(ebpf, name)?;
    program.load().map_err(|error| verifier(name, &error))?;
    program
        .attach(tracepoint)
        .map(drop)
        .map_err(|error| refused(&format!("attaching to {tracepoint}"), &error))
}

/// Attaches to the function of each call; returns the calls that have none here.
pub(super) fn trampolines(ebpf: &mut Ebpf) -> Result<Vec<Syscall>, ProbeError> {
    let types = Btf::from_sys_fs().map_err(|error| refused("reading the kernel's BTF", &error))?;
    let mut absent = Vec::new();
    for &call in Syscall::ALL.iter().filter(|call| call.number().is_some()) {
        let name = format!("fexit_{call}");
        let function = format!("{FUNCTION_PREFIX}{call}");
        let exit: &mut FExit = program(ebpf, &name)?;
        match exit.load(&function, &types) {
            Ok(()) => {}
            // Not among the kernel's functions.
            Err(ProgramError::Btf(_)) if call != Syscall::Mmap => {
                absent.push(call);
                continue;
            }
            Err(error) => return Err(verifier(&name, &error)),
        }
        exit.attach()
            .map_err(|error| refused(&format!("attaching to {function}"), &error))?;
        enter(ebpf, call.name(), &types)?;
    }
    enter(ebpf, "exit_group", &types)?;
    Ok(absent)
}

fn enter(ebpf: &mut Ebpf, call: &str, types: &Btf) -> Result<(), ProbeError> {
    let name = format!("fentry_{call}");
    let function = format!("{FUNCTION_PREFIX}{call}");
    let entry: &mut FEntry = program(ebpf, &name)?;
    entry
        .load(&function, types)
        .map_err(|error| verifier(&name, &error))?;
    entry
        .attach()
        .map(drop)
        .map_err(|error| refused(&format!("attaching to {function}"), &error))
}

/// Takes back what was attached before the kernel refused.
pub(super) fn release_trampolines(ebpf: &mut Ebpf) {
    for (_, program) in ebpf.programs_mut() {
        // Those that were not loaded say so.
        let _ = match program {
            Program::FEntry(program) => program.unload(),
            Program::FExit(program) => program.unload(),
            _ => Ok(()),
        };
    }
}

pub(super) fn program<'a, P>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut P, ProbeError>
where
    &'a mut P: TryFrom<&'a mut Program, Error = ProgramError>,
{
    ebpf.program_mut(name)
        .ok_or_else(|| incomplete(name))?
        .try_into()
        .map_err(|error| verifier(name, &error))
}
