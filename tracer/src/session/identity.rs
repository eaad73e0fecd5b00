//! Which address space a process uses, by the kernel's identity of it: `mm_struct`, not pid.

use super::Session;
use crate::{event::Event, space::piece::Provenance, track::Tracked, world::World};

impl<W: World> Session<'_, W> {
    /// Holds the identity that an event tells against the one known. Processes that turn out
    /// to share an address space (`CLONE_VM`) get one model; one that has another than before
    /// has executed a program, though the record of that was lost.
    pub(super) fn identify(&mut self, event: &Event) {
        let Some(mm) = event.kernel.map(|figures| figures.mm) else {
            return;
        };
        let Some(process) = self.processes.get_mut(&event.pid) else {
            return;
        };
        let pid = process.pid;
        match process.mm.replace(mm) {
            Some(known) if known == mm => {}
            Some(_) => {
                let unread = Tracked::unread(self.page, Provenance::Exec);
                self.replace_space(event, "", unread);
            }
            None => {
                let mine = process.space;
                let sharer = self
                    .processes
                    .values()
                    .find(|other| other.pid != pid && other.mm == Some(mm) && other.space != mine);
                if let Some(space) = sharer.map(|sharer| sharer.space) {
                    self.share(event.pid, space);
                }
            }
        }
    }

    /// Gives a process the address space of another. What either knew was half of it.
    fn share(&mut self, pid: crate::units::Pid, space: super::process::SpaceId) {
        let Some(process) = self.processes.get_mut(&pid) else {
            return;
        };
        let left = std::mem::replace(&mut process.space, space);
        self.leave(left);
        self.note_sharing(space);
        if let Some(tracked) = self.spaces.get_mut(&space) {
            tracked.doubt();
        }
    }
}
