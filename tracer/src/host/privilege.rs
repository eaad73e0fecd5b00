//! What this process may do: capabilities asked about, given up, and named where one is missing.
//!
//! Capabilities belong to threads. This is meant for a process of one thread, which the tracer is
//! once its command runs.

use std::{collections::HashSet, io};

use anyhow::{Context as _, Result};
use caps::CapSet;
pub use caps::Capability;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};

use super::kernel::Release;

/// To load programs and make maps; before Linux 5.19 to use maps too, where `bpf()` is for the
/// privileged only.
pub const BPF: Capability = Capability::CAP_BPF;
/// To load programs that read kernel memory, and to attach them.
pub const PERFMON: Capability = Capability::CAP_PERFMON;
/// To read the maps of other users' processes.
pub const SYS_PTRACE: Capability = Capability::CAP_SYS_PTRACE;
/// To open what only its owner may: `environ` and `mem` of other users' processes, and programs
/// in private folders.
pub const DAC_READ_SEARCH: Capability = Capability::CAP_DAC_READ_SEARCH;
/// To raise `RLIMIT_MEMLOCK`.
pub const SYS_RESOURCE: Capability = Capability::CAP_SYS_RESOURCE;

/// What reading processes needs as long as they are traced.
const KEPT: [Capability; 2] = [SYS_PTRACE, DAC_READ_SEARCH];
/// What putting a file into another user's folder needs.
const FOR_FOLDERS: [Capability; 2] = [Capability::CAP_DAC_OVERRIDE, Capability::CAP_FOWNER];
/// What probing more functions needs.
const FOR_ATTACHING: [Capability; 2] = [BPF, PERFMON];
/// What `bpf()` needs: one of these.
const FOR_BPF: [Capability; 2] = [BPF, Capability::CAP_SYS_ADMIN];

/// The name, as `setcap` takes it.
#[must_use]
pub fn name(capability: Capability) -> String {
    capability.to_string().to_lowercase()
}

/// Whether this thread may use it; `cap_sys_admin` stands in for `cap_bpf` and `cap_perfmon`.
#[must_use]
pub fn has(capability: Capability) -> bool {
    suffices(&held(CapSet::Effective), capability)
}

fn suffices(held: &HashSet<Capability>, capability: Capability) -> bool {
    held.contains(&capability)
        || [BPF, PERFMON].contains(&capability) && held.contains(&Capability::CAP_SYS_ADMIN)
}

fn held(set: CapSet) -> HashSet<Capability> {
    // A thread may always ask about itself.
    caps::read(None, set).unwrap_or_default()
}

/// Which of these this thread lacks.
#[must_use]
pub fn missing(needed: &[Capability]) -> Vec<Capability> {
    let lacks = |capability: &&Capability| !has(**capability);
    needed.iter().filter(lacks).copied().collect()
}

/// Why something that needs these was refused, and what helps.
#[must_use]
pub fn why_refused(needed: &[Capability]) -> String {
    let list = |all: &[Capability]| {
        let names: Vec<_> = all.iter().map(|capability| name(*capability)).collect();
        names.join(" and ")
    };
    match missing(needed).as_slice() {
        [] => format!(
            "{} held, and yet it was refused: a container's seccomp profile or user namespace, a \
             security module or kernel lockdown may forbid it; `tracer doctor` tells more",
            list(needed)
        ),
        missing => format!("{} missing. {}", list(missing), way_out()),
    }
}

/// What loading the probes takes on this kernel.
#[must_use]
pub fn for_probes() -> Vec<Capability> {
    let mut needed = vec![BPF, PERFMON];
    if charges_memlock() && !matches!(getrlimit(Resource::RLIMIT_MEMLOCK), Ok((_, RLIM_INFINITY))) {
        needed.push(SYS_RESOURCE);
    }
    needed
}

/// Whether maps are charged to `RLIMIT_MEMLOCK`; they fit no usual limit.
fn charges_memlock() -> bool {
    Release::running().is_ok_and(|release| release < Release::MEMLOCK_FREE)
}

/// Whether something failed for want of a right.
#[must_use]
pub fn is_refusal(error: &anyhow::Error) -> bool {
    let mut causes = error.chain();
    causes.any(|cause| {
        let error = cause.downcast_ref::<io::Error>();
        error.is_some_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
    })
}

/// How to get what is missing.
#[must_use]
pub fn way_out() -> String {
    let program = std::env::current_exe();
    let program = program.map_or_else(
        |_| "$(which tracer)".to_owned(),
        |path| path.display().to_string(),
    );
    let memlock = if charges_memlock() {
        ",cap_sys_resource"
    } else {
        ""
    };
    format!(
        "Run it with sudo, or once `sudo setcap cap_bpf,cap_perfmon,cap_sys_ptrace{memlock}+ep \
         {program}`"
    )
}

/// What else is to be done once probes are attached.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kept {
    /// Writing to folders of others.
    pub folders: bool,
    /// Attaching probes to what is mapped later.
    pub attaching: bool,
}

/// Gives up, for good, all that is not needed once probes are attached. What stays is what reading
/// processes needs; what `bpf()` needs, if `maps_work` (asked without it) says that maps cannot be
/// used otherwise; what attaching more probes needs, if that is to be done; and, if folders of
/// others are to be written to, what that needs, asleep until [`awake`].
///
/// # Errors
/// The kernel refuses to take them.
pub fn confine(for_later: Kept, maps_work: impl FnOnce() -> bool) -> Result<()> {
    let asleep: &[Capability] = if for_later.folders { &FOR_FOLDERS } else { &[] };
    confine_but(asleep, for_later.attaching, maps_work)
}

