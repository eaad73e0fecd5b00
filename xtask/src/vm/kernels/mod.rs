//! Kernels to boot: series in, kernel images on disk out, newest package of each series.
//!
//! Packages are found through an apt of this task's own; an image that was unpacked once is
//! kept, because mirrors drop old packages.

mod names;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::apt::Apt;
use super::arch::Arch;
use names::Package;
pub use names::Series;

/// Which kernels.
#[derive(Debug)]
pub enum Choice {
    /// These series, and the newest one that is found.
    AndNewest(Vec<Series>),
    /// These series only.
    Only(Vec<Series>),
    /// Every series that is found.
    All,
}

/// A kernel on disk.
#[derive(Debug)]
pub struct Kernel {
    /// As in `6.1.0-44-cloud-amd64`.
    pub release: String,
    /// The image to boot.
    pub image: PathBuf,
}

/// Finds and fetches what `choice` asks for, oldest first.
pub fn fetch(apt: &Apt, folder: &Path, arch: Arch, choice: &Choice) -> Result<Vec<Kernel>> {
    let mut names = apt.names("linux-image-")?;
    names.extend(apt.names("linux-binary-")?);
    let offered = names::by_series(names.iter().map(String::as_str), arch);
    let cache = folder.join("kernels").join(arch.debian());
    fs::create_dir_all(&cache).with_context(|| format!("cannot create {}", cache.display()))?;
    choose(&offered, choice)?
        .into_iter()
        .map(|(series, packages)| fetch_newest(apt, &cache, series, packages))
        .collect()
}

type Offer<'a> = (Series, &'a [Package]);

fn choose<'a>(
    offered: &'a BTreeMap<Series, Vec<Package>>,
    choice: &Choice,
) -> Result<Vec<Offer<'a>>> {
    let newest = offered.keys().next_back().copied();
    let mut wanted: Vec<Series> = match choice {
        Choice::All => offered.keys().copied().collect(),
        Choice::Only(series) => series.clone(),
        Choice::AndNewest(series) => series.iter().copied().chain(newest).collect(),
    };
    wanted.sort_unstable();
    wanted.dedup();
    wanted
        .into_iter()
        .map(|series| match offered.get(&series) {
            Some(packages) => Ok((series, packages.as_slice())),
            None => bail!(
                "the mirror has no cloud kernel of the series {series}; it has {}",
                join(offered.keys())
            ),
        })
        .collect()
}

fn join<'a>(series: impl Iterator<Item = &'a Series>) -> String {
    let names: Vec<String> = series.map(ToString::to_string).collect();
    names.join(", ")
}

/// The newest package that can be had: a list may name some that the mirror has no longer.
fn fetch_newest(apt: &Apt, cache: &Path, series: Series, packages: &[Package]) -> Result<Kernel> {
    let mut refused = None;
    for package in packages {
        let image = cache.join(&package.release);
        if !image.is_file() {
            println!("      downloading {}", package.name);
            if let Err(error) = unpack(apt, package, &image) {
                println!("      {error:#}");
                refused = Some(error);
                continue;
            }
        }
        return Ok(Kernel {
            release: package.release.clone(),
            image,
        });
    }
    let error = refused.unwrap_or_else(|| anyhow::anyhow!("no package"));
    Err(error.context(format!("no kernel of the series {series} can be had")))
}

/// Keeps of a package only the image of its kernel.
fn unpack(apt: &Apt, package: &Package, image: &Path) -> Result<()> {
    let folder = image.with_file_name(format!("{}.unpacked", package.release));
    let _ = fs::remove_dir_all(&folder);
    let result = apt.unpack(&package.name, &folder).and_then(|()| {
        let found =
            find_image(&folder).with_context(|| format!("{} has no kernel in it", package.name))?;
        fs::rename(&found, image).with_context(|| format!("cannot write {}", image.display()))
    });
    // Modules, of which none is needed.
    let _ = fs::remove_dir_all(&folder);
    result
}

/// `boot/vmlinuz-RELEASE`, or since 6.19 `usr/lib/modules/RELEASE/vmlinuz`.
fn find_image(folder: &Path) -> Option<PathBuf> {
    let files = |path: PathBuf| {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let boot = files(folder.join("boot")).into_iter().find(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("vmlinuz-")
    });
    boot.or_else(|| {
        files(folder.join("usr/lib/modules"))
            .into_iter()
            .map(|release| release.join("vmlinuz"))
            .find(|image| image.is_file())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered() -> BTreeMap<Series, Vec<Package>> {
        let names = [
            "linux-image-5.10.0-32-cloud-amd64",
            "linux-image-6.1.0-53-cloud-amd64",
            "linux-binary-7.2.9+deb13-cloud-amd64",
        ];
        names::by_series(names, Arch::Amd64)
    }

    fn chosen(choice: &Choice) -> Vec<String> {
        let offered = offered();
        let chosen = choose(&offered, choice).expect("all are offered");
        chosen
            .iter()
            .map(|(series, _)| series.to_string())
            .collect()
    }

    #[test]
    fn the_newest_comes_with_the_others_once() {
        let oldest = Series::new(5, 10);
        let choice = Choice::AndNewest(vec![oldest]);
        assert_eq!(chosen(&choice), ["5.10", "7.2"]);
        let choice = Choice::AndNewest(vec![Series::new(7, 2), oldest]);
        assert_eq!(chosen(&choice), ["5.10", "7.2"]);
        assert_eq!(chosen(&Choice::All), ["5.10", "6.1", "7.2"]);
    }

    #[test]
    fn what_is_not_there_is_said_with_what_is() {
        let offered = offered();
        let choice = Choice::Only(vec![Series::new(4, 19)]);
        let error = choose(&offered, &choice).expect_err("too old");
        let said = error.to_string();
        assert!(said.contains("4.19"), "{said}");
        assert!(said.contains("5.10, 6.1, 7.2"), "{said}");
    }
}
