//! Copies of files of strangers: a file in, one that nobody else can change out, that names no
//! other file and inflates to no more than it says.
//!
//! It is for the symbolizer, which maps files, follows what they name and makes room for what they
//! claim. A file of a stranger can be cut while it is mapped, which would kill this process, can
//! name any path and can claim any size.

use std::{
    borrow::Cow,
    fs::File,
    io::{self, Seek as _, SeekFrom, Write as _},
    os::unix::fs::FileExt as _,
};

use nix::sys::memfd::{MFdFlags, memfd_create};

use super::compressed;

/// The largest file that is copied.
const MOST_COPIED: u64 = 1 << 30;
/// What its compressed sections may have together, inflated.
const MOST_INFLATED: u64 = 1 << 30;
/// Sections that name other files, or have one in them.
const NAMING: [&[u8]; 4] = [
    b".gnu_debuglink\0",
    b".gnu_debugaltlink\0",
    b".debug_sup\0",
    b".gnu_debugdata\0",
];

/// Of a file.
///
/// # Errors
/// It cannot be read, is too large or inflates to too much.
pub fn of(file: &File) -> io::Result<File> {
    let copy = nameless(file)?;
    compressed::check(&copy, MOST_INFLATED)?;
    Ok(copy)
}

/// Of a file that is in memory.
///
/// # Errors
/// It inflates to too much.
pub fn of_bytes(bytes: &[u8]) -> io::Result<File> {
    let mut copy = empty()?;
    strike_out(bytes, 0, &mut copy)?;
    compressed::check(&copy, MOST_INFLATED)?;
    Ok(copy)
}

fn empty() -> io::Result<File> {
    let memory = memfd_create("tracer-symbols", MFdFlags::MFD_CLOEXEC)?;
    Ok(File::from(memory))
}

/// A copy that names no other file.
fn nameless(file: &File) -> io::Result<File> {
    let len = file.metadata()?.len();
    if len > MOST_COPIED {
        return Err(io::Error::other("is larger than 1 GiB"));
    }
    let mut copy = empty()?;
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
    Ok(copy)
}

/// Writes a part of a file, without the names of sections that name files.
fn strike_out(part: &[u8], at: u64, copy: &mut File) -> io::Result<()> {
    let mut part = Cow::Borrowed(part);
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
        let copy = nameless(&file).expect("a copy");
        let mut copied = vec![0; text.len()];
        copy.read_exact_at(&mut copied, 0).expect("as long");
        let end = &copied[(1 << 20) - 5..];
        assert_eq!(end, b"\0.-nu_debuglink\0.text\0.-ebug_sup\0");
    }
}
