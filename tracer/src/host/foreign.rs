//! Files that a process of a stranger names or makes: opened and read so that nothing in them, nor
//! what they are, can hang, mislead or exhaust this process.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, ErrorKind, Read, Seek, SeekFrom},
    os::fd::{AsRawFd as _, OwnedFd},
    path::{Component, Path},
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, open, openat},
    sys::stat::Mode,
};

use crate::units::{Pid, Span};

/// Of a text of `/proc` that the process itself chooses the size of, bytes: four times what a
/// command line and an environment may have at exec on common settings.
const MOST_TEXT: u64 = 8 << 20;

/// Opens a regular file of the root directory of a process, or of this process' root if that one
/// is gone. No link is followed, neither by the file nor by a folder on the way: what the kernel
/// names in a map has none. Nothing but a regular file is opened for reading: a FIFO would hang,
/// a device might act.
///
/// # Errors
/// There is none, or it may not be read.
pub fn open_regular(pid: Pid, path: &str) -> io::Result<File> {
    let within = |root: &str| reopen(beneath(&root_directory(root)?, path)?);
    within(&format!("/proc/{pid}/root")).or_else(|error| match error.kind() {
        ErrorKind::InvalidInput => Err(error),
        _ => within("/"),
    })
}

/// Opens for reading what a descriptor stands for, if that is a regular file.
fn reopen(found: OwnedFd) -> io::Result<File> {
    let file = File::from(found);
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(
            ErrorKind::InvalidInput,
            "is no regular file",
        ));
    }
    // The very file that was looked at; it cannot have become another one.
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    Ok(File::from(open(path.as_str(), flags, Mode::empty())?))
}

/// Opens the regular file that a process has mapped at a place, whatever became of its path: by
/// the mapping, which takes `cap_checkpoint_restore` or `cap_sys_admin`, or as its program.
///
/// # Errors
/// There is none, or it may not be read.
pub fn open_mapped(pid: Pid, span: Span) -> io::Result<File> {
    let (start, end) = (span.start.0, span.end.0);
    let places = [
        format!("/proc/{pid}/map_files/{start:x}-{end:x}"),
        format!("/proc/{pid}/exe"),
    ];
    let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
    let look = |place: &String| reopen(open(place.as_str(), flags, Mode::empty())?);
    let [by_mapping, as_program] = &places;
    look(by_mapping).or_else(|_| look(as_program))
}

/// The root directory of a process, kept: it is there when the process is gone. Or another folder
/// that paths lead to nothing above of.
#[derive(Debug)]
pub struct RootFolder(OwnedFd);

impl RootFolder {
    /// A folder of this process' own file system.
    ///
    /// # Errors
    /// It is not there.
    pub fn at(folder: &Path) -> io::Result<Self> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok(Self(open(folder, flags, Mode::empty())?))
    }

    /// That of a process.
    ///
    /// # Errors
    /// It is gone, or may not be looked at.
    pub fn of(pid: Pid) -> io::Result<Self> {
        Self::at(Path::new(&format!("/proc/{pid}/root")))
    }

    /// Opens a regular file below it, through no link.
    ///
    /// # Errors
    /// There is none, or it may not be read.
    pub fn open_regular(&self, path: &str) -> io::Result<File> {
        reopen(beneath(&self.0, path)?)
    }
}

/// What a symbolic link of the root directory of a process says.
///
/// # Errors
/// There is none.
pub fn read_link(pid: Pid, folder: &str, name: &str) -> io::Result<OsString> {
    let root = root_directory(&format!("/proc/{pid}/root"))?;
    let folder = beneath(&root, folder)?;
    Ok(nix::fcntl::readlinkat(&folder, Path::new(name))?)
}

fn root_directory(path: &str) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    open(path, flags, Mode::empty())
}

