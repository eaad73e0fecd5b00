//! Starts a command that waits until it is observed: a command line in, a held child out.
//!
//! Under sudo the command runs as the user who called sudo, not as root.

use std::{
    ffi::OsString,
    io,
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::process::CommandExt as _,
    },
    process::{Child, Command},
    thread::JoinHandle,
};

use anyhow::{Context as _, Result, anyhow, bail};
use nix::{
    fcntl::OFlag,
    unistd::{Gid, Uid, User, getgrouplist, pipe2, read, write},
};

use crate::units::Pid;

/// A child that has not run its command yet.
pub struct Held {
    /// Its process id, which the command will have.
    pub pid: Pid,
    go: OwnedFd,
    spawning: JoinHandle<io::Result<Child>>,
    program: String,
}

/// Whose rights a command runs with.
#[derive(Debug, PartialEq, Eq)]
struct Identity {
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
}

/// Forks a child that waits before it executes `command`.
///
/// # Errors
/// The child cannot be made.
pub fn hold(command: &[OsString]) -> Result<Held> {
    let (program, args) = command.split_first().context("no command was given")?;
    let identity = invoking_user()?;
    let (said, say) = pipe2(OFlag::O_CLOEXEC).context("cannot make a pipe")?;
    let (wait, go) = pipe2(OFlag::O_CLOEXEC).context("cannot make a pipe")?;
    let mut builder = Command::new(program);
    builder.args(args);
    let announce_and_wait = move || {
        let pid = std::process::id().to_ne_bytes();
        write(&say, &pid)?;
        // Ends with an error in the child if the tracer ends first: then it must not run.
        if read(&wait, &mut [0])? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(identity) = &identity {
            nix::unistd::setgroups(&identity.groups)?;
            nix::unistd::setgid(identity.gid)?;
            nix::unistd::setuid(identity.uid)?;
        }
        Ok(())
    };
    #[expect(unsafe_code, reason = "the standard library offers no other way to hold a child")]
    // SAFETY: between fork and exec the closure only makes system calls: it takes no lock
    // and allocates nothing (the groups were listed before).
    unsafe {
        builder.pre_exec(announce_and_wait);
    }
    // `spawn` returns only after the command was executed, so it waits on a thread of its own.
    let spawning = std::thread::spawn(move || builder.spawn());
    let mut pid = [0; 4];
    let program = program.to_string_lossy().into_owned();
    if read(&said, &mut pid).context("cannot read from the held child")? != pid.len() {
        bail!("`{program}` cannot be started");
    }
    Ok(Held { pid: Pid(u32::from_ne_bytes(pid)), go, spawning, program })
}

impl Held {
    /// Lets it run.
    ///
    /// # Errors
    /// The command cannot be executed.
    pub fn release(self) -> Result<Child> {
        let Self { go, spawning, program, .. } = self;
        write(&go, &[1]).with_context(|| format!("`{program}` is gone before it began"))?;
        let spawned = spawning.join().map_err(|_| anyhow!("the thread that starts it is gone"))?;
        spawned.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => anyhow!("there is no command `{program}`"),
            io::ErrorKind::PermissionDenied => anyhow!("`{program}` may not be executed"),
            _ => anyhow!("`{program}` cannot be executed: {error}"),
        })
    }
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Held {{ pid: {}, go: {} }}", self.pid, self.go.as_raw_fd())
    }
}

/// The user who called sudo, if that is how this runs.
fn invoking_user() -> Result<Option<Identity>> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(None);
    }
    let id = |name| std::env::var(name).ok().and_then(|value| value.parse().ok());
    let (Some(uid), Some(gid)) = (id("SUDO_UID"), id("SUDO_GID")) else {
        return Ok(None);
    };
    identity(Uid::from_raw(uid), Gid::from_raw(gid)).map(Some)
}

fn identity(uid: Uid, gid: Gid) -> Result<Identity> {
    let user = User::from_uid(uid).context("cannot look up the user who called sudo")?;
    let groups = match user {
        Some(user) => {
            let name = std::ffi::CString::new(user.name)?;
            getgrouplist(&name, gid).context("cannot list the groups of the user")?
        }
        None => vec![gid],
    };
    Ok(Identity { uid, gid, groups })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_child_runs_only_when_released() {
        let held = hold(&["true".into()]).expect("a held child");
        let exe = std::fs::read_link(format!("/proc/{}/exe", held.pid)).expect("it exists");
        assert_eq!(exe, std::env::current_exe().expect("own path"), "nothing ran yet");
        let pid = held.pid.0;
        let mut child = held.release().expect("true exists");
        assert_eq!(child.id(), pid);
        assert!(child.wait().expect("a child").success());
    }

    #[test]
    fn a_command_that_is_not_there_is_said_in_words() {
        let held = hold(&["no-such-command-here".into()]).expect("a held child");
        let error = held.release().expect_err("no such command");
        assert_eq!(error.to_string(), "there is no command `no-such-command-here`");
    }
}
