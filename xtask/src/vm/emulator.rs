//! QEMU: this system's own, or one unpacked from its packages into the target directory.
//!
//! Unpacked, not installed: that takes no root, and no package of this system has to give way.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::arch::Arch;
use super::packages;
use crate::exec;

/// Where dpkg keeps what is installed.
const STATUS: &str = "/var/lib/dpkg/status";
/// Folders of firmware below a root.
const FIRMWARE: [&str; 2] = ["usr/share/qemu", "usr/share/seabios"];

/// An emulator that can be started.
#[derive(Debug)]
pub struct Emulator {
    program: PathBuf,
    /// Below which it was unpacked with all that it needs; `None` if it is this system's.
    root: Option<PathBuf>,
}

impl Emulator {
    /// This system's emulator, or one unpacked below `folder`, which is kept there.
    pub fn find(arch: Arch, folder: &Path) -> Result<Self> {
        let name = program(arch);
        if let Some(program) = on_path(name) {
            return Ok(Self {
                program,
                root: None,
            });
        }
        let root = folder.join(name);
        if !root.exists() {
            unpack(package(arch), &root)?;
        }
        Ok(Self {
            program: root.join("usr/bin").join(name),
            root: Some(root),
        })
    }

    /// Its program with what it takes to run it from where it is.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        if let Some(root) = &self.root {
            for folder in FIRMWARE {
                command.arg("-L").arg(root.join(folder));
            }
            let libraries = library_folders(root);
            command.env("QEMU_MODULE_DIR", libraries[0].join("qemu"));
            let mut path = OsString::new();
            for folder in &libraries {
                path.push(folder);
                path.push(":");
            }
            path.push(env::var_os("LD_LIBRARY_PATH").unwrap_or_default());
            command.env("LD_LIBRARY_PATH", path);
        }
        command
    }
}

const fn program(arch: Arch) -> &'static str {
    match arch {
        Arch::Amd64 => "qemu-system-x86_64",
        Arch::Arm64 => "qemu-system-aarch64",
    }
}

const fn package(arch: Arch) -> &'static str {
    match arch {
        Arch::Amd64 => "qemu-system-x86",
        Arch::Arm64 => "qemu-system-arm",
    }
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}

fn library_folders(root: &Path) -> [PathBuf; 2] {
    let multiarch = format!("{}-linux-gnu", env::consts::ARCH);
    ["usr/lib", "lib"].map(|folder| root.join(folder).join(&multiarch))
}

/// Fetches a package with what it needs and this system has not, and unpacks all of it.
fn unpack(package: &str, root: &Path) -> Result<()> {
    println!("      unpacking {package} to {}", root.display());
    let work = root.with_extension("unpacking");
    let _ = fs::remove_dir_all(&work);
    let archives = work.join("archives");
    fs::create_dir_all(&archives)
        .with_context(|| format!("cannot create {}", archives.display()))?;
    let names = needed(package, &work.join("status"))?;
    let mut command = Command::new("apt-get");
    command
        .current_dir(&archives)
        .args(["download", "-o", "APT::Sandbox::User="])
        .args(&names);
    let what = format!("downloading {package} and what it needs");
    exec::logged(&mut command, &what, &work.join("download.log"))?;
    let unpacked = work.join("root");
    packages::extract_all(&archives, &unpacked)?;
    // Only what is whole gets the name by which it is found.
    fs::rename(&unpacked, root).with_context(|| format!("cannot write {}", root.display()))?;
    let _ = fs::remove_dir_all(&work);
    Ok(())
}

/// The packages that would have to be installed. What stands in their way stays installed: it
/// is left out of what apt is told of this system.
fn needed(package: &str, status: &Path) -> Result<Vec<String>> {
    let mut known = fs::read_to_string(STATUS).with_context(|| format!("cannot read {STATUS}"))?;
    let mut in_the_way = BTreeSet::new();
    loop {
        fs::write(status, &known).with_context(|| format!("cannot write {}", status.display()))?;
        let mut command = Command::new("apt-get");
        command
            .args(["--simulate", "--no-install-recommends", "-o"])
            .arg(format!("Dir::State::status={}", status.display()))
            .args(["install", package])
            .env("LC_ALL", "C");
        let plan = exec::probe(&mut command).with_context(|| {
            format!(
                "apt cannot tell what {package} needs: run `apt-get update` as root, or install it"
            )
        })?;
        let removed = actions(&plan, "Remv");
        if removed.is_empty() {
            return Ok(actions(&plan, "Inst"));
        }
        let before = in_the_way.len();
        in_the_way.extend(removed);
        ensure!(
            in_the_way.len() > before,
            "{package} does not go with what is installed here: {}",
            in_the_way.into_iter().collect::<Vec<_>>().join(", ")
        );
        known = without(&known, &in_the_way);
    }
}

/// The packages that a simulation would do this to.
fn actions(plan: &str, action: &str) -> Vec<String> {
    plan.lines()
        .filter_map(|line| line.strip_prefix(action)?.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

/// dpkg's paragraphs but for those of some packages.
fn without(status: &str, packages: &BTreeSet<String>) -> String {
    let is_kept = |paragraph: &&str| {
        let mut lines = paragraph.lines();
        !lines
            .find_map(|line| line.strip_prefix("Package: "))
            .is_some_and(|name| packages.contains(name))
    };
    let kept = status.split_inclusive("\n\n").filter(is_kept);
    kept.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_has_what_comes_and_what_goes() {
        let plan = "Reading package lists...\nRemv tools [1:10.0]\n\
                    Inst libfdt1 (1.6.1-4 Debian:12/stable [amd64])\n\
                    Conf libfdt1 (1.6.1-4 Debian:12/stable [amd64])\n";
        assert_eq!(actions(plan, "Inst"), ["libfdt1"]);
        assert_eq!(actions(plan, "Remv"), ["tools"]);
    }

    #[test]
    fn a_package_is_left_out_whole() {
        let status = "Package: a\nStatus: x\n\nPackage: tools\nDepends: a\n\nPackage: toolset\n";
        let packages = BTreeSet::from(["tools".to_owned()]);
        let left = without(status, &packages);
        assert_eq!(left, "Package: a\nStatus: x\n\nPackage: toolset\n");
    }
}
