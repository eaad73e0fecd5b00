//! Debian's packages unpacked: archives in a folder in, their files out.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::exec;

/// Unpacks every package in `archives` into `folder`.
pub fn extract_all(archives: &Path, folder: &Path) -> Result<()> {
    let entries =
        fs::read_dir(archives).with_context(|| format!("cannot read {}", archives.display()))?;
    let mut some = false;
    for entry in entries {
        let package = entry
            .with_context(|| format!("cannot read {}", archives.display()))?
            .path();
        let mut command = Command::new("dpkg-deb");
        command.arg("--extract").arg(package).arg(folder);
        exec::stream(&mut command, "dpkg-deb")?;
        some = true;
    }
    ensure!(some, "apt-get download left no package");
    Ok(())
}
