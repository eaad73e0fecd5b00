//! Object files of a process: a file and offsets of interest in, what its symbols say out.
//!
//! The file is a stranger's: read in parts, bounded, and any nonsense in it gives an error
//! or nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::ErrorKind,
    ops::Range,
    os::unix::fs::MetadataExt as _,
};

use anyhow::{Context as _, Result, anyhow};
use object::{
    Object as _, ObjectSection as _, ObjectSegment as _, ObjectSymbol as _, ReadCache, ReadRef,
    SymbolKind,
};

use super::foreign::{self, Bounded};
use crate::{
    attribute::allocators::{is_telling_symbol, telling_strings as known_strings},
    units::Pid,
};

/// A sparse file can claim any size at no cost; room for what is read is made before it is read.
const LARGEST_FILE: u64 = 8 << 30;
/// Telling symbols kept of one file.
const MOST_TELLING: usize = 64;

/// How much of a file is read at most, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// In all; beyond, the file counts as unreadable.
    pub read: u64,
    /// Of its read-only data, to search it for telling strings; a larger one is not searched.
    pub strings: u64,
}

impl Limits {
    /// Symbols of the largest programs take some hundred MiB.
    pub const GENEROUS: Self = Self {
        read: 1 << 30,
        strings: 64 << 20,
    };
}

/// What a file says.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct ElfFacts {
    /// Functions it defines that tell of an allocator.
    pub telling_symbols: Vec<String>,
    /// Read-only strings that do; searched for only if no symbol does.
    pub telling_strings: Vec<String>,
    /// The offsets that were asked about and follow a call instruction, with the function
    /// whose symbol covers them.
    pub code: BTreeMap<u64, Option<String>>,
}

/// Opens a file of the process' own file system, or of this one's if the process is gone;
/// only the file that was mapped will do.
///
/// # Errors
/// Why it cannot be opened, in words.
pub fn open(pid: Pid, path: &str, inode: u64) -> Result<File, String> {
    if !path.starts_with('/') {
        return Err("is no file".to_owned());
    }
    let file = foreign::open_regular(pid, path).map_err(|error| match error.kind() {
        ErrorKind::InvalidInput => error.to_string(),
        _ => format!("cannot be opened: {error}"),
    })?;
    let metadata = file
        .metadata()
        .map_err(|error| format!("cannot be read: {error}"))?;
    // Overlay file systems show another device number in maps than in stat, so the inode
    // decides.
    if inode != 0 && metadata.ino() != inode {
        return Err("was replaced since it was mapped".to_owned());
    }
    if metadata.len() > LARGEST_FILE {
        return Err("is larger than 8 GiB".to_owned());
    }
    Ok(file)
}

/// Reads what a file says of itself and of `offsets` (bytes from its start).
///
/// # Errors
/// It is no ELF file, or broken, or there is more to read than the bounds allow.
pub fn inspect(file: File, offsets: &BTreeSet<u64>, limits: Limits) -> Result<ElfFacts> {
    let cache = ReadCache::new(Bounded::new(file, limits.read));
    let tables = string_tables(&cache)?;
    let file = Named {
        file: &cache,
        tables: &tables,
    };
    let elf = object::File::parse(file).context("is no object file")?;
    let mut facts = ElfFacts::default();
    // Address of each offset, for those that are return addresses.
    let mut wanted = BTreeMap::new();
    for &offset in offsets {
        if follows_call(file, offset) {
            facts.code.insert(offset, None);
            if let Some(address) = address_of(&elf, offset) {
                wanted.insert(address, offset);
            }
        }
    }
    for symbol in elf.symbols().chain(elf.dynamic_symbols()) {
        if symbol.kind() != SymbolKind::Text || symbol.is_undefined() {
            continue;
        }
        let Ok(name) = symbol.name() else {
            continue;
        };
        if facts.telling_symbols.len() < MOST_TELLING
            && is_telling_symbol(name)
            && !facts.telling_symbols.iter().any(|known| known == name)
        {
            facts.telling_symbols.push(name.to_owned());
        }
        // A return address lies behind the call: at the end of a function that never
        // returns it is the first byte of the next one.
        let covered = symbol.address() + 1..=symbol.address().saturating_add(symbol.size());
        if symbol.size() > 0 {
            for (_, offset) in wanted.range(covered) {
                facts.code.insert(*offset, Some(name.to_owned()));
            }
        }
    }
    if facts.telling_symbols.is_empty() {
        facts.telling_strings = telling_strings(&elf, limits.strings);
    }
    Ok(facts)
}

/// A file whose tables of names were read as a whole: a name is a part of one, rather than
/// something to be read and kept by itself.
#[derive(Clone, Copy)]
struct Named<'data> {
    file: &'data ReadCache<Bounded<File>>,
    /// With where in the file each begins.
    tables: &'data [(u64, &'data [u8])],
}

fn string_tables(file: &ReadCache<Bounded<File>>) -> Result<Vec<(u64, &[u8])>> {
    let elf = object::File::parse(file).context("is no object file")?;
    let mut tables = Vec::new();
    for name in [".strtab", ".dynstr"] {
        let section = elf.section_by_name(name);
        if let Some((start, len)) = section.and_then(|section| section.file_range()) {
            let table = file.read_bytes_at(start, len);
            let table = table.map_err(|()| anyhow!("its names cannot be read"))?;
            tables.push((start, table));
        }
    }
    Ok(tables)
}

