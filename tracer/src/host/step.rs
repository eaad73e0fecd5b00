//! A traced child, from one mapping of code by its loader to the next.
//!
//! To be used by the thread that forked the child: the kernel lets no other one.

use std::process::Child;

use nix::{
    sys::{
        ptrace,
        signal::Signal,
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid as RawPid,
};

use crate::units::{Addr, Span};

/// `PROT_EXEC`.
const EXECUTABLE: u64 = 4;
/// System calls of a loader, at most: one that makes more is no loader.
const MOST_CALLS: u32 = 100_000;

/// Where a child stands still.
pub(super) enum Stop {
    /// On its way out of exec, by the kernel's word that nobody has waited for yet.
    AtExec,
    /// At the entry or exit of a system call.
    AtCall,
    /// It runs, or is gone.
    Nowhere,
}

/// What of its registers matters.
struct Call {
    nr: u64,
    protection: u64,
    result: u64,
    ip: Addr,
}

impl Stop {
    /// Lets the child run until its loader has mapped code; false if it never will.
    pub fn advance(&mut self, child: &Child, loader: &[Span]) -> bool {
        let Some(pid) = raw(child) else {
            return false;
        };
        if matches!(self, Self::AtExec) {
            *self = Self::Nowhere;
            if !is_stopped(pid)
                || ptrace::setoptions(pid, ptrace::Options::PTRACE_O_TRACESYSGOOD).is_err()
            {
                return false;
            }
            *self = Self::AtCall;
        }
        if !matches!(self, Self::AtCall) || loader.is_empty() {
            return false;
        }
        let mut signal: Option<Signal> = None;
        for _ in 0..MOST_CALLS {
            if ptrace::syscall(pid, signal.take()).is_err() {
                break;
            }
            match waitpid(pid, None) {
                Ok(WaitStatus::PtraceSyscall(_)) => {}
                Ok(WaitStatus::Stopped(_, delivered)) => {
                    signal = Some(delivered);
                    continue;
                }
                _ => break,
            }
            let Some(call) = registers(pid) else {
                break;
            };
            if !loader.iter().any(|span| span.contains(call.ip)) {
                return false;
            }
            // At its entry the result says that there is none yet.
            let mapped = i64::from_ne_bytes(call.result.to_ne_bytes()) >= 0;
            if call.nr == libc::SYS_mmap.cast_unsigned()
                && call.protection & EXECUTABLE != 0
                && mapped
            {
                return true;
            }
        }
        *self = Self::Nowhere;
        false
    }

    /// Ends the hold, if there is one.
    pub fn let_go(self, child: &Child) {
        let Some(pid) = raw(child) else {
            return;
        };
        let held = match self {
            Self::AtExec => is_stopped(pid),
            Self::AtCall => true,
            Self::Nowhere => false,
        };
        if held {
            // Fails only if it was killed meanwhile.
            let _ = ptrace::detach(pid, None);
        }
    }
}

fn raw(child: &Child) -> Option<RawPid> {
    i32::try_from(child.id()).ok().map(RawPid::from_raw)
}

/// Takes the kernel's word that a child stands still; one that is not traced never says so.
fn is_stopped(pid: RawPid) -> bool {
    let flags = WaitPidFlag::WNOHANG | WaitPidFlag::WUNTRACED;
    matches!(waitpid(pid, Some(flags)), Ok(WaitStatus::Stopped(..)))
}

/// At the entry of a call the kernel has `-ENOSYS` for a result.
#[cfg(target_arch = "x86_64")]
fn registers(pid: RawPid) -> Option<Call> {
    let regs = ptrace::getregs(pid).ok()?;
    Some(Call {
        nr: regs.orig_rax,
        protection: regs.rdx,
        result: regs.rax,
        ip: Addr(regs.rip),
    })
}

/// `x0` is the first argument of a call and then its result: an `mmap` that lets the kernel
/// choose is entered with 0. So a call is looked at twice there, which does no harm.
#[cfg(target_arch = "aarch64")]
fn registers(pid: RawPid) -> Option<Call> {
    let regs = ptrace::getregset::<ptrace::regset::NT_PRSTATUS>(pid).ok()?;
    Some(Call {
        nr: regs.regs[8],
        protection: regs.regs[2],
        result: regs.regs[0],
        ip: Addr(regs.pc),
    })
}
