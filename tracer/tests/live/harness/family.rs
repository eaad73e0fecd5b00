//! A program and all that it starts: one process group, stopped, looked at and killed as one.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::process::CommandExt as _,
    process::{ChildStdout, Command},
};

use nix::sys::signal::{Signal, kill};

use super::{
    kernel::{Picture, states},
    process::{Running, raw},
    wait_for,
};

/// The processes of a group. Killed in the end.
pub struct Family {
    group: u32,
    /// If it is a child of the test.
    leader: Option<Running>,
}

/// All of a family, standing still; goes on when this is dropped.
pub struct StoppedFamily<'f> {
    family: &'f Family,
    /// By process id.
    pub pictures: BTreeMap<u32, Picture>,
}

impl Family {
    /// Starts a program as the leader of a group of its own.
    pub fn start(command: &mut Command) -> Self {
        let leader = Running::start(command.process_group(0));
        Self {
            group: leader.pid(),
            leader: Some(leader),
        }
    }

    /// The group that a child of this process leads.
    pub fn of_child(parent: u32) -> Self {
        let group = wait_for("a child that leads a group", || {
            let leads = |pid: &u32| field(*pid, GROUP) == Some(*pid);
            let mut children = processes().filter(|pid| field(*pid, PARENT) == Some(parent));
            children.find(leads)
        });
        Self {
            group,
            leader: None,
        }
    }

    /// Its leader, which is there as long as nobody waited for it.
    pub const fn pid(&self) -> u32 {
        self.group
    }

    /// The standard output of the program that was started, if it was asked for.
    pub fn take_stdout(&mut self) -> ChildStdout {
        let leader = self.leader.as_mut().and_then(Running::take_stdout);
        leader.expect("a pipe, taken once")
    }

    /// Who is in it now, the eldest last: it stays longest.
    pub fn pids(&self) -> Vec<u32> {
        let members = processes().filter(|pid| field(*pid, GROUP) == Some(self.group));
        let mut pids: Vec<u32> = members.collect();
        pids.sort_by_key(|pid| (*pid == self.group, *pid));
        pids
    }

    /// Those with an address space that were there `before` and are still: most likely they
    /// stay.
    pub fn elders(&self, before: &[u32]) -> Vec<u32> {
        let mut now = self.pids();
        now.retain(|pid| before.contains(pid) && has_memory(*pid));
        now
    }

    /// Stops all of it, and looks at each process that has an address space.
    pub fn stop(&self) -> StoppedFamily<'_> {
        // From here on, so that all goes on if this fails.
        let mut stopped = StoppedFamily {
            family: self,
            pictures: BTreeMap::new(),
        };
        let mut before = None;
        wait_for("the family to stand still", || {
            // Those that were made meanwhile too.
            self.signal(Signal::SIGSTOP);
            let now = self.pids().into_iter().map(|pid| (pid, states(pid)));
            let now: Vec<(u32, Vec<char>)> = now.collect();
            let mut all = now.iter().flat_map(|(_, states)| states);
            // A parent that waits for the child of its `vfork` cannot stop before that ends,
            // and cannot do anything either. Some debug each other.
            let still = all.all(|state| matches!(state, 'T' | 't' | 'Z' | 'X' | 'D'));
            let same = before.as_ref() == Some(&now);
            before = Some(now);
            (still && same).then_some(())
        });
        stopped.pictures = self.pictures();
        stopped
    }

    fn pictures(&self) -> BTreeMap<u32, Picture> {
        let pids = self.pids().into_iter();
        let pictures = pids.filter_map(|pid| Some((pid, Picture::of(pid)?)));
        pictures.collect()
    }

    fn signal(&self, signal: Signal) {
        for pid in self.pids() {
            // It may have ended meanwhile.
            let _ = kill(raw(pid), signal);
        }
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        wait_for("the family to end", || {
            self.signal(Signal::SIGKILL);
            if let Some(leader) = &mut self.leader {
                leader.reap();
            }
            let left = self.pids().into_iter().flat_map(states);
            let mut left = left.filter(|state| *state != 'Z');
            left.next().is_none().then_some(())
        });
    }
}

impl StoppedFamily<'_> {
    /// Asserts that all of it stood still since it was stopped.
    pub fn check_still(&self) {
        let now = self.family.pictures();
        let ids = self.pictures.keys().chain(now.keys());
        let moved = ids.filter(|pid| self.pictures.get(pid) != now.get(pid));
        let moved: Vec<_> = moved.map(|pid| (pid, states(*pid))).collect();
        assert!(moved.is_empty(), "not all stood still: {moved:?}");
    }
}

impl Drop for StoppedFamily<'_> {
    fn drop(&mut self) {
        self.family.signal(Signal::SIGCONT);
    }
}

/// Whether a process has an address space, by the first field of `/proc/<pid>/statm`.
pub fn has_memory(pid: u32) -> bool {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    statm.split(' ').next().is_some_and(|pages| pages != "0")
}

/// Fields of `/proc/<pid>/stat`, counted from behind the name.
const PARENT: usize = 1;
const GROUP: usize = 2;

fn field(pid: u32, field: usize) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    fields.split(' ').nth(field)?.parse().ok()
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").expect("/proc is there").flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}
