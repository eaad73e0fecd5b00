//! Debian's packages: needs in, installed packages out. The only part of set-up that is elevated.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::needs::Need;
use super::versions::{OLDEST_RUSTC, Release};
use crate::elevate::Elevation;
use crate::exec;

/// `--no-remove`: never trade a package of the user's for one of ours.
const INSTALL: [&str; 4] = ["install", "-y", "--no-install-recommends", "--no-remove"];

/// Whether this system has apt.
pub fn available() -> bool {
    exec::probe(Command::new("apt-get").arg("--version")).is_some()
}

/// Installs what it can and returns the needs no package serves; optional ones are left out.
pub fn install(needs: &[Need], elevation: Elevation, log: &Path) -> Result<Vec<Need>> {
    let mut offered = candidates(needs)?;
    if elevation == Elevation::Unavailable {
        bail!("{}", without_root(needs, &offered));
    }
    elevation.prepare()?;
    let mut updated = false;
    if resolve(needs, &offered).1.iter().any(|need| !need.optional) {
        update(elevation, log);
        updated = true;
        offered = candidates(needs)?;
    }
    let (packages, unavailable) = resolve(needs, &offered);
    if !packages.is_empty() {
        let first = install_packages(&packages, elevation, log);
        if first.is_err() && !updated {
            // Lists that are too old name files the mirror no longer has.
            update(elevation, log);
            install_packages(&packages, elevation, log)?;
        } else {
            first?;
        }
    }
    Ok(unavailable
        .into_iter()
        .filter(|need| !need.optional)
        .collect())
}

fn install_packages(packages: &[&str], elevation: Elevation, log: &Path) -> Result<()> {
    println!("      apt-get {} {}", INSTALL.join(" "), packages.join(" "));
    apt_get(&[&INSTALL, packages].concat(), elevation, log)
}

fn update(elevation: Elevation, log: &Path) {
    println!("      apt-get update");
    // One broken source among many must not stop the others.
    if let Err(error) = apt_get(&["update"], elevation, log) {
        println!("      {error:#}");
    }
}

fn apt_get(arguments: &[&str], elevation: Elevation, log: &Path) -> Result<()> {
    let line = arguments.join(" ");
    let quiet = [("DEBIAN_FRONTEND", OsStr::new("noninteractive"))];
    let mut command = elevation.command(OsStr::new("apt-get"), &quiet)?;
    command.args(arguments);
    exec::logged(&mut command, &format!("apt-get {line}"), log)
}

/// The one message where neither root nor sudo is at hand.
fn without_root(needs: &[Need], offered: &BTreeMap<String, String>) -> String {
    let (mut packages, unavailable) = resolve(needs, offered);
    let required = unavailable.iter().filter(|need| !need.optional);
    packages.extend(required.flat_map(|need| need.packages));
    format!(
        "installing packages needs root, and this is neither root nor a system with sudo: as root run `apt-get update && apt-get {} {}`, then try again",
        INSTALL.join(" "),
        packages.join(" ")
    )
}

/// The version apt would install of every package that could serve.
fn candidates(needs: &[Need]) -> Result<BTreeMap<String, String>> {
    let names = needs
        .iter()
        .flat_map(|need| need.packages.iter().chain(need.other_names));
    let mut command = Command::new("apt-cache");
    command.arg("policy").args(names).env("LC_ALL", "C");
    let text = exec::probe(&mut command).context("apt-cache policy failed: is apt in order?")?;
    Ok(parse_policy(&text))
}

/// Splits the needs into packages to install and needs that nothing here serves.
fn resolve<'a>(needs: &'a [Need], offered: &BTreeMap<String, String>) -> (Vec<&'a str>, Vec<Need>) {
    let suitable = |name: &&str| {
        offered.get(*name).is_some_and(|version| {
            *name != "rustc-web" || Release::parse(version).is_some_and(|r| r >= OLDEST_RUSTC)
        })
    };
    let mut packages: Vec<&str> = Vec::new();
    let mut unavailable = Vec::new();
    for need in needs {
        if need.packages.iter().all(&suitable) {
            packages.extend(need.packages);
        } else if let Some(name) = need.other_names.iter().find(|name| suitable(name)) {
            packages.push(name);
        } else {
            unavailable.push(need.clone());
        }
    }
    (packages, unavailable)
}

/// Package names and candidate versions of `apt-cache policy`.
fn parse_policy(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut package = "";
    for line in text.lines() {
        if let Some(name) = line.strip_suffix(':').filter(|_| !line.starts_with(' ')) {
            package = name;
        } else if let Some(version) = line.trim_start().strip_prefix("Candidate: ")
            && version != "(none)"
        {
            found.insert(package.to_owned(), version.to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::needs;
    use super::*;

    const POLICY: &str = "rustc-web:\n  Installed: (none)\n  Candidate: 1.96.0+dfsg1-1~deb12u2\n  \
        Version table:\n     1.96.0+dfsg1-1~deb12u2 500\n\
        cargo-web:\n  Installed: (none)\n  Candidate: 1.96.0+dfsg1-1~deb12u2\n\
        rust-web-src:\n  Installed: (none)\n  Candidate: 1.96.0+dfsg1-1~deb12u2\n\
        gone:\n  Installed: (none)\n  Candidate: (none)\n";

    #[test]
    fn policy_gives_candidates_only() {
        let offered = parse_policy(POLICY);
        assert_eq!(offered.len(), 3);
        assert!(!offered.contains_key("gone"));
        let (packages, unavailable) = resolve(&[needs::COMPILER], &offered);
        assert_eq!(packages, needs::COMPILER.packages);
        assert!(unavailable.is_empty());
    }

    #[test]
    fn a_compiler_too_old_does_not_serve() {
        let offered = parse_policy(&POLICY.replace("1.96.0", "1.85.0"));
        let (packages, unavailable) = resolve(&[needs::COMPILER], &offered);
        assert!(packages.is_empty());
        assert_eq!(unavailable, [needs::COMPILER]);
    }

    #[test]
    fn another_releases_name_serves() {
        let need = Need {
            packages: &["old-name"],
            other_names: &["gone", "new-name"],
            ..needs::COMPILER
        };
        let offered = parse_policy("new-name:\n  Candidate: 1.0\n");
        let needs = [need];
        assert_eq!(resolve(&needs, &offered).0, ["new-name"]);
    }

    #[test]
    fn without_root_the_message_has_the_whole_command() {
        let text = without_root(&[needs::COMPILER], &BTreeMap::new());
        assert!(text.contains("apt-get update && apt-get install -y"));
        assert!(text.contains("rustc-web cargo-web rust-web-src"));
    }
}
