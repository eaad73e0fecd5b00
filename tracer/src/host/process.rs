//! A process as `/proc` shows it.

use std::{fs::File, io};

use anyhow::{Context as _, Result, bail};
use procfs::{
    ProcError,
    process::{Process as Proc, Status},
};

use super::{
    clock, foreign,
    kernel::page_size,
    maps,
    privilege::{self, SYS_PTRACE},
};
use crate::{
    event::PidFd,
    report::Target,
    space::reading::Reading,
    units::{Bytes, Pid},
};

/// The class byte of an ELF file (`e_ident[EI_CLASS]`) that says 32 bits.
const ELF_CLASS_32: u8 = 1;
/// Memory figures of `/proc/<pid>/status` and `statm`, bytes.
#[derive(Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Memory {
    /// `VmSize`.
    pub vm_size: Bytes,
    /// `VmStk`.
    pub stack: Bytes,
    /// `VmRSS`.
    pub rss: Bytes,
    /// `RssAnon`.
    pub rss_anon: Bytes,
    /// `VmHWM`: the highest RSS of the process' life.
    pub rss_high: Bytes,
}

/// Makes sure that a process can be observed.
///
/// # Errors
/// There is no such process, it is a kernel thread or a zombie, or it runs a 32-bit
/// program, whose calls the kernel's tracepoints do not show.
pub fn check_observable(pid: Pid) -> Result<()> {
    let process = open(pid)?;
    let status = process.status().map_err(|error| explain(pid, &error))?;
    if u32::try_from(status.tgid).ok() != Some(pid.0) {
        bail!(
            "{pid} is a thread of process {0}: trace it with `--pid {0}`",
            status.tgid
        );
    }
    if status.state.starts_with('Z') {
        bail!("process {pid} has ended: it is a zombie, which its parent has not waited for yet");
    }
    if status.vmsize.is_none() {
        bail!("process {pid} has no address space: it is a kernel thread or has ended");
    }
    check_readable(pid, status.euid)?;
    refuse_32_bit(pid)
}

/// Makes sure that a process may be read. The link to its program is asked for: recent kernels
/// show a map to those with `cap_perfmon` too, which is given up later.
fn check_readable(pid: Pid, owner: u32) -> Result<()> {
    let program = std::fs::read_link(format!("/proc/{pid}/exe"));
    match program {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let user = nix::unistd::User::from_uid(owner.into()).ok().flatten();
            let user = user.map_or_else(|| owner.to_string(), |user| user.name);
            bail!(NotPermitted(format!(
                "process {pid} of user {user} may not be read: {}",
                privilege::why_refused(&[SYS_PTRACE])
            )))
        }
        // Why else it cannot be read shows when it is.
        _ => Ok(()),
    }
}

/// Refuses a process whose program is a 32-bit one.
///
/// # Errors
/// It is.
pub fn refuse_32_bit(pid: Pid) -> Result<()> {
    if is_32_bit(pid) {
        bail!(
            "process {pid} runs a 32-bit program: the kernel's tracepoints do not show 32-bit \
             system calls, so tracer cannot rebuild its address space"
        );
    }
    Ok(())
}

/// Whether the process runs a 32-bit program; false if that cannot be read.
#[must_use]
pub fn is_32_bit(pid: Pid) -> bool {
    use std::io::Read as _;
    let mut ident = [0; 5];
    File::open(format!("/proc/{pid}/exe"))
        .and_then(|mut file| file.read_exact(&mut ident))
        .is_ok_and(|()| ident.starts_with(b"\x7fELF") && ident[4] == ELF_CLASS_32)
}

/// Who a process is. What cannot be read stays empty.
#[must_use]
pub fn target(pid: Pid) -> Target {
    let mut target = Target {
        pid,
        ..Target::default()
    };
    if let Ok(process) = open(pid) {
        target.ns_pid = process.status().ok().and_then(|status| inner_pid(&status));
        target.comm = process.stat().map(|stat| stat.comm).unwrap_or_default();
        let exe = process.exe().unwrap_or_default();
        target.exe = exe.to_string_lossy().into_owned();
        target.cmdline = texts(pid, "cmdline");
    }
    target
}

/// The id in the innermost pid namespace, if that is another one than this process sees.
fn inner_pid(status: &Status) -> Option<Pid> {
    match status.nspid.as_deref()? {
        [_, .., inner] => u32::try_from(*inner).ok().map(Pid),
        _ => None,
    }
}

/// The memory figures of a process.
///
/// # Errors
/// It is gone.
pub fn memory(pid: Pid) -> Result<Memory> {
    let process = open(pid)?;
    let status = process.status().map_err(|error| explain(pid, &error))?;
    let statm = process.statm().map_err(|error| explain(pid, &error))?;
    let kib = |value: Option<u64>| Bytes(value.unwrap_or(0) << 10);
    let page = page_size();
    Ok(Memory {
        vm_size: page.pages(statm.size),
        stack: kib(status.vmstk),
        rss: kib(status.vmrss),
        rss_anon: kib(status.rssanon),
        rss_high: kib(status.vmhwm),
    })
}

