//! What attribution needs of the files behind mappings: call sites resolved, modules read.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::stacks::Stacks;
use crate::{
    attribute::evidence::{CallSite, FoundBy, Frame, Module},
    space::{
        Space,
        names::FileName,
        piece::{Backing, FileId},
        sites::CodeAddress,
    },
    units::Pid,
    world::{ElfFacts, World},
};

/// Files read so far, by what the map shows of them: the processes of a run share most, and
/// a file may be gone when it is asked about again.
#[derive(Debug, Default)]
pub struct ElfCache(HashMap<FileName, Inspected>);

/// What a file said, and of which offsets it was asked.
#[derive(Debug)]
struct Inspected {
    offsets: BTreeSet<u64>,
    facts: ElfFacts,
}

/// What was gathered.
pub struct Gathered {
    /// Call sites, in the order of [`crate::space::piece::SiteId`].
    pub sites: Vec<CallSite>,
    /// Call sites that were asked for besides, in their order.
    pub places: Vec<CallSite>,
    /// The objects.
    pub modules: Vec<Module>,
}

/// Modules and call sites of one address space, and those of `places` besides. `program` is the
/// executable's path.
pub fn gather(
    space: &Space,
    pid: Pid,
    program: &str,
    places: &[Vec<CodeAddress>],
    world: &mut impl World,
    (cache, stacks): (&mut ElfCache, &mut Stacks),
) -> Gathered {
    let paths = space.sites().iter().map(|(path, _)| path);
    stacks.resolve(world, pid, &paths.collect());
    let mut offsets: BTreeMap<FileId, BTreeSet<u64>> = BTreeMap::new();
    for (_, piece) in space.pieces().filter(|(_, piece)| piece.prot.exec) {
        if let Backing::File { file, .. } = piece.backing {
            offsets.entry(file).or_default();
        }
    }
    let besides = places.iter().flatten();
    let own = space.sites().iter().flat_map(|(_, list)| list);
    for CodeAddress { file, offset } in own.chain(besides) {
        offsets.entry(*file).or_default().insert(*offset);
    }
    let mut modules = Vec::new();
    let mut code: BTreeMap<FileId, BTreeMap<u64, Option<String>>> = BTreeMap::new();
    for (file, offsets) in offsets {
        let name = space.names().file(file);
        let Some(path) = name.name.clone() else {
            continue;
        };
        let facts = cache.facts(world, pid, &path, name, offsets);
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
            line: None,
            inlined: false,
            by: FoundBy::Scan,
        })
    };
    let sites = space.sites().iter().map(|(path, addresses)| {
        stacks.known_frames(pid, path).map_or_else(
            || CallSite {
                frames: addresses
                    .iter()
                    .filter_map(frame)
                    .collect::<Vec<_>>()
                    .into(),
                end: None,
            },
            |(frames, end)| CallSite {
                frames,
                end: Some(end),
            },
        )
    });
    let places = places.iter().map(|addresses| CallSite {
        frames: addresses
            .iter()
            .filter_map(frame)
            .collect::<Vec<_>>()
            .into(),
        end: None,
    });
    Gathered {
        sites: sites.collect(),
        places: places.collect(),
        modules,
    }
}

impl ElfCache {
    fn facts(
        &mut self,
        world: &mut impl World,
        pid: Pid,
        path: &str,
        name: &FileName,
        mut offsets: BTreeSet<u64>,
    ) -> Result<ElfFacts, String> {
        if let Some(known) = self.0.get(name) {
            if offsets.is_subset(&known.offsets) {
                return Ok(known.facts.clone());
            }
            offsets.extend(&known.offsets);
        }
        match world.object_file(pid, path, name.inode, &offsets) {
            Ok(facts) => {
                let inspected = Inspected {
                    offsets,
                    facts: facts.clone(),
                };
                self.0.insert(name.clone(), inspected);
                Ok(facts)
            }
            Err(reason) => {
                let known = self.0.get(name).map(|known| known.facts.clone());
                known.ok_or(reason)
            }
        }
    }
}
