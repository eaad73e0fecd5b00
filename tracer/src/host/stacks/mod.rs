//! Stacks of processes: slices of stacks in, return addresses as places in files out; and
//! places in, names of functions and lines of sources out.
//!
//! A file is opened when its code is mapped, so that it can be read when the process has ended
//! or the file is gone. What the files say is data of strangers: read in parts and bounded, and
//! nothing that they name is opened; the private module `debug_file` has the one exception.

mod code;
mod compressed;
mod debug_file;
mod mini_debug;
mod object_file;
mod perf_map;
mod private_copy;
mod signal_frame;
mod symbols;
mod vdso;
mod walk;

use std::{collections::HashMap, rc::Rc};

use framehop::{CacheNative, MayAllocateDuringUnwind};
use serde::{Deserialize, Serialize};
use tracer_ebpf::{SPOT_SLOTS, SPOT_WINDOW, Spot, SpotKey};

pub use symbols::Symbol;

pub use crate::attribute::evidence::{FoundBy, StackEnd};
use crate::{
    event::StackSlice,
    units::{Addr, Pid, Span},
};
use code::Code;
use object_file::Files;

/// Places of which it is kept where on the stack return addresses are: as many as the kernel
/// side keeps.
const MOST_SPOTS: usize = 16_384;
/// Processes whose code is kept.
const MOST_PROCESSES: usize = 16_384;

/// A stack, unwound.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unwound {
    /// The files that its frames lie in.
    pub files: Vec<CodeFile>,
    /// Its frames, innermost first.
    pub frames: Vec<FramePlace>,
    /// Where it ends.
    pub end: StackEnd,
}

/// A file whose code a process runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CodeFile {
    /// Its path, as `/proc/<pid>/maps` shows it; `[vdso]` is the kernel's own image.
    pub path: String,
    /// Its inode; 0 of that image.
    pub inode: u64,
}

/// A frame of a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FramePlace {
    /// Which of [`Unwound::files`]; `None` for code that is in no file.
    pub file: Option<u32>,
    /// An offset in the file, else an address. It is within the instruction that is executed:
    /// one less than a return address.
    pub at: u64,
    /// How it was found.
    pub by: FoundBy,
}

/// What happened to the code of a process.
#[derive(Clone, Debug)]
pub enum CodeNews {
    /// Its map tells.
    Unknown,
    /// A file was mapped executable there.
    Mapped {
        /// Where.
        span: Span,
        /// From where in the file on, bytes.
        offset: u64,
        /// Which file.
        file: CodeFile,
    },
    /// Memory was made executable there; if it is of no file, its process writes the code.
    Made(Span),
    /// It is a copy of this process.
    ForkOf(Pid),
    /// It executes another program.
    Executed,
    /// It is not observed any more.
    Gone,
}

/// The code of all processes, and what unwinding keeps between stacks. It begins with the kernel's
/// image, which is read then: later this process may have lost the right to read its own memory.
pub struct Stacks {
    files: Files,
    processes: HashMap<Pid, Rc<Code>>,
    /// Of processes whose code is in no file.
    roots: HashMap<Pid, perf_map::Root>,
    cache: CacheNative<MayAllocateDuringUnwind>,
    spots: HashMap<SpotKey, Spot>,
}

impl Default for Stacks {
    fn default() -> Self {
        Self {
            files: Files::new(),
            processes: HashMap::new(),
            roots: HashMap::new(),
            cache: CacheNative::new_in(),
            spots: HashMap::new(),
        }
    }
}

