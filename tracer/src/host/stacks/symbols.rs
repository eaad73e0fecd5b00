//! Names and lines: an object file and offsets in, functions (inlined ones too) and lines of
//! sources out.
//!
//! They are looked for in the debug file that is installed, in the file itself, and in the file
//! that is packed into it, in that order: each has names where the ones before have none.

use std::{
    fs::File,
    os::fd::AsRawFd as _,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use blazesym::symbolize::{
    CodeInfo, Input, Sym, Symbolized, Symbolizer,
    source::{Elf, Source},
};
use serde::{Deserialize, Serialize};

use super::{debug_file, mini_debug, object_file::ObjectFile, private_copy};

/// Of a name or path: C++ has names of many KiB.
const MOST_TEXT: usize = 512;

/// A function at a place, and which line of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Symbol {
    /// Its name as in the file.
    pub function: String,
    /// Where its source is, and which line of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<(String, u32)>,
    /// Whether it was inlined into the next one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inlined: bool,
}

/// What lies at each offset of a file that is mapped as `mapped`, the innermost function first;
/// nothing where no symbol does.
///
/// # Errors
/// Why the file cannot be read, in words.
pub fn of_file(
    object: &ObjectFile,
    mapped: &str,
    offsets: &[u64],
) -> Result<Vec<(u64, Vec<Symbol>)>, String> {
    let file = object.file()?;
    let addresses = offsets
        .iter()
        .map(|offset| (*offset, object.address(*offset).unwrap_or(0)));
    let (offsets, addresses): (Vec<u64>, Vec<u64>) = addresses.unzip();
    let mut found = vec![Vec::new(); addresses.len()];
    if let Some(path) = debug_file::find(file, mapped) {
        fill(&mut found, &path, true, &addresses);
    }
    if found.iter().any(Vec::is_empty) {
        let copy = private_copy::of(file).map_err(|error| format!("cannot be read: {error}"))?;
        fill_from_copy(&mut found, &copy, &addresses);
    }
    if found.iter().any(Vec::is_empty)
        && let Some(copy) = mini_debug::unpack(file)
    {
        fill_from_copy(&mut found, &copy, &addresses);
    }
    Ok(offsets.into_iter().zip(found).collect())
}

fn fill_from_copy(found: &mut [Vec<Symbol>], copy: &File, addresses: &[u64]) {
    let path = PathBuf::from(format!("/proc/self/fd/{}", copy.as_raw_fd()));
    fill(found, &path, false, addresses);
}

/// Asks about all addresses, and takes the answers where there is none yet. `trusted`: whether
/// links to other files may be followed.
fn fill(found: &mut [Vec<Symbol>], path: &Path, trusted: bool, addresses: &[u64]) {
    let asked = AssertUnwindSafe(|| ask(path, trusted, addresses));
    // What is broken in a way that nobody thought of has no symbols.
    let Ok(answers) = catch_unwind(asked) else {
        return;
    };
    for (known, answer) in found.iter_mut().zip(answers) {
        if known.is_empty() {
            *known = answer;
        }
    }
}

/// The functions at each address that have a name, the innermost first.
fn ask(path: &Path, trusted: bool, addresses: &[u64]) -> Vec<Vec<Symbol>> {
    let mut found = look_up(path, trusted, true, addresses);
    let is_nameless = |functions: &Vec<Symbol>| {
        let outer = functions.last();
        outer.is_some_and(|outer| outer.function.is_empty())
    };
    // `dwz` moves what functions have in common to another file, where the symbolizer finds no
    // more than some of the names. The table of symbols has them all.
    let nameless = found.iter_mut().zip(addresses);
    let nameless = nameless.filter(|(functions, _)| is_nameless(functions));
    let (nameless, addresses): (Vec<_>, Vec<u64>) = nameless.unzip();
    if !addresses.is_empty() {
        let named = look_up(path, trusted, false, &addresses);
        for (functions, mut named) in nameless.into_iter().zip(named) {
            if let (Some(outer), Some(named)) = (functions.last_mut(), named.pop()) {
                outer.function = named.function;
            }
        }
    }
    for functions in &mut found {
        functions.retain(|symbol| !symbol.function.is_empty());
    }
    found
}

/// The functions at each address, by debug information or by the table of symbols alone.
fn look_up(path: &Path, trusted: bool, debug_info: bool, addresses: &[u64]) -> Vec<Vec<Symbol>> {
    let builder = Symbolizer::builder().enable_auto_reload(false);
    let symbolizer = if trusted {
        builder.build()
    } else {
        builder
            .set_debug_dirs(Some(<[&Path; 0]>::default()))
            .build()
    };
    let mut elf = Elf::new(path);
    elf.debug_syms = debug_info;
    let answers = symbolizer.symbolize(&Source::Elf(elf), Input::VirtOffset(addresses));
    let answers = answers.unwrap_or_default().into_iter();
    answers
        .map(|answer| match answer {
            Symbolized::Sym(sym) => functions(&sym),
            Symbolized::Unknown(_) => Vec::new(),
        })
        .collect()
}

fn functions(sym: &Sym<'_>) -> Vec<Symbol> {
    let inlined = sym.inlined.iter().rev().map(|function| Symbol {
        function: cut(&function.name),
        line: function.code_info.as_ref().and_then(line),
        inlined: true,
    });
    let outer = Symbol {
        function: cut(&sym.name),
        line: sym.code_info.as_deref().and_then(line),
        inlined: false,
    };
    inlined.chain([outer]).collect()
}

fn line(info: &CodeInfo<'_>) -> Option<(String, u32)> {
    Some((cut(&info.to_path().to_string_lossy()), info.line?))
}

fn cut(text: &str) -> String {
    text.chars().take(MOST_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_of_this_program_have_names() {
        let own = File::open("/proc/self/exe").expect("own program");
        let copy = private_copy::of(&own).expect("a copy");
        let here = functions_of_this_program_have_names as *const () as u64;
        let maps = crate::host::maps::read_maps(crate::units::Pid(std::process::id()));
        let maps = maps.expect("own map");
        let code = maps
            .iter()
            .find(|vma| vma.span.contains(crate::units::Addr(here)));
        let code = code.expect("own code");
        let offset = here - code.span.start.0 + code.offset;
        let cache = object::ReadCache::new(&copy);
        let elf = object::File::parse(&cache).expect("an object");
        let address = object::Object::segments(&elf).find_map(|segment| {
            let (start, len) = object::ObjectSegment::file_range(&segment);
            let inside = offset.checked_sub(start).filter(|inside| *inside < len)?;
            Some(object::ObjectSegment::address(&segment) + inside)
        });
        let mut found = vec![Vec::new()];
        let address = address.expect("within a segment");
        fill_from_copy(&mut found, &copy, &[address]);
        let name = found[0].last().map(|symbol| symbol.function.as_str());
        let name = name.unwrap_or("functions_of_this_program_have_names: stripped");
        assert!(
            name.contains("functions_of_this_program_have_names"),
            "{name}"
        );
    }
}
