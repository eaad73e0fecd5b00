//! When the kernel's map is read: at the start, after exec, in doubt, for names, at the end.

use super::{Session, facts, process::SpaceId};
use crate::{
    event::Event,
    space::reading::Reading,
    track::Accepted,
    units::Pid,
    world::{Calls, World},
};

/// Readings tried before one that calls disturbed is taken.
const TRIES: usize = 6;
/// Turns to wait at most before names are looked for again.
const LONGEST_NAME_WAIT: u32 = 64;

impl<W: World> Session<'_, W> {
    /// Reads the map of every process whose model waits for it.
    pub(super) fn read_where_wanted(&mut self, show: &mut dyn FnMut(&Event)) {
        let now = self.world.now();
        let waiting: Vec<Pid> = self
            .processes
            .values()
            .filter(|process| !process.awaits_exec)
            .filter(|process| {
                self.spaces
                    .get(&process.space)
                    .is_some_and(|tracked| tracked.is_reading_due(now))
            })
            .map(|process| process.pid)
            .collect();
        for pid in waiting {
            self.read_map(pid, show);
        }
    }

    fn read_map(&mut self, pid: Pid, show: &mut dyn FnMut(&Event)) {
        for attempt in 1..=TRIES {
            let before = self.space_of(pid);
            // If it is gone, an event will say so or the next turn will find out.
            let Ok(reading) = self.read(pid) else {
                return;
            };
            // Then no later try would find it at rest, and each costs as much as this one.
            let behind = self.catch_up(&reading, show);
            let space = self.space_of(pid);
            if space != before {
                // It executed another program meanwhile: this is the old one's map, or some
                // of both.
                continue;
            }
            let Some(tracked) = space.and_then(|space| self.spaces.get_mut(&space)) else {
                return;
            };
            tracked.note_rss(reading.rss, None, reading.ended);
            if let Some(process) = self.processes.get_mut(&pid) {
                process.note_first_reading(&reading);
            }
            if tracked.offer(&reading, attempt == TRIES || behind) != Accepted::Disturbed {
                return;
            }
        }
    }

    /// Reads a map, and whether calls were under way meanwhile in any of the processes that
    /// use it.
    pub(super) fn read(&mut self, pid: Pid) -> anyhow::Result<Reading> {
        let space = self.space_of(pid);
        let users = self.processes.values();
        let users = users.filter(|process| Some(process.space) == space);
        let users: Vec<Pid> = users.map(|process| process.pid).collect();
        let before = self.calls(&users);
        let mut reading = self.world.reading(pid)?;
        let after = self.calls(&users);
        reading.other_stacks = reading.has_more_stacks_than(&reading.vmas)
            && self
                .world
                .maps(pid)
                .is_ok_and(|later| reading.has_more_stacks_than(&later));
        reading.disturbed = before
            .zip(after)
            .map(|(before, after)| before != after || !before.iter().all(|calls| calls.are_over()));
        Ok(reading)
    }

    fn calls(&mut self, pids: &[Pid]) -> Option<Vec<Calls>> {
        let calls = pids.iter().map(|pid| self.world.calls(*pid).ok());
        calls.collect()
    }

    /// Compares the model with the kernel's map, and takes the kernel's word. Returns
    /// VmSize by the kernel, and whether calls went on so that nothing could be decided.
    pub(super) fn verify(&mut self, pid: Pid, show: &mut dyn FnMut(&Event)) -> Option<Verified> {
        let mut last = None;
        for attempt in 1..=TRIES {
            let before = self.space_of(pid)?;
            let reading = self.read(pid).ok()?;
            // Then no later try would find it at rest, and each costs as much as this one.
            let behind = self.catch_up(&reading, show);
            let space = self.space_of(pid)?;
            if space != before {
                continue;
            }
            let decided = self
                .spaces
                .get_mut(&space)?
                .verify(&reading, attempt == TRIES || behind);
            last = Some(Verified {
                names_memory: reading.vmas.iter().any(|vma| vma.name.starts_with("[anon")),
                kernel_vm_size: reading.vm_size,
                decided,
            });
            if decided || behind {
                break;
            }
        }
        last
    }

    /// Asks what the reports will need of object files, in case later answers get lost.
    pub(super) fn inspect_files(&mut self) {
        for process in self.processes.values() {
            if let Some(tracked) = self.spaces.get(&process.space) {
                let (space, program) = (tracked.space(), &process.target.exe);
                let caches = (&mut self.elf, &mut self.stacks);
                facts::gather(space, process.pid, program, &[], self.world, caches);
            }
        }
    }

    pub(super) fn space_of(&self, pid: Pid) -> Option<SpaceId> {
        self.processes.get(&pid).map(|process| process.space)
    }

    /// Files are mapped by descriptor; their names are only in the kernel's map.
    pub(super) fn learn_names(&mut self) {
        let processes = self.processes.values_mut();
        for process in processes.filter(|process| process.names_wanted) {
            let Some(tracked) = self.spaces.get_mut(&process.space) else {
                continue;
            };
            if tracked.wants_reading() || !tracked.space().has_unnamed_files() {
                process.names_wanted = tracked.wants_reading();
                process.names_wait = (0, 1);
                continue;
            }
            let (wait, next) = process.names_wait;
            if wait > 0 {
                process.names_wait = (wait - 1, next);
                continue;
            }
            // A file that was unmapped before its name was read stays unnamed: look ever
            // more rarely.
            process.names_wait = (next, (next * 2).min(LONGEST_NAME_WAIT));
            if let Ok(vmas) = self.world.maps(process.pid) {
                tracked.space_mut().learn_names(&vmas);
            }
        }
    }
}

/// What a comparison with the kernel's map at the end gave.
#[derive(Clone, Copy, Debug)]
pub(super) struct Verified {
    /// VmSize by the kernel.
    pub kernel_vm_size: crate::units::Bytes,
    /// Whether no call disturbed it.
    pub decided: bool,
    /// Whether this kernel keeps `PR_SET_VMA` names.
    pub names_memory: bool,
}