impl Stacks {
    /// The code of a process changed.
    pub fn learn(&mut self, pid: Pid, news: CodeNews) {
        match news {
            CodeNews::Unknown => self.code_mut(pid).doubt(),
            CodeNews::Mapped { span, offset, file } => {
                let object = self.files.open(pid, span, &file);
                self.code_mut(pid).add(span, offset, file, object);
            }
            CodeNews::Made(span) => self.code_mut(pid).add_made(span),
            CodeNews::ForkOf(parent) => {
                if let Some(code) = self.processes.get(&parent) {
                    let code = Rc::clone(code);
                    self.processes.insert(pid, code);
                }
            }
            CodeNews::Executed => {
                self.processes.remove(&pid);
                self.code_mut(pid).doubt();
            }
            CodeNews::Gone => {
                self.processes.remove(&pid);
            }
        }
        if self.processes.len() > MOST_PROCESSES {
            self.processes.clear();
        }
    }

    fn code_mut(&mut self, pid: Pid) -> &mut Code {
        Rc::make_mut(self.processes.entry(pid).or_default())
    }

    /// Reads the maps of processes of which something is not known, while they are there.
    pub fn catch_up(&mut self) {
        for (pid, code) in &mut self.processes {
            if code.is_doubted() {
                Rc::make_mut(code).read(*pid, &mut self.files);
            }
        }
    }

    /// Unwinds a stack. The second value is where its place has return addresses, if that is
    /// news to the kernel side.
    pub fn unwind(&mut self, slice: &StackSlice) -> (Unwound, Option<(SpotKey, Spot)>) {
        let pid = slice.pid;
        let mut code = self.processes.remove(&pid).unwrap_or_default();
        if code.is_doubted() {
            Rc::make_mut(&mut code).read(pid, &mut self.files);
        }
        let mut walk = walk::walk(&code, &mut self.cache, slice);
        if walk.met_unknown && Rc::make_mut(&mut code).read_again(pid, &mut self.files) {
            walk = walk::walk(&code, &mut self.cache, slice);
        }
        let unwound = code.places(&walk.frames, walk.end);
        if unwound.frames.iter().any(|frame| frame.file.is_none()) {
            self.roots
                .entry(pid)
                .or_insert_with(|| perf_map::Root::of(pid));
        }
        self.processes.insert(pid, code);
        (unwound, self.widen(slice, &walk.slots))
    }

    /// Adds slots to those of a place; tells them if there are new ones.
    fn widen(&mut self, slice: &StackSlice, slots: &[u16]) -> Option<(SpotKey, Spot)> {
        let key = SpotKey {
            tgid: u64::from(slice.pid.0),
            image: slice.image,
            ip: slice.ip.0,
            sp: slice.sp.0,
        };
        if self.spots.len() >= MOST_SPOTS {
            self.spots.clear();
        }
        let known = self.spots.entry(key).or_default();
        let mut all: Vec<u16> = known
            .slots
            .iter()
            .copied()
            .filter(|slot| *slot != 0)
            .collect();
        let before = all.len();
        all.extend(slots);
        all.sort_unstable();
        all.dedup();
        all.truncate(SPOT_SLOTS);
        if all.len() == before {
            return None;
        }
        let within = all.iter().filter(|slot| usize::from(**slot) <= SPOT_WINDOW);
        known.window = within.max().copied().unwrap_or(0);
        let filled = known.slots.iter_mut().zip(all);
        filled.for_each(|(slot, value)| *slot = value);
        Some((key, *known))
    }

    /// What lies at places of a file.
    ///
    /// # Errors
    /// Why it cannot be read, in words.
    pub fn symbols(
        &mut self,
        pid: Pid,
        file: &CodeFile,
        offsets: &[u64],
    ) -> Result<Vec<(u64, Vec<Symbol>)>, String> {
        let object = self.files.open(pid, Span::default(), file);
        symbols::of_file(&object, &file.path, offsets)
    }

    /// What lies at addresses outside of files, as the process itself says.
    pub fn made_code(&mut self, pid: Pid, addresses: &[Addr]) -> Vec<(Addr, String)> {
        let root = self
            .roots
            .entry(pid)
            .or_insert_with(|| perf_map::Root::of(pid));
        root.names(addresses)
    }
}