impl<'data> ReadRef<'data> for Named<'data> {
    fn len(self) -> Result<u64, ()> {
        self.file.len()
    }

    fn read_bytes_at(self, offset: u64, size: u64) -> Result<&'data [u8], ()> {
        self.file.read_bytes_at(offset, size)
    }

    fn read_bytes_at_until(self, range: Range<u64>, delimiter: u8) -> Result<&'data [u8], ()> {
        let within = self.tables.iter().find_map(|(start, table)| {
            let from = usize::try_from(range.start.checked_sub(*start)?).ok()?;
            let end = usize::try_from(range.end.checked_sub(*start)?).ok()?;
            table.get(from..end)
        });
        match within {
            Some(rest) => {
                let len = rest.iter().position(|byte| *byte == delimiter).ok_or(())?;
                rest.get(..len).ok_or(())
            }
            None => self.file.read_bytes_at_until(range, delimiter),
        }
    }
}

fn address_of<'data>(elf: &object::File<'data, impl ReadRef<'data>>, offset: u64) -> Option<u64> {
    elf.segments().find_map(|segment| {
        let (start, len) = segment.file_range();
        let inside = offset.checked_sub(start).filter(|inside| *inside < len)?;
        segment.address().checked_add(inside)
    })
}

fn telling_strings<'data>(
    elf: &object::File<'data, impl ReadRef<'data>>,
    most: u64,
) -> Vec<String> {
    let Some(section) = elf.section_by_name(".rodata") else {
        return Vec::new();
    };
    if section.size() > most {
        return Vec::new();
    }
    let data = section.data().unwrap_or_default();
    let strings = data.split(|&byte| byte == 0).filter(|text| text.len() >= 6);
    strings
        .filter_map(|text| std::str::from_utf8(text).ok())
        .filter(|text| known_strings().any(|known| text.contains(known)))
        .take(MOST_TELLING)
        .map(|text| text.chars().take(80).collect())
        .collect()
}

/// Whether the instruction before `offset` is a call, or the system call itself.
fn follows_call<'data>(file: impl ReadRef<'data>, offset: u64) -> bool {
    const BEFORE: u64 = 8;
    let Some(start) = offset.checked_sub(BEFORE) else {
        return false;
    };
    match file.read_bytes_at(start, BEFORE) {
        Ok(bytes) => ends_with_call(bytes),
        Err(()) => false,
    }
}

/// `call rel32` is `e8` and four bytes; `call r/m64` is `ff /2` of two to seven bytes;
/// `syscall` is `0f 05` (Intel SDM, volume 2).
#[cfg(target_arch = "x86_64")]
pub(super) fn ends_with_call(bytes: &[u8]) -> bool {
    let at = |back: usize| {
        bytes
            .len()
            .checked_sub(back)
            .and_then(|index| bytes.get(index))
    };
    let direct = at(5) == Some(&0xe8);
    let system = bytes.ends_with(&[0x0f, 0x05]);
    let indirect = (2..=7)
        .any(|len| at(len) == Some(&0xff) && at(len - 1).is_some_and(|modrm| modrm & 0x38 == 0x10));
    direct || indirect || system
}

/// `bl`, `blr` and `svc #0` (Arm ARM, A64 base instructions).
#[cfg(target_arch = "aarch64")]
pub(super) fn ends_with_call(bytes: &[u8]) -> bool {
    let Some(instruction) = bytes.last_chunk().map(|bytes| u32::from_le_bytes(*bytes)) else {
        return false;
    };
    instruction & 0xfc00_0000 == 0x9400_0000
        || instruction & 0xffff_fc1f == 0xd63f_0000
        || instruction == 0xd400_0001
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn calls_are_told_from_other_instructions() {
        assert!(ends_with_call(&[0, 0, 0, 0xe8, 1, 2, 3, 4]), "call rel32");
        assert!(
            ends_with_call(&[0, 0, 0, 0, 0, 0x41, 0xff, 0xd4]),
            "call *%r12"
        );
        assert!(
            ends_with_call(&[0, 0, 0xff, 0x15, 1, 2, 3, 4]),
            "call *disp(%rip)"
        );
        assert!(ends_with_call(&[0, 0, 0, 0, 0, 0, 0x0f, 0x05]), "syscall");
        assert!(!ends_with_call(&[0x90; 8]), "nops");
        assert!(!ends_with_call(&[]));
    }

    #[test]
    fn what_is_no_object_is_an_error() {
        let text = File::open(file!().replace("tracer/", "")).or_else(|_| File::open(file!()));
        let Ok(text) = text else {
            return;
        };
        assert!(inspect(text, &BTreeSet::new(), Limits::GENEROUS).is_err());
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn functions_of_this_program_are_found() {
        let own = File::open("/proc/self/exe").expect("own program");
        let cache = ReadCache::new(own);
        let elf = object::File::parse(&cache).expect("an object");
        let symbol = elf.symbols().find(|symbol| {
            let known = symbol
                .name()
                .is_ok_and(|name| name.contains("functions_of_this_program"));
            known && symbol.size() > 100
        });
        let Some(symbol) = symbol else {
            return; // stripped
        };
        let segments: Vec<_> = elf.segments().collect();
        let segment = segments.iter().find(|segment| {
            (segment.address()..segment.address() + segment.size()).contains(&symbol.address())
        });
        let segment = segment.expect("its segment");
        let start = symbol.address() - segment.address() + segment.file_range().0;
        let offsets: BTreeSet<u64> = (start + 8..start + symbol.size()).collect();
        let own = File::open("/proc/self/exe").expect("own program");
        let facts = inspect(own, &offsets, Limits::GENEROUS).expect("an object");
        assert!(!facts.code.is_empty() && facts.code.len() < offsets.len() / 2);
        let named = facts.code.values().flatten();
        assert!(named.clone().count() > 0);
        assert!(
            named
                .clone()
                .all(|name| name.contains("functions_of_this_program"))
        );
    }
}
