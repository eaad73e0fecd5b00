//! A guest whose first process is Debian's systemd, for the unit that comes with the tracer: a
//! suite of Debian in, all that is in the guest out.
//!
//! Programs and libraries are those of that suite's packages, unpacked, which touches nothing of
//! this system. Of this system are only the programs under test: a suite whose C library is older
//! than the one they were built with cannot run them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::apt::Apt;
use super::image::{Item, Items, Programs, place};
use crate::workspace::Workspace;

/// Tests of what only a system with systemd can show.
pub const FILTER: &str = "serve::unit";
/// What a system has that runs services. Newer releases of systemd load the library for filters of
/// system calls only if it is there, and do without filters otherwise.
const PACKAGES: [&str; 4] = ["systemd", "libseccomp2", "mount", "procps"];
/// What nobody reads there: documentation, translations, time zones.
const LEFT_OUT: &str = "usr/share";
/// The target that is reached first in which services can run, with nothing but the tests in it.
const TARGET: &str = "/usr/lib/systemd/system/basic.target";

/// Unpacks what the guest consists of below `folder`, where it is kept.
pub fn unpack(apt: &Apt, suite: &str, folder: &Path) -> Result<PathBuf> {
    let root = folder.join(suite);
    if !root.exists() {
        println!("      unpacking systemd of {suite} to {}", root.display());
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        let unfinished = folder.join(format!("{suite}.unfinished"));
        let _ = fs::remove_dir_all(&unfinished);
        apt.unpack_system(suite, &PACKAGES, &unfinished)?;
        // Only what is whole gets the name by which it is found.
        fs::rename(&unfinished, &root)
            .with_context(|| format!("cannot write {}", root.display()))?;
    }
    Ok(root)
}

/// All that is in the guest.
pub fn items(
    workspace: &Workspace,
    programs: &Programs,
    busybox: &Path,
    root: &Path,
) -> Result<Items> {
    let mut items = Items::new();
    add_folder(&mut items, root, root)?;
    let named = programs.named().into_iter().chain([("busybox", busybox)]);
    items.extend(named.map(|(name, path)| (format!("usr/bin/{name}"), Item::Copy(path.into()))));
    let dist = workspace.root.join("dist");
    let link = |target: &str| Item::Link(target.to_owned());
    let own = [
        ("init", link("/usr/lib/systemd/systemd")),
        ("etc/tracer/serve.conf", Item::Copy(dist.join("serve.conf"))),
        (
            "etc/systemd/system/tracer.service",
            Item::Copy(dist.join("systemd/tracer.service")),
        ),
        (
            "etc/systemd/system/live.service",
            Item::Text(include_str!("live.service")),
        ),
        (
            "etc/systemd/system/basic.target.wants/live.service",
            link("../live.service"),
        ),
        ("etc/systemd/system/default.target", link(TARGET)),
        (
            "etc/systemd/system.conf.d/console.conf",
            Item::Text(include_str!("console.conf")),
        ),
        // There, though empty: otherwise this were a first boot, which asks questions.
        ("etc/machine-id", Item::Text("")),
    ];
    items.extend(own.map(|(name, item)| (name.to_owned(), item)));
    Ok(items)
}

/// All files and links below a folder of `root`.
fn add_folder(items: &mut Items, root: &Path, folder: &Path) -> Result<()> {
    let cannot_read = || format!("cannot read {}", folder.display());
    for entry in fs::read_dir(folder).with_context(cannot_read)? {
        let path = entry.with_context(cannot_read)?.path();
        let name = path.strip_prefix(root).unwrap_or(&path);
        let kind = fs::symlink_metadata(&path)
            .with_context(|| format!("cannot read {}", path.display()))?
            .file_type();
        if name == Path::new(LEFT_OUT) {
            continue;
        }
        if kind.is_symlink() {
            let target =
                fs::read_link(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let target = target.to_string_lossy().into_owned();
            items.insert(inside(name), Item::Link(target));
        } else if kind.is_dir() {
            add_folder(items, root, &path)?;
        } else {
            items.insert(inside(name), Item::Copy(path));
        }
    }
    Ok(())
}

/// Where a file of a package is in the guest: settings and data where they were, everything else
/// below `usr`, where older packages do not have it.
fn inside(name: &Path) -> String {
    if name.starts_with("etc") || name.starts_with("var") {
        name.to_string_lossy().into_owned()
    } else {
        place(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_below_usr_and_settings_where_they_were() {
        let places = [
            ("lib/systemd/systemd", "usr/lib/systemd/systemd"),
            ("usr/bin/kill", "usr/bin/kill"),
            ("etc/systemd/system.conf", "etc/systemd/system.conf"),
        ];
        for (name, expected) in places {
            assert_eq!(inside(Path::new(name)), expected);
        }
    }
}