/// What a path stands for below a root directory, with neither a link nor a step upwards in it.
///
/// Step by step: `openat2` could do it at once, but is refused to services that may not make setuid
/// files, as it cannot be seen from outside what it is asked for.
fn beneath(root: &OwnedFd, path: &str) -> nix::Result<OwnedFd> {
    // A link is opened as what it is, and is no folder.
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let mut found = openat(root, ".", flags, Mode::empty())?;
    for step in Path::new(path).components() {
        match step {
            Component::Normal(name) => found = openat(&found, name, flags, Mode::empty())?,
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => return Err(Errno::EXDEV),
        }
    }
    Ok(found)
}

/// A text of a process in `/proc`, as much of it as is reasonable.
///
/// # Errors
/// It may not be read, or the process is gone.
pub fn text_of(pid: Pid, name: &str) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let file = File::open(format!("/proc/{pid}/{name}"))?;
    file.take(MOST_TEXT).read_to_end(&mut text)?;
    Ok(text)
}

/// A file of which no more is read than is reasonable, however large it claims to be.
#[derive(Debug)]
pub struct Bounded<F> {
    file: F,
    left: u64,
}

impl<F> Bounded<F> {
    /// Reads at most `most` bytes of `file`, those read twice counted twice.
    pub const fn new(file: F, most: u64) -> Self {
        Self { file, left: most }
    }
}

impl<F: Read> Read for Bounded<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.left).unwrap_or(usize::MAX);
        if room == 0 && !buffer.is_empty() {
            return Err(io::Error::new(
                ErrorKind::FileTooLarge,
                "there is too much to read",
            ));
        }
        let len = buffer.len().min(room);
        let read = self.file.read(buffer.get_mut(..len).unwrap_or_default())?;
        self.left -= read as u64;
        Ok(read)
    }
}

impl<F: Seek> Seek for Bounded<F> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = format!("tracer-foreign-{}-{name}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        fs::create_dir_all(&folder).expect("a folder");
        // Without links on the way.
        folder.canonicalize().expect("it is there")
    }

    fn opened(path: &Path) -> io::Result<File> {
        open_regular(Pid(std::process::id()), &path.to_string_lossy())
    }

    #[test]
    fn nothing_but_a_regular_file_is_opened() {
        let folder = folder("kinds");
        let file = folder.join("file");
        fs::write(&file, b"content").expect("written");
        let mut text = String::new();
        let read = opened(&file).and_then(|mut file| file.read_to_string(&mut text));
        assert_eq!((read.ok(), text.as_str()), (Some(7), "content"));

        let fifo = folder.join("fifo");
        nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).expect("a FIFO");
        let link = folder.join("link");
        std::os::unix::fs::symlink(&file, &link).expect("a link");
        let detour = folder.join("detour");
        std::os::unix::fs::symlink(&folder, &detour).expect("a link");
        for wrong in [
            &fifo,
            &link,
            &detour.join("file"),
            &folder.join("../kinds/file"),
            &folder,
            Path::new("/dev/tty"),
        ] {
            assert!(opened(wrong).is_err(), "{}", wrong.display());
        }
        fs::remove_dir_all(&folder).expect("removed");
    }

    #[test]
    fn links_are_read_and_not_followed() {
        let folder = folder("links");
        std::os::unix::fs::symlink("dirty:true", folder.join("malloc.conf")).expect("a link");
        let own = Pid(std::process::id());
        let said = read_link(own, &folder.to_string_lossy(), "malloc.conf");
        assert_eq!(said.ok(), Some("dirty:true".into()));
        assert!(read_link(own, &folder.to_string_lossy(), "none").is_err());
        fs::remove_dir_all(&folder).expect("removed");
    }

    #[test]
    fn no_more_is_read_than_was_said() {
        let mut bounded = Bounded::new(io::repeat(7), 10);
        let mut bytes = [0; 8];
        assert_eq!(bounded.read(&mut bytes).ok(), Some(8));
        assert_eq!(bounded.read(&mut bytes).ok(), Some(2));
        let error = bounded.read(&mut bytes).expect_err("that was all");
        assert_eq!(error.kind(), ErrorKind::FileTooLarge);
    }
}