/// Reads the map, and when that was.
///
/// # Errors
/// The process is gone or may not be read.
pub fn reading(pid: Pid) -> Result<Reading> {
    let begun = clock::now();
    let vmas = maps::read_maps(pid)?;
    let memory = memory(pid)?;
    let ended = clock::now();
    // It may have ended between the two readings.
    if vmas.is_empty() || memory.vm_size == Bytes(0) {
        bail!("process {pid} has no address space: it has ended");
    }
    Ok(Reading {
        disturbed: None,
        other_stacks: false,
        vmas,
        begun,
        ended,
        vm_size: memory.vm_size,
        stack: memory.stack,
        rss: memory.rss,
    })
}

/// The strings of a file of `/proc` that has one after the other; none if it cannot be read.
pub fn texts(pid: Pid, file: &str) -> Vec<String> {
    let bytes = foreign::text_of(pid, file).unwrap_or_default();
    let mut texts: Vec<_> = bytes
        .split(|&byte| byte == 0)
        .map(|text| String::from_utf8_lossy(text).into_owned())
        .collect();
    // Each ends with a zero.
    if texts.last().is_some_and(String::is_empty) {
        texts.pop();
    }
    texts
}

/// The process that a descriptor of another process names, by its `fdinfo`.
#[must_use]
pub fn pid_of_pidfd(holder: Pid, fd: PidFd) -> Option<Pid> {
    let info = std::fs::read_to_string(format!("/proc/{holder}/fdinfo/{}", fd.0)).ok()?;
    let line = info.lines().find_map(|line| line.strip_prefix("Pid:"))?;
    line.trim().parse().ok().map(Pid)
}

/// Whether the process still has an address space.
#[must_use]
pub fn is_alive(pid: Pid) -> bool {
    open(pid)
        .and_then(|process| process.statm().map_err(|error| explain(pid, &error)))
        .is_ok_and(|statm| statm.size > 0)
}

fn open(pid: Pid) -> Result<Proc> {
    let id = i32::try_from(pid.0).ok().filter(|id| *id > 0);
    let id = id.with_context(|| format!("{pid} is no process id"))?;
    Proc::new(id).map_err(|error| explain(pid, &error))
}

fn explain(pid: Pid, error: &ProcError) -> anyhow::Error {
    match error {
        ProcError::NotFound(_) if is_hidden(pid) => anyhow::Error::new(NotPermitted(format!(
            "process {pid} is hidden by the option hidepid of /proc: {}",
            privilege::why_refused(&[SYS_PTRACE])
        ))),
        ProcError::NotFound(_) => anyhow::Error::new(NoSuchProcess(pid)),
        ProcError::PermissionDenied(_) => anyhow::Error::new(NotPermitted(format!(
            "process {pid} may not be read: {}",
            privilege::why_refused(&[SYS_PTRACE])
        ))),
        other => anyhow::anyhow!("cannot read process {pid}: {other}"),
    }
}

/// Whether there is such a process, but not for this user.
fn is_hidden(pid: Pid) -> bool {
    let Ok(id) = i32::try_from(pid.0) else {
        return false;
    };
    let asked = nix::sys::signal::kill(nix::unistd::Pid::from_raw(id), None);
    asked == Err(nix::errno::Errno::EPERM)
}

/// A process may not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotPermitted(String);

impl std::fmt::Display for NotPermitted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotPermitted {}

/// There is no such process (any more).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSuchProcess(pub Pid);

impl std::fmt::Display for NoSuchProcess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "there is no process {} (any more)", self.0)
    }
}

impl std::error::Error for NoSuchProcess {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_can_be_observed() {
        let own = Pid(std::process::id());
        check_observable(own).expect("this process");
        let reading = reading(own).expect("own map");
        let sum: Bytes = reading
            .vmas
            .iter()
            .filter(|vma| vma.name != "[vsyscall]")
            .map(|vma| vma.span.len())
            .sum();
        assert!(
            sum.0.abs_diff(reading.vm_size.0) < 16 << 20,
            "{sum:?} {reading:?}"
        );
        assert!(target(own).exe.contains("tracer"));
    }

    #[test]
    fn what_is_no_process_is_said_in_words() {
        let error = check_observable(Pid(0)).expect_err("no process");
        assert_eq!(error.to_string(), "0 is no process id");
        let error = check_observable(Pid(4_194_305)).expect_err("beyond pid_max");
        assert!(error.is::<NoSuchProcess>(), "{error}");
    }
}
