//! Starts a command that waits until it is observed: a command line in, a held child out.
//!
//! It is held twice: before it executes the command, so that probes can be told of it, and
//! (by ptrace, which is let go of at once) before the command's first instruction, so that
//! the map which the kernel made for it can be read while nothing moves. If functions of its
//! libraries are to be probed before they run, it is held once more at each that its loader maps
//! ([`Loaded::next_code`]). Under sudo the command runs as the user who called sudo, not as root.

use std::{
    ffi::OsString,
    io,
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::process::CommandExt as _,
    },
    process::{Child, Command},
    sync::mpsc::{self, Receiver, Sender},
    thread::JoinHandle,
};

use anyhow::{Context as _, Result, anyhow, bail};
use nix::{
    fcntl::OFlag,
    sys::ptrace,
    unistd::{Gid, Uid, User, getgrouplist, pipe2, read, write},
};

use super::step::Stop;
use crate::units::{Pid, Span};

/// A child that has not run its command yet.
pub struct Held {
    /// Its process id, which the command will have.
    pub pid: Pid,
    go: OwnedFd,
    said: OwnedFd,
    spawning: JoinHandle<io::Result<Child>>,
    stopped: Receiver<bool>,
    resume: Sender<Resume>,
    program: String,
}

/// How a held child is to go on.
enum Resume {
    /// Until its loader has mapped code, or is done.
    ToNextCode {
        /// Where the loader is.
        loader: Vec<Span>,
    },
    /// For good.
    Freely,
}

/// A child that has its command's image and has not run any of it, unless the kernel
/// refused to hold it.
pub struct Loaded {
    spawning: JoinHandle<io::Result<Child>>,
    stopped: Receiver<bool>,
    resume: Sender<Resume>,
    traced: bool,
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
        write(&say, &[u8::from(ptrace::traceme().is_ok())])?;
        Ok(())
    };
    #[expect(
        unsafe_code,
        reason = "the standard library offers no other way to hold a child"
    )]
    // SAFETY: between fork and exec the closure only makes system calls: it takes no lock
    // and allocates nothing (the groups were listed before).
    unsafe {
        builder.pre_exec(announce_and_wait);
    }
    let (has_stopped, stopped) = mpsc::channel();
    let (resume, may_resume) = mpsc::channel();
    // `spawn` returns only after the command was executed, so it waits on a thread of its
    // own; and only the thread that forked may let go of a traced child.
    let spawning = std::thread::spawn(move || {
        let child = builder.spawn();
        // The other side may have given up: then the child simply runs on.
        let _ = has_stopped.send(true);
        let mut stop = Stop::AtExec;
        while let Ok(Resume::ToNextCode { loader }) = may_resume.recv() {
            let mapped = child
                .as_ref()
                .is_ok_and(|child| stop.advance(child, &loader));
            let _ = has_stopped.send(mapped);
        }
        if let Ok(child) = &child {
            stop.let_go(child);
        }
        child
    });
    let mut pid = [0; 4];
    let program = program.to_string_lossy().into_owned();
    if read(&said, &mut pid).context("cannot read from the held child")? != pid.len() {
        bail!("`{program}` cannot be started");
    }
    let pid = Pid(u32::from_ne_bytes(pid));
    Ok(Held {
        pid,
        go,
        said,
        spawning,
        stopped,
        resume,
        program,
    })
}

impl Held {
    /// Lets it execute its command, up to the first instruction.
    ///
    /// # Errors
    /// The command cannot be executed.
    pub fn load(self) -> Result<Loaded> {
        let Self {
            go,
            said,
            spawning,
            stopped,
            resume,
            program,
            pid,
        } = self;
        write(&go, &[1]).with_context(|| format!("`{program}` is gone before it began"))?;
        let mut traced = [0];
        let traced = matches!(read(&said, &mut traced), Ok(1)) && traced == [1];
        // Ends too if the thread is gone, whose error `resume` then gives.
        let _ = stopped.recv();
        if traced {
            wait_for_stop(pid);
        }
        Ok(Loaded {
            spawning,
            stopped,
            resume,
            traced,
            program,
        })
    }
}

/// Waits until the traced child stands still (state `t` in `/proc/<pid>/stat`): it does so
/// on its way out of exec. A child that could not execute is gone instead.
fn wait_for_stop(pid: Pid) {
    let stat = || {
        let process = procfs::process::Process::new(i32::try_from(pid.0).ok()?).ok()?;
        process.stat().ok().map(|stat| stat.state)
    };
    for _ in 0..1000 {
        match stat() {
            None | Some('t' | 'Z' | 'X') => return,
            Some(_) => std::thread::sleep(std::time::Duration::from_micros(100)),
        }
    }
}

impl Loaded {
    /// Lets it run until its loader has mapped code, which has not run then; `loader` is where
    /// that is. False if the loader is done, or the child cannot be held: then it stands still
    /// before other code than the loader's has made a system call.
    pub fn next_code(&self, loader: &[Span]) -> bool {
        let resume = Resume::ToNextCode {
            loader: loader.to_vec(),
        };
        self.traced && self.resume.send(resume).is_ok() && self.stopped.recv() == Ok(true)
    }

    /// Lets it run.
    ///
    /// # Errors
    /// The command could not be executed.
    pub fn resume(self) -> Result<Child> {
        let Self {
            spawning,
            resume,
            program,
            ..
        } = self;
        let _ = resume.send(Resume::Freely);
        let spawned = spawning
            .join()
            .map_err(|_| anyhow!("the thread that starts it is gone"))?;
        spawned.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => anyhow!("there is no command `{program}`"),
            io::ErrorKind::PermissionDenied => anyhow!("`{program}` may not be executed"),
            _ => anyhow!("`{program}` cannot be executed: {error}"),
        })
    }
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Held {{ pid: {}, go: {} }}",
            self.pid,
            self.go.as_raw_fd()
        )
    }
}

/// The user who called sudo, if that is how this runs.
fn invoking_user() -> Result<Option<Identity>> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(None);
    }
    let id = |name| {
        std::env::var(name)
            .ok()
            .and_then(|value| value.parse().ok())
    };
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
        assert_eq!(
            exe,
            std::env::current_exe().expect("own path"),
            "nothing ran yet"
        );
        let pid = held.pid.0;
        let loaded = held.load().expect("a loaded child");
        let exe = std::fs::read_link(format!("/proc/{pid}/exe")).expect("it exists");
        assert!(
            exe.to_string_lossy().contains("true") || exe.ends_with("coreutils"),
            "{exe:?}"
        );
        let maps = crate::host::maps::read_maps(Pid(pid)).expect("it stands still");
        assert!(
            !maps.iter().any(|vma| vma.name.contains("libc.so")),
            "nothing of it ran yet"
        );
        let mut child = loaded.resume().expect("true exists");
        assert_eq!(child.id(), pid);
        assert!(child.wait().expect("a child").success());
    }

    #[test]
    fn a_command_that_is_not_there_is_said_in_words() {
        let held = hold(&["no-such-command-here".into()]).expect("a held child");
        let loaded = held.load().expect("the child tries");
        let error = loaded.resume().expect_err("no such command");
        assert_eq!(
            error.to_string(),
            "there is no command `no-such-command-here`"
        );
    }
}
