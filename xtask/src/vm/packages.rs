//! Debian's packages: archives in a folder in, their files out; a plan of apt in, their names out.

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

/// What a simulation would install: each package with its version, as apt takes it.
pub fn to_install(plan: &str) -> Vec<String> {
    let lines = plan.lines().filter_map(|line| {
        let (name, rest) = line.strip_prefix("Inst ")?.split_once(" (")?;
        let version = rest.split_whitespace().next()?;
        Some(format!("{name}={version}"))
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_of_a_plan_have_their_version() {
        let plan = "Reading package lists...\nInst libc6 (2.36-9 Debian:12.15/oldstable [amd64])\n\
                    Inst libgcc-s1 (12.2.0-14 Debian:12.15/oldstable [amd64]) []\n\
                    Conf libc6 (2.36-9 Debian:12.15/oldstable [amd64])\n";
        assert_eq!(to_install(plan), ["libc6=2.36-9", "libgcc-s1=12.2.0-14"]);
    }
}
