//! The functions of an allocator in an object file: a file in, where they begin out.

use std::{collections::BTreeMap, fs::File, io::BufReader};

use anyhow::{Context as _, Result};
use object::{
    Object as _, ObjectSymbol as _, ReadCache, SymbolKind, elf,
    read::elf::{FileHeader as _, ProgramHeader as _},
};

use super::foreign::Bounded;
use crate::heap::functions::{self, Signature};

/// Read of one file at most: symbols of the largest programs take some hundred MiB.
const MOST_READ: u64 = 1 << 30;
/// Functions taken of one file; what has more is no allocator.
const MOST: usize = 256;

/// Where each begins, bytes from the start of the file, and how it takes its arguments. Of
/// several names of one function any will do.
pub type Functions = BTreeMap<u64, Signature>;

/// Reads which functions of allocators a file defines, by its dynamic and its static symbols.
///
/// # Errors
/// It is no 64-bit ELF file, or broken.
pub fn functions(file: File) -> Result<Functions> {
    let cache = ReadCache::new(BufReader::new(Bounded::new(file, MOST_READ)));
    let object = object::read::elf::ElfFile64::<object::Endianness, _>::parse(&cache)
        .context("is no 64-bit object file")?;
    let endian = object.endian();
    let segments = object.elf_header().program_headers(endian, &cache)?;
    let offset = |address: u64| {
        segments.iter().find_map(|segment| {
            let executable =
                segment.p_type(endian) == elf::PT_LOAD && segment.p_flags(endian) & elf::PF_X != 0;
            let inside = address.checked_sub(segment.p_vaddr(endian))?;
            (executable && inside < segment.p_filesz(endian))
                .then(|| segment.p_offset(endian).checked_add(inside))
                .flatten()
        })
    };
    let mut found = Functions::new();
    let mut operators = Functions::new();
    for symbol in object.symbols().chain(object.dynamic_symbols()) {
        if symbol.kind() != SymbolKind::Text || symbol.is_undefined() {
            continue;
        }
        let Ok(name) = symbol.name() else {
            continue;
        };
        let Some(signature) = functions::signature(name) else {
            continue;
        };
        let Some(offset) = offset(symbol.address()) else {
            continue;
        };
        if functions::hands_on(name) {
            operators.insert(offset, signature);
        } else {
            found.insert(offset, signature);
        }
    }
    if !found.is_empty() {
        for (offset, signature) in operators {
            found.entry(offset).or_insert(signature);
        }
    }
    anyhow::ensure!(found.len() <= MOST, "has more functions than an allocator");
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The C library of this program, if it has one of its own.
    #[test]
    fn the_c_library_has_all_of_them() {
        let maps = std::fs::read_to_string("/proc/self/maps").expect("own map");
        let libc = maps.lines().find_map(|line| {
            let path = line.split_whitespace().nth(5)?;
            path.contains("libc.so.6").then(|| path.to_owned())
        });
        let Some(libc) = libc else {
            return;
        };
        let found = functions(File::open(libc).expect("it is mapped")).expect("an object");
        for signature in Signature::ALL {
            assert!(
                found.values().any(|known| *known == signature),
                "{signature:?} of {found:?}"
            );
        }
    }

    #[test]
    fn what_is_no_object_is_an_error() {
        assert!(functions(File::open("/proc/self/status").expect("it exists")).is_err());
    }
}
