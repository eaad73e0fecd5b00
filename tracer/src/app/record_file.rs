//! The file of a recording: only its owner may read it, and it is left alone until the run
//! begins.

use std::{
    fs::{self, File},
    io::ErrorKind,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use nix::unistd::{Gid, Uid, fchown, geteuid};

use super::output::is_elsewhere;
use crate::host::privilege;

/// An open file. What it has is still there: the recording overwrites it when it begins.
pub struct RecordFile {
    path: PathBuf,
    made: bool,
}

impl RecordFile {
    /// Opens the file for writing, and makes it if there is none.
    ///
    /// # Errors
    /// It cannot be written, or is no regular file.
    pub fn open(path: &Path) -> Result<(Self, File)> {
        let failed = || format!("cannot record to {}", path.display());
        let made = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path);
        let (file, made) = match made {
            Ok(file) => {
                give_to_caller(&file);
                (file, true)
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                refuse_irregular(path)?;
                let file = File::options().write(true).open(path);
                (file.with_context(failed)?, false)
            }
            Err(error) => return Err(error).with_context(failed),
        };
        let path = path.to_owned();
        Ok((Self { path, made }, file))
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether to [`Self::discard`] it needs rights over the folder of another user.
    pub fn is_elsewhere(&self) -> bool {
        self.made && is_elsewhere(&self.path)
    }

    /// There was no run: nothing is left behind.
    pub fn discard(&self) {
        if self.made {
            let _ = privilege::awake(|| fs::remove_file(&self.path));
        }
    }
}

fn refuse_irregular(path: &Path) -> Result<()> {
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        bail!(
            "cannot record to {}: it is no regular file, which a recording needs",
            path.display()
        );
    }
    Ok(())
}

/// Under sudo the report is to be made without it.
fn give_to_caller(file: &File) {
    let id = |name| std::env::var(name).ok()?.parse().ok();
    if geteuid().is_root()
        && let (Some(uid), Some(gid)) = (id("SUDO_UID"), id("SUDO_GID"))
    {
        // Root's then.
        let _ = fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn an_old_recording_stays_until_a_new_one_begins() {
        let dir = std::env::temp_dir().join(format!("tracer-record-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("a directory");
        let path = dir.join("run.trace");
        let (record, _) = RecordFile::open(&path).expect("a new file");
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "it has words of the target's stack");
        record.discard();
        assert!(!path.exists(), "nothing is left behind");
        fs::write(&path, b"an older one").expect("written");
        let (record, _) = RecordFile::open(&path).expect("an old file");
        record.discard();
        assert_eq!(fs::read(&path).expect("there"), b"an older one");
        let error = RecordFile::open(&dir).err().expect("a directory");
        assert!(error.to_string().contains("no regular file"), "{error}");
        fs::remove_dir_all(&dir).expect("removed");
    }
}
