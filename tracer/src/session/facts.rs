//! What attribution needs of the files behind mappings: call sites resolved, modules read.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs::File,
    os::unix::fs::MetadataExt as _,
};

use crate::{
    attribute::evidence::{CallSite, Frame, Module},
    host::{
        elf::{self, ElfFacts},
        process as host,
    },
    space::{
        Space,
        piece::{Backing, FileId},
        sites::CodeAddress,
    },
    units::Pid,
};

/// Files read so far, by inode: the processes of a run share most of them.
#[derive(Debug, Default)]
pub struct ElfCache(HashMap<(u64, u64), Inspected>);

/// What a file said, and of which offsets it was asked.
#[derive(Debug)]
struct Inspected {
    offsets: BTreeSet<u64>,
    facts: Result<ElfFacts, String>,
}

/// Modules and call sites of one address space. `program` is the executable's path.
pub fn gather(
    space: &Space,
    pid: Pid,
    program: &str,
    cache: &mut ElfCache,
) -> (Vec<CallSite>, Vec<Module>) {
    let mut offsets: BTreeMap<FileId, BTreeSet<u64>> = BTreeMap::new();
    for (_, piece) in space.pieces().filter(|(_, piece)| piece.prot.exec) {
        if let Backing::File { file, .. } = piece.backing {
            offsets.entry(file).or_default();
        }
    }
    for CodeAddress { file, offset } in space.sites().iter().flatten() {
        offsets.entry(*file).or_default().insert(*offset);
    }
    let mut modules = Vec::new();
    let mut code: BTreeMap<FileId, BTreeMap<u64, Option<String>>> = BTreeMap::new();
    for (file, offsets) in offsets {
        let info = space.names().file(file);
        let Some(path) = info.name.clone() else {
            continue;
        };
        let facts = cache.facts(pid, &path, info.inode, &offsets);
        let mut module = Module {
            file,
            is_program: path == program,
            path,
            unreadable: None,
            telling_symbols: Vec::new(),
            telling_strings: Vec::new(),
        };
        match facts {
            Ok(facts) => {
                module.telling_symbols = facts.telling_symbols;
                module.telling_strings = facts.telling_strings;
                code.insert(file, facts.code);
            }
            Err(reason) => module.unreadable = Some(reason),
        }
        modules.push(module);
    }
    let frame = |address: &CodeAddress| {
        // In a file that could not be read every code address passes for a return address.
        let function = match code.get(&address.file) {
            Some(known) => known.get(&address.offset)?.clone(),
            None => None,
        };
        Some(Frame {
            file: address.file,
            offset: address.offset,
            module: space
                .names()
                .file(address.file)
                .name
                .clone()
                .unwrap_or_default(),
            function,
        })
    };
    let sites = space.sites().iter();
    let sites = sites.map(|site| CallSite {
        frames: site.iter().filter_map(frame).collect(),
    });
    (sites.collect(), modules)
}

impl ElfCache {
    fn facts(
        &mut self,
        pid: Pid,
        path: &str,
        inode: u64,
        offsets: &BTreeSet<u64>,
    ) -> Result<ElfFacts, String> {
        let (file, device) = open(pid, path, inode)?;
        let key = (device, inode);
        if let Some(known) = self.0.get(&key)
            && offsets.is_subset(&known.offsets)
        {
            return known.facts.clone();
        }
        let facts = elf::inspect(file, offsets).map_err(|error| format!("{error:#}"));
        let offsets = offsets.clone();
        self.0.insert(
            key,
            Inspected {
                offsets,
                facts: facts.clone(),
            },
        );
        facts
    }
}

/// Opens a file of the process' own file system, or of this one's if the process is gone;
/// only the file that was mapped will do.
fn open(pid: Pid, path: &str, inode: u64) -> Result<(File, u64), String> {
    if !path.starts_with('/') {
        return Err("is no file".to_owned());
    }
    let file = File::open(host::rooted(pid, path))
        .or_else(|_| File::open(path))
        .map_err(|error| format!("cannot be opened: {error}"))?;
    let metadata = file
        .metadata()
        .map_err(|error| format!("cannot be read: {error}"))?;
    // Overlay file systems show another device number in maps than in stat, so the inode
    // decides.
    if inode != 0 && metadata.ino() != inode {
        return Err("was replaced since it was mapped".to_owned());
    }
    if !metadata.is_file() {
        return Err("is no regular file".to_owned());
    }
    Ok((file, metadata.dev()))
}