/// The same, for one that will load probes later, on a thread of its own, and confine that then.
///
/// # Errors
/// As above.
pub fn confine_for_now(folders: bool, maps_work: impl FnOnce() -> bool) -> Result<()> {
    let mut asleep = for_probes();
    if folders {
        asleep.extend(FOR_FOLDERS);
    }
    confine_but(&asleep, false, maps_work)
}

/// Those that are `asleep` stay permitted, and are not effective; `attaching` keeps those that
/// attach probes.
fn confine_but(
    asleep: &[Capability],
    attaching: bool,
    maps_work: impl FnOnce() -> bool,
) -> Result<()> {
    let permitted = held(CapSet::Permitted);
    let of = |wanted: &[Capability]| -> HashSet<Capability> {
        let held = wanted.iter().filter(|wanted| permitted.contains(wanted));
        held.copied().collect()
    };
    let mut kept = of(&KEPT);
    // Needed to the end, to take the others from what could be got back.
    let mut asking = kept.clone();
    asking.extend(of(&[Capability::CAP_SETPCAP]));
    set(CapSet::Effective, &asking)?;
    if attaching {
        kept.extend(of(&FOR_ATTACHING));
        // Where these two are not known of, or were not given by themselves.
        if kept.is_disjoint(&HashSet::from(FOR_ATTACHING)) {
            kept.extend(of(&[Capability::CAP_SYS_ADMIN]));
        }
    } else if !maps_work() {
        kept.extend(FOR_BPF.iter().find(|wanted| permitted.contains(wanted)));
    }
    let effective = kept.clone();
    kept.extend(of(asleep));
    // It takes cap_setpcap, and fails for capabilities that this kernel does not know. Without it
    // there is nothing that could be got back but by executing a file, which nothing here does.
    for capability in caps::all().difference(&kept) {
        let _ = caps::drop(None, CapSet::Bounding, *capability);
    }
    // Linux before 4.3 has none.
    let _ = caps::clear(None, CapSet::Ambient);
    set(CapSet::Effective, &effective)?;
    set(CapSet::Permitted, &kept)?;
    set(CapSet::Inheritable, &HashSet::new())?;
    nix::sys::prctl::set_no_new_privs().context("cannot give up new privileges")
}

/// Gives up, for good, all that this thread may do.
///
/// # Errors
/// The kernel refuses to take it.
pub fn renounce() -> Result<()> {
    let _ = caps::clear(None, CapSet::Ambient);
    for kind in [CapSet::Effective, CapSet::Permitted, CapSet::Inheritable] {
        set(kind, &HashSet::new())?;
    }
    Ok(())
}

/// Does something with all that this process may still do.
pub fn awake<T>(act: impl FnOnce() -> T) -> T {
    let effective = held(CapSet::Effective);
    // What fails for want of them says so itself.
    let _ = set(CapSet::Effective, &held(CapSet::Permitted));
    let done = act();
    let _ = set(CapSet::Effective, &effective);
    done
}

fn set(set: CapSet, capabilities: &HashSet<Capability>) -> Result<()> {
    caps::set(None, set, capabilities)
        .map_err(|error| anyhow::anyhow!("{error}"))
        .context("cannot give up capabilities")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn administrators_lack_nothing_but_ptrace() {
        let admin = HashSet::from([Capability::CAP_SYS_ADMIN]);
        assert!(suffices(&admin, BPF) && suffices(&admin, PERFMON));
        assert!(!suffices(&admin, SYS_PTRACE));
        assert!(!suffices(&HashSet::new(), BPF));
        assert_eq!(name(SYS_PTRACE), "cap_sys_ptrace");
    }

    /// On a thread of its own: the others keep what they have.
    #[test]
    fn what_is_given_up_is_gone_for_good() {
        let confined = std::thread::spawn(|| {
            let before = held(CapSet::Permitted);
            confine(
                Kept {
                    folders: true,
                    attaching: false,
                },
                || held(CapSet::Effective).is_disjoint(&HashSet::from(FOR_BPF)),
            )
            .expect("less is always possible");
            let kept: HashSet<_> = before.intersection(&HashSet::from(KEPT)).copied().collect();
            assert_eq!(held(CapSet::Effective), kept);
            awake(|| assert_eq!(held(CapSet::Effective), held(CapSet::Permitted)));
            assert_eq!(held(CapSet::Effective), kept);
            let asleep = held(CapSet::Permitted);
            assert!(asleep.iter().all(|capability| KEPT.contains(capability)
                || FOR_FOLDERS.contains(capability)));
            assert!(caps::raise(None, CapSet::Permitted, Capability::CAP_SYS_MODULE).is_err());
            assert_eq!(nix::sys::prctl::get_no_new_privs(), Ok(true));
        });
        confined.join().expect("no assertion failed");
    }

    #[test]
    fn what_maps_need_stays_if_they_need_it() {
        let confined = std::thread::spawn(|| {
            let had = held(CapSet::Permitted).contains(&BPF);
            confine(Kept::default(), || false).expect("less is always possible");
            assert_eq!(held(CapSet::Effective).contains(&BPF), had);
            assert!(!held(CapSet::Permitted).contains(&PERFMON));
        });
        confined.join().expect("no assertion failed");
    }
}
