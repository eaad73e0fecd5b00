//! The facts of a diagnosis that need no probes: files of the kernel in, answers out.
//!
//! What cannot be read is answered by why, never by a guess.

use std::{fs, io, path::Path};

use procfs::process::{MountInfo, Process};

use super::{
    kernel::Release,
    maps, pages,
    privilege::{self, Capability, has},
};
use crate::{
    attribute::evidence::PageMethod,
    diagnosis::{Fact, Topic},
    units::Pid,
};

/// The initial namespaces have fixed numbers (`include/linux/proc_ns.h`).
const INITIAL_PID_NAMESPACE: &str = "pid:[4026531836]";
const INITIAL_USER_NAMESPACE: &str = "user:[4026531837]";

/// All of them.
#[must_use]
pub fn facts() -> Vec<Fact> {
    let rights = [
        (Topic::CapBpf, privilege::BPF),
        (Topic::CapPerfmon, privilege::PERFMON),
        (Topic::CapSysPtrace, privilege::SYS_PTRACE),
        (Topic::CapDacReadSearch, privilege::DAC_READ_SEARCH),
    ];
    let mut facts = vec![release(), architecture(), pid_namespace()];
    facts.push(namespace(
        Topic::UserNamespace,
        "user",
        INITIAL_USER_NAMESPACE,
    ));
    facts.extend(rights.map(|(topic, capability)| right(topic, capability)));
    facts.extend([
        sys_resource(),
        memlock(),
        lockdown(),
        unprivileged_bpf(),
        visible(),
        yama(),
        smaps(),
        pagemap(),
        anon_names(),
    ]);
    facts
}

fn release() -> Fact {
    let topic = Topic::KernelRelease;
    match Release::running() {
        Ok(release) => Fact::whether(
            topic,
            release >= Release::OLDEST,
            super::kernel::release_name(),
        ),
        Err(error) => Fact::unknown(topic, format!("{error:#}")),
    }
}

fn architecture() -> Fact {
    let here = std::env::consts::ARCH;
    let topic = Topic::Architecture;
    match here {
        "x86_64" => Fact::yes(topic, here),
        _ => Fact::unknown(topic, format!("{here} was never tried")),
    }
}

/// Whether process ids here are those of the kernel.
#[must_use]
pub fn pid_namespace() -> Fact {
    namespace(Topic::PidNamespace, "pid", INITIAL_PID_NAMESPACE)
}

fn namespace(topic: Topic, kind: &str, initial: &str) -> Fact {
    let path = format!("/proc/self/ns/{kind}");
    match fs::read_link(&path) {
        Ok(link) => Fact::whether(topic, link.as_os_str() == initial, link.to_string_lossy()),
        Err(error) if error.kind() == io::ErrorKind::NotFound && has_entries("/proc/self/ns") => {
            Fact::yes(topic, "no others in this kernel")
        }
        Err(error) => unread(topic, &path, &error),
    }
}

fn unread(topic: Topic, path: &str, error: &io::Error) -> Fact {
    Fact::unknown(topic, format!("{path} cannot be read: {error}"))
}

fn right(topic: Topic, capability: Capability) -> Fact {
    Fact::whether(topic, has(capability), "")
}

fn sys_resource() -> Fact {
    let needed = Release::running().is_ok_and(|release| release < Release::MEMLOCK_FREE);
    let detail = if needed { "" } else { "not needed here" };
    Fact::whether(Topic::CapSysResource, has(privilege::SYS_RESOURCE), detail)
}

fn memlock() -> Fact {
    use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
    let topic = Topic::Memlock;
    match (Release::running(), getrlimit(Resource::RLIMIT_MEMLOCK)) {
        (Ok(release), _) if release >= Release::MEMLOCK_FREE => Fact::yes(topic, "not limited"),
        (Ok(_), Ok((RLIM_INFINITY, _) | (_, RLIM_INFINITY))) => Fact::yes(topic, "unlimited"),
        (Ok(_), Ok(_)) if has(privilege::SYS_RESOURCE) => Fact::yes(topic, "can be raised"),
        (Ok(_), Ok((_, most))) => Fact::no(topic, format!("{most} bytes at most")),
        (Err(error), _) => Fact::unknown(topic, format!("{error:#}")),
        (_, Err(error)) => Fact::unknown(topic, error.to_string()),
    }
}

fn lockdown() -> Fact {
    const PATH: &str = "/sys/kernel/security/lockdown";
    let topic = Topic::Lockdown;
    match fs::read_to_string(PATH) {
        Ok(text) => match text
            .split_once('[')
            .and_then(|(_, rest)| rest.split_once(']'))
        {
            Some((mode, _)) => Fact::whether(topic, mode != "confidentiality", mode),
            None => Fact::unknown(topic, format!("{PATH} says `{}`", text.trim())),
        },
        // securityfs is there and knows of no lockdown.
        Err(error)
            if error.kind() == io::ErrorKind::NotFound && has_entries("/sys/kernel/security") =>
        {
            Fact::yes(topic, "no lockdown in this kernel")
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Fact::unknown(topic, "securityfs is not mounted at /sys/kernel/security")
        }
        Err(error) => unread(topic, PATH, &error),
    }
}

fn has_entries(path: &str) -> bool {
    fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some())
}

