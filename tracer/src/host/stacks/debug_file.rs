//! Debug information that a distribution keeps in files of its own: an object file in, the path
//! of its debug file out.
//!
//! Looked for only below `/usr/lib/debug` of the tracer's own root, which belongs to whoever
//! administers this machine, and only by build id. The name that an object file gives
//! (`.gnu_debuglink`) is a stranger's choice of a path for a privileged process to open: it is
//! not followed. So a program cannot make the tracer open anything but a debug file that is
//! installed, and what it can learn by that is the symbols of a package.

use std::{fmt::Write as _, fs::File, io::BufReader, path::PathBuf};

use object::{Object as _, ReadCache};

use crate::host::foreign::Bounded;

const FOLDER: &str = "/usr/lib/debug/.build-id";
/// Read of a file for its build id: headers and a note.
const MOST_READ: u64 = 4 << 20;

/// The debug file of an object file, if one is installed.
pub fn find(file: &File) -> Option<PathBuf> {
    let cache = ReadCache::new(BufReader::new(Bounded::new(
        file.try_clone().ok()?,
        MOST_READ,
    )));
    let elf = object::File::parse(&cache).ok()?;
    let path = path_of(elf.build_id().ok()??)?;
    path.is_file().then_some(path)
}

fn path_of(build_id: &[u8]) -> Option<PathBuf> {
    let (first, rest) = build_id.split_first()?;
    // As long as any that linkers make: a hash.
    if !(7..=63).contains(&rest.len()) {
        return None;
    }
    let mut name = format!("{first:02x}/");
    for byte in rest {
        write!(name, "{byte:02x}").ok()?;
    }
    Some(PathBuf::from(FOLDER).join(name + ".debug"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_id_is_a_path_in_one_folder() {
        let path = path_of(&[0xab, 1, 2, 3, 4, 5, 6, 0xff]).expect("long enough");
        assert_eq!(
            path,
            PathBuf::from("/usr/lib/debug/.build-id/ab/010203040506ff.debug")
        );
        assert_eq!(path_of(b"../x"), None);
        assert_eq!(path_of(&[]), None);
    }
}
