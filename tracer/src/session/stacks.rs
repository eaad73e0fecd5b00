//! The stacks of a run: slices in, each distinct stack kept once; what lies at its frames is
//! asked when a report needs it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use crate::{
    attribute::evidence::{FoundBy, Frame, StackEnd},
    event::{StackKey, StackSlice},
    space::piece::FileId,
    units::{Addr, Pid, StackId},
    world::{CodeFile, FramePlace, Symbol, Unwound, World},
};

/// Distinct stacks that are kept; of more, calls have none.
const MOST_STACKS: usize = 65_536;
/// Keys that are kept: more than the kernel side keeps.
const MOST_KEYS: usize = 1 << 17;

/// A file, by its place in [`Stacks`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct CodeFileId(u32);

/// A frame of a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Place {
    /// `None` for code in no file.
    file: Option<CodeFileId>,
    /// An offset in the file, else an address.
    at: u64,
    /// How it was found.
    by: FoundBy,
}

/// A distinct stack.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Stack {
    /// Innermost first.
    frames: Box<[Place]>,
    /// Where it ends.
    end: StackEnd,
    /// Whose, if some of its code is in no file: addresses mean something in one process only.
    pid: Option<Pid>,
}

/// All stacks of a run.
#[derive(Debug, Default)]
pub struct Stacks {
    files: Vec<CodeFile>,
    file_ids: HashMap<CodeFile, CodeFileId>,
    stacks: Vec<Arc<Stack>>,
    ids: HashMap<Arc<Stack>, StackId>,
    keys: HashMap<(Pid, StackKey), StackId>,
    symbols: HashMap<CodeFileId, FileSymbols>,
    made: HashMap<(Pid, u64), String>,
    /// Frames in words, of stacks that mean the same in every process.
    told: HashMap<StackId, Arc<[Frame]>>,
    /// Stacks beyond those that are kept.
    unkept: u64,
}

/// What was asked of a file, and what it said.
#[derive(Debug, Default)]
struct FileSymbols {
    asked: BTreeSet<u64>,
    found: HashMap<u64, Vec<Symbol>>,
}

impl Stacks {
    /// Takes a stack that came, unwound.
    pub fn take(&mut self, slice: &StackSlice, unwound: &Unwound) {
        // An instruction alone says less than the top of the stack does.
        if unwound.frames.len() < 2 {
            return;
        }
        let id = self.intern(slice.pid, unwound);
        if self.keys.len() >= MOST_KEYS {
            self.keys.clear();
        }
        self.keys.insert((slice.pid, slice.key), id);
    }

    /// The stack of a call.
    pub fn of(&self, pid: Pid, key: StackKey) -> StackId {
        self.keys.get(&(pid, key)).copied().unwrap_or_default()
    }

    /// A stack by its id.
    fn get(&self, id: StackId) -> Option<&Stack> {
        let index = usize::try_from(id.0).ok()?.checked_sub(1)?;
        self.stacks.get(index).map(|stack| &**stack)
    }

    /// A file of a frame.
    fn file(&self, id: CodeFileId) -> Option<&CodeFile> {
        self.files.get(usize::try_from(id.0).ok()?)
    }

    /// Distinct stacks that were not kept.
    pub const fn unkept(&self) -> u64 {
        self.unkept
    }

    fn intern(&mut self, pid: Pid, unwound: &Unwound) -> StackId {
        let files: Vec<CodeFileId> = unwound
            .files
            .iter()
            .map(|file| self.file_id(file))
            .collect();
        let place = |frame: &FramePlace| Place {
            file: frame
                .file
                .and_then(|file| files.get(usize::try_from(file).ok()?))
                .copied(),
            at: frame.at,
            by: frame.by,
        };
        let frames: Box<[Place]> = unwound.frames.iter().map(place).collect();
        let stack = Arc::new(Stack {
            pid: frames
                .iter()
                .any(|frame| frame.file.is_none())
                .then_some(pid),
            frames,
            end: unwound.end,
        });
        if let Some(&id) = self.ids.get(&stack) {
            return id;
        }
        if self.stacks.len() >= MOST_STACKS {
            self.unkept += 1;
            return StackId::default();
        }
        self.stacks.push(Arc::clone(&stack));
        let id = StackId(u32::try_from(self.stacks.len()).unwrap_or_default());
        self.ids.insert(stack, id);
        id
    }

