//! The code of one process: mapped files in, the place of an address and a way to unwind from
//! it out.

use std::{
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use framehop::{MayAllocateDuringUnwind, Module, Unwinder as _, UnwinderNative};

use super::{
    CodeFile, FoundBy, FramePlace, StackEnd, Unwound,
    object_file::{Files, ObjectFile},
    vdso,
};
use crate::{
    host::maps,
    units::{Addr, Pid, Span},
};

/// How framehop is used: sections are shared by the processes that have the file mapped.
pub type Unwinder = UnwinderNative<Arc<[u8]>, MayAllocateDuringUnwind>;

/// Between two readings of a map that no event asked for, at least.
const PAUSE: Duration = Duration::from_millis(50);
/// And this many times what the last one took.
const PAUSE_PER_READING: u32 = 20;
/// Mapped pieces of code kept of one process.
const MOST_SPANS: usize = 16_384;

/// The code of a process.
#[derive(Clone)]
pub struct Code {
    /// In order of address.
    spans: Vec<Mapped>,
    unwinder: Unwinder,
    doubted: bool,
    not_before: Option<Instant>,
}

#[derive(Clone)]
struct Mapped {
    span: Span,
    /// Of its first byte in the file.
    offset: u64,
    /// `None` for memory of no file.
    file: Option<(Rc<CodeFile>, Rc<ObjectFile>)>,
}

impl Default for Code {
    fn default() -> Self {
        Self {
            spans: Vec::new(),
            unwinder: Unwinder::new(),
            doubted: true,
            not_before: None,
        }
    }
}

impl Code {
    /// The map is to be read.
    pub const fn doubt(&mut self) {
        self.doubted = true;
    }

    /// Whether it is.
    pub const fn is_doubted(&self) -> bool {
        self.doubted
    }

    /// A file was mapped.
    pub fn add(&mut self, span: Span, offset: u64, file: CodeFile, object: Rc<ObjectFile>) {
        self.insert(Mapped {
            span,
            offset,
            file: Some((Rc::new(file), object)),
        });
    }

    /// Memory was made executable. What is known of files there stays as it is.
    pub fn add_made(&mut self, span: Span) {
        let touching = |known: &&Mapped| known.span.intersect(span).is_some();
        let mut whole = span;
        for known in self.spans.iter().filter(touching) {
            if known.file.is_some() || known.span.intersect(span) == Some(span) {
                return;
            }
            whole = Span::between(
                whole.start.min(known.span.start),
                whole.end.max(known.span.end),
            );
        }
        self.insert(Mapped {
            span: whole,
            offset: 0,
            file: None,
        });
    }

    fn insert(&mut self, new: Mapped) {
        if new.span.is_empty() || self.spans.len() >= MOST_SPANS {
            return;
        }
        let unwinder = &mut self.unwinder;
        self.spans.retain(|old| {
            let stays = old.span.intersect(new.span).is_none();
            if !stays {
                unwinder.remove_module(old.span.start.0);
            }
            stays
        });
        if let Some((file, object)) = &new.file
            && let Some((base, sections)) = object.at(new.span.start, new.offset)
        {
            let range = new.span.start.0..new.span.end.0;
            let module = Module::new(file.path.clone(), range, base.0, sections);
            unwinder.add_module(module);
        }
        let at = self
            .spans
            .partition_point(|old| old.span.start < new.span.start);
        self.spans.insert(at, new);
    }

    /// Takes the code that the kernel's map has, and opens its files. Where the process is gone,
    /// or is another program now, what was known stays.
    pub fn read(&mut self, pid: Pid, files: &mut Files) {
        self.doubted = false;
        let begun = Instant::now();
        let Ok(vmas) = maps::read_maps(pid) else {
            return;
        };
        let code = vmas
            .iter()
            .filter(|vma| vma.prot.exec && !vma.name.starts_with("[vsyscall"));
        let is_known = |span: Span| self.spans.iter().any(|known| known.span == span);
        let shares = vmas.iter().any(|vma| is_known(vma.span));
        if !self.spans.is_empty() && !shares {
            return;
        }
        for vma in code
            .filter(|vma| !self.has(vma.span, vma.inode))
            .collect::<Vec<_>>()
        {
            let file = (vma.inode != 0 || vma.name == vdso::NAME).then(|| {
                let file = CodeFile {
                    path: vma.name.clone(),
                    inode: vma.inode,
                };
                let object = files.open(pid, vma.span, &file);
                (Rc::new(file), object)
            });
            self.insert(Mapped {
                span: vma.span,
                offset: vma.offset,
                file,
            });
        }
        self.not_before = Some(Instant::now() + PAUSE.max(begun.elapsed() * PAUSE_PER_READING));
    }

    /// Reads the map because an address is not known, unless that was done just now. Returns
    /// whether it did.
    pub fn read_again(&mut self, pid: Pid, files: &mut Files) -> bool {
        if self.not_before.is_some_and(|at| Instant::now() < at) {
            return false;
        }
        self.not_before = Some(Instant::now() + PAUSE);
        self.read(pid, files);
        true
    }

    fn has(&self, span: Span, inode: u64) -> bool {
        self.spans.iter().any(|known| {
            let known_inode = known.file.as_ref().map_or(0, |(file, _)| file.inode);
            known.span == span && known_inode == inode
        })
    }

    fn find(&self, addr: Addr) -> Option<&Mapped> {
        let behind = self.spans.partition_point(|known| known.span.start <= addr);
        let found = self.spans.get(behind.checked_sub(1)?)?;
        found.span.contains(addr).then_some(found)
    }

    /// What frames are followed by.
    pub const fn unwinder(&self) -> &Unwinder {
        &self.unwinder
    }

    /// Whether an address is code.
    pub fn contains(&self, addr: Addr) -> bool {
        self.find(addr).is_some()
    }

    /// The file of an address, and the offset that it has there.
    fn locate(&self, addr: Addr) -> Option<(&ObjectFile, u64)> {
        let found = self.find(addr)?;
        let (_, object) = found.file.as_ref()?;
        let offset = (addr.0 - found.span.start.0).checked_add(found.offset)?;
        Some((object, offset))
    }

    /// Whether the file of an address has tables to unwind by.
    pub fn has_tables(&self, addr: Addr) -> bool {
        self.locate(addr)
            .is_some_and(|(object, _)| object.has_tables())
    }

    /// Whether the instruction before an address is a call, as its file says.
    pub fn follows_call(&self, addr: Addr) -> bool {
        self.locate(addr)
            .is_some_and(|(object, offset)| object.follows_call(offset))
    }

    /// Whether an address is what the handler of a signal returns to, as its file says.
    pub fn is_signal_return(&self, addr: Addr) -> bool {
        self.locate(addr)
            .is_some_and(|(object, offset)| object.is_signal_return(offset))
    }

    /// Whether an address lies where a program, or the loader, begins to run.
    pub fn is_entry(&self, addr: Addr) -> bool {
        self.locate(addr)
            .is_some_and(|(object, offset)| object.is_entry(offset))
    }

    /// Frames, told by an address within the instruction of each, as places in files.
    pub fn places(&self, frames: &[(Addr, FoundBy)], end: StackEnd) -> Unwound {
        let mut files: Vec<CodeFile> = Vec::new();
        let mut place = |&(addr, by): &(Addr, FoundBy)| {
            let found = self.find(addr);
            let Some((mapped, (file, _))) =
                found.and_then(|mapped| Some((mapped, mapped.file.as_ref()?)))
            else {
                return FramePlace {
                    file: None,
                    at: addr.0,
                    by,
                };
            };
            let index = files.iter().position(|known| known == &**file);
            let index = index.unwrap_or_else(|| {
                files.push((**file).clone());
                files.len() - 1
            });
            FramePlace {
                file: u32::try_from(index).ok(),
                at: (addr.0 - mapped.span.start.0).wrapping_add(mapped.offset),
                by,
            }
        };
        let frames = frames.iter().map(&mut place).collect();
        Unwound { files, frames, end }
    }
}
