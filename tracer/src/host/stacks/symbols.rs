//! Names and lines: an object file and offsets in, functions (inlined ones too) and lines of
//! sources out.
//!
//! The symbolizer maps files and follows what they name. A file of a stranger can be cut while
//! it is mapped, which would kill this process, and can name any path. So it is given a copy, in
//! which the names of the sections that name other files are struck out.

use std::{
    fs::File,
    io::{Seek as _, SeekFrom, Write as _},
    os::{fd::AsRawFd as _, unix::fs::FileExt as _},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use blazesym::symbolize::{
    CodeInfo, Input, Sym, Symbolized, Symbolizer,
    source::{Elf, Source},
};
use nix::sys::memfd::{MFdFlags, memfd_create};
use serde::{Deserialize, Serialize};

use super::{debug_file, object_file::ObjectFile};

/// The largest file that is looked into.
const MOST_COPIED: u64 = 1 << 30;
/// Of a name or path: C++ has names of many KiB.
const MOST_TEXT: usize = 512;
/// Sections that name other files.
const NAMING: [&[u8]; 4] = [
    b".gnu_debuglink\0",
    b".gnu_debugaltlink\0",
    b".debug_sup\0",
    b".gnu_debugdata\0",
];

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

/// What lies at each offset, the innermost function first; nothing where no symbol does.
///
/// # Errors
/// Why the file cannot be read, in words.
pub fn of_file(object: &ObjectFile, offsets: &[u64]) -> Result<Vec<(u64, Vec<Symbol>)>, String> {
    let file = object.file()?;
    let addresses = offsets
        .iter()
        .map(|offset| (*offset, object.address(*offset).unwrap_or(0)));
    let (offsets, addresses): (Vec<u64>, Vec<u64>) = addresses.unzip();
    let mut found = vec![Vec::new(); addresses.len()];
    if let Some(path) = debug_file::find(file) {
        fill(&mut found, &path, true, &addresses);
    }
    if found.iter().any(Vec::is_empty) {
        let copy = copy(file).map_err(|error| format!("cannot be read: {error}"))?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", copy.as_raw_fd()));
        fill(&mut found, &path, false, &addresses);
    }
    Ok(offsets.into_iter().zip(found).collect())
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

fn ask(path: &Path, trusted: bool, addresses: &[u64]) -> Vec<Vec<Symbol>> {
    let builder = Symbolizer::builder().enable_auto_reload(false);
    let symbolizer = if trusted {
        builder.build()
    } else {
        builder
            .set_debug_dirs(Some(<[&Path; 0]>::default()))
            .build()
    };
    let source = Source::Elf(Elf::new(path));
    let answers = symbolizer.symbolize(&source, Input::VirtOffset(addresses));
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

/// A copy that nobody else can change, and that names no other file.
fn copy(file: &File) -> std::io::Result<File> {
    let len = file.metadata()?.len();
    if len > MOST_COPIED {
        return Err(std::io::Error::other("is larger than 1 GiB"));
    }
    let mut copy = File::from(memfd_create("tracer-symbols", MFdFlags::MFD_CLOEXEC)?);
    let mut buffer = vec![0; 1 << 20];
    let mut at = 0;
    while at < len {
        let read = file.read_at(&mut buffer, at)?;
        if read == 0 {
            break;
        }
        let part = buffer.get(..read).unwrap_or_default();
        strike_out(part, at, &mut copy)?;
        // A name may lie across two parts: they overlap.
        let whole = read < buffer.len();
        at += read as u64;
        if !whole && at < len {
            at -= 32;
        }
    }
    copy.seek(SeekFrom::Start(0))?;
    Ok(copy)
}

/// Writes a part of a file, without the names of sections that name files.
fn strike_out(part: &[u8], at: u64, copy: &mut File) -> std::io::Result<()> {
    let mut part = std::borrow::Cow::Borrowed(part);
    for name in NAMING {
        let places: Vec<usize> = find(&part, name).collect();
        for place in places {
            if let Some(byte) = part.to_mut().get_mut(place + 1) {
                *byte = b'-';
            }
        }
    }
    copy.seek(SeekFrom::Start(at))?;
    copy.write_all(&part)
}

fn find<'a>(bytes: &'a [u8], name: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    let tail = name.get(1..).unwrap_or_default();
    let dots = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'.');
    dots.map(|(place, _)| place).filter(move |place| {
        bytes
            .get(place + 1..)
            .is_some_and(|rest| rest.starts_with(tail))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_names_no_other_file() {
        let folder = std::env::temp_dir();
        let path = folder.join(format!("tracer-symbols-{}", std::process::id()));
        let mut text = vec![b'x'; (1 << 20) - 5];
        text.extend(b"\0.gnu_debuglink\0.text\0.debug_sup\0");
        std::fs::write(&path, &text).expect("written");
        let file = File::open(&path).expect("it is there");
        std::fs::remove_file(&path).expect("removed");
        let copy = copy(&file).expect("a copy");
        let mut copied = vec![0; text.len()];
        copy.read_exact_at(&mut copied, 0).expect("as long");
        let end = &copied[(1 << 20) - 5..];
        assert_eq!(end, b"\0.-nu_debuglink\0.text\0.-ebug_sup\0");
    }

    #[test]
    fn functions_of_this_program_have_names() {
        let own = File::open("/proc/self/exe").expect("own program");
        let copy = copy(&own).expect("a copy");
        let path = PathBuf::from(format!("/proc/self/fd/{}", copy.as_raw_fd()));
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
        fill(
            &mut found,
            &path,
            false,
            &[address.expect("within a segment")],
        );
        let name = found[0].last().map(|symbol| symbol.function.as_str());
        let name = name.unwrap_or("functions_of_this_program_have_names: stripped");
        assert!(
            name.contains("functions_of_this_program_have_names"),
            "{name}"
        );
    }
}
