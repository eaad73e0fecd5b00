//! Files and names that pieces refer to, each kept once.

use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    piece::{FileId, NameId},
    vma::Vma,
};
use crate::event::FileSeen;

/// A file behind a mapping.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FileName {
    /// As the last column of `/proc/<pid>/maps`; `None` until it has been read there.
    pub name: Option<String>,
    /// `major << 32 | minor`, 0 if unknown.
    pub device: u64,
    /// 0 if unknown.
    pub inode: u64,
    /// Whether the above is what the kernel side saw when the file was mapped, not what the
    /// map shows: it can differ for a process with another root.
    pub provisional: bool,
}

/// All files and names of one address space.
///
/// A mapping whose file no one could tell makes an id of its own. So two ids can be one
/// file: equal device, inode and name. An id keeps its meaning as long as a piece or a call
/// site refers to it, then it may be given anew.
#[derive(Clone, Debug, Default)]
pub struct Names {
    files: Table<FileName>,
    names: Table<String>,
}

/// The files and names that are in use.
#[derive(Debug, Default)]
pub(super) struct InUse {
    pub files: FxHashSet<FileId>,
    pub names: FxHashSet<NameId>,
}

static UNNAMED: FileName = FileName {
    name: None,
    device: 0,
    inode: 0,
    provisional: false,
};

impl Names {
    /// A file.
    #[must_use]
    pub fn file(&self, id: FileId) -> &FileName {
        self.files.get(id.0).unwrap_or(&UNNAMED)
    }

    /// Every file, in the order of their ids.
    pub fn files(&self) -> impl Iterator<Item = (FileId, &FileName)> {
        (0..).map(FileId).zip(&self.files.slots)
    }

    /// A `PR_SET_VMA` name.
    #[must_use]
    pub fn name(&self, id: NameId) -> &str {
        self.names.get(id.0).map_or("", String::as_str)
    }

    /// A file that is not known yet.
    pub(super) fn unnamed_file(&mut self) -> FileId {
        FileId(self.files.add(UNNAMED.clone()))
    }

    /// A file that the kernel side saw.
    pub(super) fn seen_file(&mut self, seen: &FileSeen) -> FileId {
        FileId(self.files.intern(FileName {
            name: seen.path.clone(),
            device: seen.device,
            inode: seen.inode,
            provisional: true,
        }))
    }

    /// The file of a line of the kernel's map.
    pub(super) fn file_of(&mut self, vma: &Vma) -> FileId {
        FileId(self.files.intern(FileName::of(vma)))
    }

    /// The file that a line of the kernel's map shows for bytes of a file: the same one, its
    /// name learnt, unless the map says that the kernel swapped it. File systems and
    /// drivers do that when they map (overlayfs; `/dev/zero`, which makes a new file each
    /// time).
    pub(super) fn learn(&mut self, id: FileId, vma: &Vma) -> FileId {
        if !self.is_unnamed(id) {
            return id;
        }
        let known = self.file(id);
        if known.inode != 0 && (known.device, known.inode) != (vma.device, vma.inode) {
            return self.file_of(vma);
        }
        self.files.set(id.0, FileName::of(vma));
        id
    }

    /// Whether bytes of a file may be what a line of the kernel's map shows.
    pub(super) fn may_be(&self, id: FileId, vma: &Vma) -> bool {
        let known = self.file(id);
        self.is_unnamed(id)
            || ((known.device, known.inode) == (vma.device, vma.inode)
                // Paths change when files are moved or deleted; inodes stay.
                && (vma.inode != 0 || known.name.as_ref() == Some(&vma.name)))
    }

    /// Whether a file's name was not read from the kernel's map yet.
    pub(super) fn is_unnamed(&self, id: FileId) -> bool {
        let file = self.file(id);
        file.name.is_none() || file.provisional
    }

    /// The id of a `PR_SET_VMA` name.
    pub(super) fn intern(&mut self, name: &str) -> NameId {
        NameId(self.names.intern(name.to_owned()))
    }

    /// Whether it is time to tell which ids are in use, see [`Names::sweep`].
    pub(super) fn is_crowded(&self) -> bool {
        self.files.is_crowded() || self.names.is_crowded()
    }

    /// Frees the ids that are not in use. A process may map and unmap files, or name
    /// memory, without end.
    pub(super) fn sweep(&mut self, used: &InUse) {
        self.files.sweep(|id| used.files.contains(&FileId(id)));
        self.names.sweep(|id| used.names.contains(&NameId(id)));
    }
}

impl FileName {
    fn of(vma: &Vma) -> Self {
        Self {
            name: Some(vma.name.clone()),
            device: vma.device,
            inode: vma.inode,
            provisional: false,
        }
    }
}

/// Values by number, and numbers by the values they have or had. Values equal to the
/// default are not looked up.
#[derive(Clone, Debug, Default)]
struct Table<T> {
    slots: Vec<T>,
    ids: FxHashMap<T, u32>,
    free: Vec<u32>,
    /// How many ids were in use when last told.
    used: usize,
}

impl<T: Clone + Default + Eq + std::hash::Hash> Table<T> {
    const ROOM: usize = 1024;

    fn get(&self, id: u32) -> Option<&T> {
        self.slots.get(id as usize)
    }

    fn add(&mut self, value: T) -> u32 {
        if let Some(id) = self.free.pop() {
            self.set(id, value);
            return id;
        }
        // 2^32 slots do not fit into memory.
        let id = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        self.slots.push(T::default());
        self.set(id, value);
        id
    }

    fn set(&mut self, id: u32, value: T) {
        if value != T::default() {
            self.ids.entry(value.clone()).or_insert(id);
        }
        if let Some(slot) = self.slots.get_mut(id as usize) {
            *slot = value;
        }
    }

    fn intern(&mut self, value: T) -> u32 {
        match self.ids.get(&value) {
            Some(&id) => id,
            None => self.add(value),
        }
    }

    fn is_crowded(&self) -> bool {
        self.free.is_empty() && self.slots.len() >= 2 * self.used + Self::ROOM
    }

    fn sweep(&mut self, used: impl Fn(u32) -> bool) {
        let ids = 0..u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        self.free = ids.filter(|&id| !used(id)).collect();
        self.used = self.slots.len() - self.free.len();
        for &id in &self.free {
            if let Some(slot) = self.slots.get_mut(id as usize) {
                *slot = T::default();
            }
        }
        self.ids.retain(|_, id| used(*id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_given_anew_once_nothing_refers_to_them() {
        let mut names = Names::default();
        let kept = names.intern("kept");
        for n in 0..10_000 {
            if names.is_crowded() {
                let mut used = InUse::default();
                used.names.insert(kept);
                names.sweep(&used);
            }
            names.unnamed_file();
            names.intern(&format!("name {n}"));
        }
        assert!(
            names.files.slots.len() <= 1100,
            "{}",
            names.files.slots.len()
        );
        assert!(
            names.names.slots.len() <= 1100,
            "{}",
            names.names.slots.len()
        );
        assert_eq!(names.name(kept), "kept");
        assert_eq!(names.intern("kept"), kept);
    }

    #[test]
    fn an_id_never_given_is_an_unnamed_file() {
        let names = Names::default();
        assert_eq!(names.file(FileId(7)).name, None);
        assert_eq!(names.name(NameId(7)), "");
    }
}
