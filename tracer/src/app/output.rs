//! Where the summary goes. A file appears whole or not at all.

use std::{
    fs::{self, File, Metadata},
    io::Write as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::write_out;
use crate::{cli::intent::Output, host::privilege};

/// An open destination.
pub enum Destination {
    /// Standard output.
    Standard,
    /// A file that is written beside its place first.
    File {
        /// Its place.
        path: PathBuf,
        /// Where it is written.
        draft: PathBuf,
        /// The open draft.
        file: File,
    },
    /// Something that is no regular file (a terminal, a pipe, `/dev/null`): written to as
    /// it is.
    Device {
        /// Its place.
        path: PathBuf,
        /// Open for writing.
        file: File,
    },
}

impl Destination {
    /// Makes sure that the destination can be written.
    ///
    /// # Errors
    /// It cannot.
    pub fn open(output: &Output) -> Result<Self> {
        let Output::File(path) = output else {
            return Ok(Self::Standard);
        };
        let failed = || format!("cannot write to {}", path.display());
        if let Ok(metadata) = fs::metadata(path)
            && !metadata.is_file()
        {
            let file = File::options()
                .write(true)
                .open(path)
                .with_context(failed)?;
            return Ok(Self::Device {
                path: path.clone(),
                file,
            });
        }
        let name = path.file_name().with_context(failed)?.to_string_lossy();
        let draft = path.with_file_name(format!(".{name}.{}", std::process::id()));
        let file = File::create(&draft).with_context(failed)?;
        Ok(Self::File {
            path: path.clone(),
            draft,
            file,
        })
    }

    /// Whether a file or device rather than standard output.
    pub const fn is_file(&self) -> bool {
        !matches!(self, Self::Standard)
    }

    /// Whether putting the file into its place needs rights over the folder of another user.
    pub fn is_elsewhere(&self) -> bool {
        matches!(self, Self::File { path, .. } if is_elsewhere(path))
    }

    /// Writes the summary.
    ///
    /// # Errors
    /// It cannot be written; nothing is left behind then.
    pub fn write(mut self, document: &[u8]) -> Result<()> {
        match &mut self {
            Self::Standard => write_out(document).map(drop),
            Self::File { path, draft, file } => {
                let failed = || format!("cannot write to {}", path.display());
                file.write_all(document)
                    .and_then(|()| file.sync_all())
                    .and_then(|()| privilege::awake(|| fs::rename(draft, &*path)))
                    .with_context(failed)
            }
            Self::Device { path, file } => {
                let failed = || format!("cannot write to {}", path.display());
                file.write_all(document).with_context(failed)
            }
        }
    }
}

/// Whether changing the folder of `path` takes more than to be this user: it is another's.
pub fn is_elsewhere(path: &Path) -> bool {
    const OWNER_MAY_CHANGE_IT: u32 = 0o300;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let own = |folder: Metadata| {
        folder.uid() == nix::unistd::geteuid().as_raw()
            && folder.mode() & OWNER_MAY_CHANGE_IT == OWNER_MAY_CHANGE_IT
    };
    !fs::metadata(folder).is_ok_and(own)
}

impl Drop for Destination {
    fn drop(&mut self) {
        if let Self::File { draft, .. } = self {
            // Gone already if it was renamed into place.
            let _ = privilege::awake(|| fs::remove_file(draft));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let dir = std::env::temp_dir().join(format!("tracer-output-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("a directory");
        let path = dir.join("report.json");
        drop(Destination::open(&Output::File(path.clone())).expect("open"));
        assert_eq!(
            fs::read_dir(&dir).expect("readable").count(),
            0,
            "nothing is left behind"
        );
        let destination = Destination::open(&Output::File(path.clone())).expect("open");
        destination.write(b"whole").expect("written");
        assert_eq!(fs::read(&path).expect("there"), b"whole");
        assert_eq!(fs::read_dir(&dir).expect("readable").count(), 1);
        fs::remove_dir_all(&dir).expect("removed");
    }

    #[test]
    fn what_cannot_be_written_is_said_at_once() {
        let path = PathBuf::from("/no/such/directory/report.json");
        let error = Destination::open(&Output::File(path))
            .err()
            .expect("an error");
        assert_eq!(
            error.to_string(),
            "cannot write to /no/such/directory/report.json"
        );
    }
}
