//! What object files tell of allocators: mapped files in, facts out, each file read once.
//!
//! Thousands of processes map the same C library, so files are known by device and inode. Reading
//! is bounded in bytes, as one file of a stranger must not cost more than all the rest.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

use crate::{
    host::elf::{self, ElfFacts, Limits},
    space::names::FileName,
    units::Pid,
};

/// Read of one file at most, bytes, and of its read-only data searched for texts.
pub const LIMITS: Limits = Limits {
    read: 24 << 20,
    strings: 8 << 20,
};
/// Files kept; beyond, those that were found to tell nothing are forgotten.
const MOST: usize = 8192;

/// The files read so far.
#[derive(Debug, Default)]
pub struct Files {
    known: FxHashMap<(u64, u64), Told>,
    /// How many were read.
    pub read: u64,
}

/// What a file told.
#[derive(Clone, Debug)]
pub struct Told {
    /// Symbols that tell of an allocator.
    pub symbols: Vec<String>,
    /// Texts that do.
    pub strings: Vec<String>,
    /// Why it could not be read, if so.
    pub unreadable: Option<String>,
}

impl Files {
    /// What a file that a process has mapped tells.
    pub fn told(&mut self, pid: Pid, file: &FileName) -> Told {
        let key = (file.device, file.inode);
        if let Some(told) = self.known.get(&key) {
            return told.clone();
        }
        let told = read(pid, file);
        self.read += 1;
        if self.known.len() >= MOST {
            self.known
                .retain(|_, told| !(told.symbols.is_empty() && told.strings.is_empty()));
        }
        if self.known.len() >= MOST {
            self.known.clear();
        }
        // That it could not be opened may be the process' fault: another may have a better view.
        if told.unreadable.is_none() {
            self.known.insert(key, told.clone());
        }
        told
    }
}

fn read(pid: Pid, file: &FileName) -> Told {
    let path = file.name.as_deref().unwrap_or_default();
    let facts = elf::open(pid, path, file.inode).and_then(|open| {
        elf::inspect(open, &BTreeSet::new(), LIMITS).map_err(|error| format!("{error:#}"))
    });
    match facts {
        Ok(ElfFacts {
            telling_symbols,
            telling_strings,
            ..
        }) => Told {
            symbols: telling_symbols,
            strings: telling_strings,
            unreadable: None,
        },
        Err(why) => Told {
            symbols: Vec::new(),
            strings: Vec::new(),
            unreadable: Some(why),
        },
    }
}