fn unprivileged_bpf() -> Fact {
    const PATH: &str = "/proc/sys/kernel/unprivileged_bpf_disabled";
    let topic = Topic::UnprivilegedBpfDisabled;
    match fs::read_to_string(PATH) {
        Ok(text) => Fact::whether(topic, text.trim() != "0", text.trim()),
        Err(error) => unread(topic, PATH, &error),
    }
}

/// The compiler's setting; `None` if it cannot be read, as in a network namespace.
#[must_use]
pub fn jit() -> Option<Fact> {
    let text = fs::read_to_string("/proc/sys/net/core/bpf_jit_enable").ok()?;
    let detail = format!("bpf_jit_enable = {}", text.trim());
    Some(Fact::whether(Topic::Jit, text.trim() != "0", detail))
}

fn visible() -> Fact {
    let topic = Topic::ProcVisible;
    let mounts = Process::myself().and_then(|process| process.mountinfo());
    let mounts = match mounts {
        Ok(mounts) => mounts,
        Err(error) => return Fact::unknown(topic, format!("its mount cannot be read: {error}")),
    };
    let is_proc = |mount: &MountInfo| mount.mount_point.as_os_str() == "/proc";
    // The last one covers those below.
    let Some(mount) = mounts.0.into_iter().rfind(is_proc) else {
        return Fact::unknown(topic, "/proc is no mount");
    };
    let hide = mount.super_options.get("hidepid").cloned().flatten();
    match hide.as_deref() {
        None | Some("0" | "off") => Fact::yes(topic, ""),
        Some(hide) if has(privilege::SYS_PTRACE) => {
            Fact::yes(topic, format!("hidepid={hide}, but cap_sys_ptrace"))
        }
        Some(hide) => Fact::no(topic, format!("hidepid={hide}")),
    }
}

fn yama() -> Fact {
    const PATH: &str = "/proc/sys/kernel/yama/ptrace_scope";
    let topic = Topic::Yama;
    let scope = match fs::read_to_string(PATH) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Fact::yes(topic, "no yama in this kernel");
        }
        Err(error) => return unread(topic, PATH, &error),
    };
    let scope = scope.trim();
    let allowed = match scope {
        "0" => true,
        "1" | "2" => has(privilege::SYS_PTRACE),
        _ => false,
    };
    Fact::whether(topic, allowed, format!("ptrace_scope = {scope}"))
}

fn smaps() -> Fact {
    match fs::read("/proc/self/smaps") {
        Ok(text) => Fact::whether(Topic::Smaps, !text.is_empty(), ""),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Fact::no(Topic::Smaps, "not in this kernel")
        }
        Err(error) => unread(Topic::Smaps, "/proc/self/smaps", &error),
    }
}

/// Really looks at pages: those of this process' first mapping.
fn pagemap() -> Fact {
    let topic = Topic::Pagemap;
    if !Path::new("/proc/self/pagemap").exists() {
        return Fact::no(topic, "not in this kernel");
    }
    let own = Pid(std::process::id());
    let first = maps::read_maps(own)
        .ok()
        .and_then(|maps| Some(maps.first()?.span));
    let Some(span) = first else {
        return Fact::unknown(topic, "no mapping to try it on");
    };
    match pages::census(own, &[span]).map(|census| census.method) {
        Ok(PageMethod::Scan) => Fact::yes(topic, "by PAGEMAP_SCAN"),
        Ok(PageMethod::Entries) => Fact::yes(topic, "entry by entry, without PAGEMAP_SCAN"),
        Err(error) => Fact::unknown(topic, format!("{error:#}")),
    }
}

/// Really names memory.
fn anon_names() -> Fact {
    use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};
    const LEN: std::num::NonZeroUsize = std::num::NonZeroUsize::MIN;
    let topic = Topic::AnonNames;
    #[expect(unsafe_code, reason = "nix offers no safe way to map memory")]
    // SAFETY: a new mapping at an address of the kernel's choice; nothing else uses it.
    let mapped = unsafe { mmap_anonymous(None, LEN, ProtFlags::PROT_READ, MapFlags::MAP_PRIVATE) };
    let memory = match mapped {
        Ok(memory) => memory,
        Err(error) => return Fact::unknown(topic, format!("no memory to try it on: {error}")),
    };
    let named = nix::sys::prctl::set_vma_anon_name(memory, LEN, Some(c"tracer"));
    #[expect(unsafe_code, reason = "nix offers no safe way to unmap memory")]
    // SAFETY: mapped above, and not used since.
    let _ = unsafe { munmap(memory, LEN.get()) };
    match named {
        Ok(()) => Fact::yes(topic, ""),
        Err(nix::errno::Errno::EINVAL) => Fact::no(topic, "not in this kernel"),
        Err(error) => Fact::unknown(topic, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fact_is_told_once_and_every_doubt_has_a_reason() {
        let facts = facts();
        for fact in &facts {
            let same = facts.iter().filter(|other| other.topic == fact.topic);
            assert_eq!(same.count(), 1, "{fact:?}");
            let doubtful = fact.answer == crate::diagnosis::Answer::CouldNotTell;
            assert!(!doubtful || !fact.detail.is_empty(), "{fact:?}");
        }
    }
}
