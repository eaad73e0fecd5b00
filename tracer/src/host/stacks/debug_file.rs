//! Debug information that a distribution keeps in files of its own: an object file in, the path
//! of its debug file out.
//!
//! Looked for only below `/usr/lib/debug` of the tracer's own root, which belongs to whoever
//! administers this machine: by build id, else by the name that the object file gives
//! (`.gnu_debuglink`) in the folder that has the same path there as the object file has. A
//! stranger chooses that name, and the path too, for a privileged process to open. So both are
//! taken apart and may lead nowhere else, no link is followed, and the file must have the checksum
//! that goes with the name. A program thus can make the tracer open nothing but a debug file that
//! is installed and that it knows, and what it can learn by that is the symbols of a package.

use std::{
    fmt::Write as _,
    fs::File,
    io::{BufReader, Read as _},
    path::{Path, PathBuf},
};

use flate2::Crc;
use object::{Object as _, ReadCache};

use crate::host::foreign::{Bounded, RootFolder};

const FOLDER: &str = "/usr/lib/debug";
/// Read of a file for its build id and link: headers and two small sections.
const MOST_READ: u64 = 4 << 20;
/// The largest debug file that is read for its checksum.
const MOST_CHECKED: u64 = 1 << 30;

/// The debug file of an object file that is mapped as `mapped`, if one is installed.
pub fn find(file: &File, mapped: &str) -> Option<PathBuf> {
    let bounded = Bounded::new(file.try_clone().ok()?, MOST_READ);
    let cache = ReadCache::new(BufReader::new(bounded));
    let elf = object::File::parse(&cache).ok()?;
    let build_id = elf.build_id().ok().flatten();
    let by_build_id = build_id.and_then(by_build_id);
    by_build_id.filter(|path| path.is_file()).or_else(|| {
        let (name, checksum) = elf.gnu_debuglink().ok()??;
        let name = std::str::from_utf8(name).ok()?;
        by_link(Path::new(FOLDER), mapped, name, checksum)
    })
}

fn by_build_id(build_id: &[u8]) -> Option<PathBuf> {
    let (first, rest) = build_id.split_first()?;
    // As long as any that linkers make: a hash.
    if !(7..=63).contains(&rest.len()) {
        return None;
    }
    let mut name = format!("{first:02x}/");
    for byte in rest {
        write!(name, "{byte:02x}").ok()?;
    }
    Some(Path::new(FOLDER).join(".build-id").join(name + ".debug"))
}

/// The file `name` in the folder of `mapped` below `root`, if that is its checksum.
fn by_link(root: &Path, mapped: &str, name: &str, checksum: u32) -> Option<PathBuf> {
    let (folder, _) = mapped.strip_prefix('/')?.rsplit_once('/')?;
    if name.contains('/') {
        return None;
    }
    let path = format!("{folder}/{name}");
    if !path.split('/').all(is_plain) {
        return None;
    }
    let found = RootFolder::at(root).ok()?.open_regular(&path).ok()?;
    (checksum_of(found)? == checksum).then(|| root.join(path))
}

/// Whether a part of a path names something within its folder.
fn is_plain(part: &str) -> bool {
    !matches!(part, "" | "." | "..") && !part.contains('\0')
}

/// The CRC-32 of a file, with the polynomial of zlib.
fn checksum_of(mut file: File) -> Option<u32> {
    if file.metadata().ok()?.len() > MOST_CHECKED {
        return None;
    }
    let mut checksum = Crc::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        let read = file.read(&mut buffer).ok()?;
        if read == 0 {
            return Some(checksum.sum());
        }
        checksum.update(buffer.get(..read)?);
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn a_build_id_is_a_path_in_one_folder() {
        let path = by_build_id(&[0xab, 1, 2, 3, 4, 5, 6, 0xff]).expect("long enough");
        assert_eq!(
            path,
            PathBuf::from("/usr/lib/debug/.build-id/ab/010203040506ff.debug")
        );
        assert_eq!(by_build_id(b"../x"), None);
        assert_eq!(by_build_id(&[]), None);
    }

    #[test]
    fn a_link_leads_to_one_folder_and_to_the_file_that_it_means() {
        // That of the nine digits, by the definition of this checksum.
        const DIGITS: u32 = 0xcbf4_3926;
        let name = format!("tracer-debug-file-{}", std::process::id());
        let root = std::env::temp_dir().join(name);
        let folder = root.join("usr/bin");
        fs::create_dir_all(&folder).expect("a folder");
        let write = |path: PathBuf| fs::write(path, "123456789").expect("written");
        write(folder.join("p.debug"));
        write(root.join("usr/outside"));
        write(root.join("top"));
        fs::write(folder.join("other"), "987654321").expect("written");
        symlink("p.debug", folder.join("link")).expect("a link");
        symlink("bin", root.join("usr/detour")).expect("a link");
        nix::unistd::mkfifo(&folder.join("fifo"), nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");

        let found = |mapped: &str, name: &str| by_link(&root, mapped, name, DIGITS);
        assert_eq!(found("/usr/bin/p", "p.debug"), Some(folder.join("p.debug")));
        assert_eq!(
            found("/usr/bin/p (deleted)", "p.debug"),
            Some(folder.join("p.debug"))
        );
        for (mapped, name) in [
            ("/usr/bin/p", "other"),
            ("/usr/bin/p", "none"),
            ("/usr/bin/p", "link"),
            ("/usr/bin/p", "fifo"),
            ("/usr/bin/p", "../outside"),
            ("/usr/bin/p", ".."),
            ("/usr/bin/p", "."),
            ("/usr/bin/p", ""),
            ("/usr/bin/p", "p.debug\0"),
            ("/usr/p", "bin/p.debug"),
            ("/usr/bin/../p", "outside"),
            ("/usr//bin/p", "p.debug"),
            ("/usr/./bin/p", "p.debug"),
            ("/usr/detour/p", "p.debug"),
            ("usr/bin/p", "p.debug"),
            ("/top", "top"),
            ("[vdso]", "p.debug"),
            ("", "p.debug"),
        ] {
            assert_eq!(found(mapped, name), None, "{mapped} {name:?}");
        }
        fs::remove_dir_all(&root).expect("removed");
    }
}