    fn file_id(&mut self, file: &CodeFile) -> CodeFileId {
        if let Some(&id) = self.file_ids.get(file) {
            return id;
        }
        let id = CodeFileId(u32::try_from(self.files.len()).unwrap_or(u32::MAX));
        self.files.push(file.clone());
        self.file_ids.insert(file.clone(), id);
        id
    }

    /// Asks what lies at the frames of stacks of a process, as far as it was not asked before.
    pub fn resolve(&mut self, world: &mut impl World, pid: Pid, wanted: &BTreeSet<StackId>) {
        let mut offsets: BTreeMap<CodeFileId, BTreeSet<u64>> = BTreeMap::new();
        let mut addresses: BTreeSet<Addr> = BTreeSet::new();
        let stacks = wanted.iter().filter_map(|id| self.get(*id));
        for place in stacks.flat_map(|stack| &stack.frames) {
            match place.file {
                Some(file) => {
                    offsets.entry(file).or_default().insert(place.at);
                }
                None => {
                    addresses.insert(Addr(place.at));
                }
            }
        }
        for (file, offsets) in offsets {
            let known = self.symbols.entry(file).or_default();
            let new: Vec<u64> = offsets.difference(&known.asked).copied().collect();
            let Some(file) = self
                .files
                .get(usize::try_from(file.0).unwrap_or(usize::MAX))
            else {
                continue;
            };
            if new.is_empty() {
                continue;
            }
            known.asked.extend(&new);
            if let Ok(symbols) = world.symbols(pid, file, &new) {
                known.found.extend(symbols);
            }
        }
        addresses.retain(|addr| !self.made.contains_key(&(pid, addr.0)));
        if !addresses.is_empty() {
            let addresses: Vec<Addr> = addresses.into_iter().collect();
            let names = world.made_code(pid, &addresses).into_iter();
            self.made
                .extend(names.map(|(addr, name)| ((pid, addr.0), name)));
        }
    }

    /// The frames of a stack of a process, those of inlined functions too, and where it ends.
    pub fn known_frames(&mut self, pid: Pid, id: StackId) -> Option<(Arc<[Frame]>, StackEnd)> {
        let end = self.get(id)?.end;
        if let Some(told) = self.told.get(&id) {
            return Some((Arc::clone(told), end));
        }
        let stack = self.get(id)?;
        let frames: Arc<[Frame]> = self.frames(stack, pid).into();
        if stack.pid.is_none() {
            self.told.insert(id, Arc::clone(&frames));
        }
        Some((frames, end))
    }

    fn frames(&self, stack: &Stack, pid: Pid) -> Vec<Frame> {
        let mut frames = Vec::with_capacity(stack.frames.len());
        for place in &stack.frames {
            let file = place.file.and_then(|file| self.file(file));
            let frame = Frame {
                // The path tells which it is in an address space.
                file: FileId(u32::MAX),
                offset: place.at,
                module: file.map_or_else(String::new, |file| file.path.clone()),
                function: self.made.get(&(pid, place.at)).cloned(),
                line: None,
                inlined: false,
                by: place.by,
            };
            let functions = self.functions(place);
            if functions.is_empty() {
                frames.push(frame);
                continue;
            }
            frames.extend(functions.iter().map(|symbol| Frame {
                function: Some(symbol.function.clone()),
                line: symbol.line.clone(),
                inlined: symbol.inlined,
                ..frame.clone()
            }));
        }
        frames
    }

    /// The functions at a place, the innermost first.
    fn functions(&self, place: &Place) -> &[Symbol] {
        let known = place.file.and_then(|file| self.symbols.get(&file));
        let found = known.and_then(|known| known.found.get(&place.at));
        found.map_or(&[], Vec::as_slice)
    }
}
