//! Names of kernel packages in, kernels in order of age out. Pure.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::super::arch::Arch;

/// A series of kernels, which share the first two numbers of their version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series {
    major: u32,
    minor: u32,
}

impl Series {
    /// `6` and `1` of 6.1.
    pub const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }

    /// The first two numbers of a longer version.
    fn of(version: &str) -> Option<Self> {
        let (major, rest) = version.split_once('.')?;
        let end = rest
            .find(|letter: char| !letter.is_ascii_digit())
            .unwrap_or(rest.len());
        Some(Self {
            major: major.parse().ok()?,
            minor: rest.get(..end)?.parse().ok()?,
        })
    }
}

impl FromStr for Series {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::of(text)
            .filter(|series| series.to_string() == text)
            .ok_or_else(|| format!("`{text}` is no series of kernels: name it as in 5.10 or 6.1"))
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// A package with a kernel in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// What apt calls it.
    pub name: String,
    /// What the kernel in it calls itself, about.
    pub release: String,
}

/// Where kernels are found in package names: up to 6.18 in `linux-image-…`; later that is a small
/// package that asks for `linux-binary-…`. The one to prefer comes first.
const PREFIXES: [&str; 2] = ["linux-binary-", "linux-image-"];

/// The packages of each series among `names`, newest first. Only the cloud flavour is taken: it is
/// small and has all that probes need built in.
pub fn by_series<'a>(
    names: impl IntoIterator<Item = &'a str>,
    arch: Arch,
) -> BTreeMap<Series, Vec<Package>> {
    let suffix = format!("-cloud-{}", arch.debian());
    let mut found: BTreeMap<Series, Vec<Package>> = BTreeMap::new();
    for name in names {
        let release = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix));
        let Some(release) = release.filter(|release| release.ends_with(&suffix)) else {
            continue;
        };
        if let Some(series) = Series::of(release) {
            found.entry(series).or_default().push(Package {
                name: name.to_owned(),
                release: release.to_owned(),
            });
        }
    }
    for packages in found.values_mut() {
        packages.sort_by(|one, other| {
            compare(&other.release, &one.release).then_with(|| preference(one, other))
        });
    }
    found
}

fn preference(one: &Package, other: &Package) -> Ordering {
    let rank = |package: &Package| {
        PREFIXES
            .iter()
            .position(|prefix| package.name.starts_with(prefix))
    };
    rank(one).cmp(&rank(other))
}

/// Compares numbers as numbers and what lies between as text.
fn compare(one: &str, other: &str) -> Ordering {
    chunks(one).cmp(chunks(other))
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Chunk<'a> {
    Text(&'a str),
    Number(u64),
}

fn chunks(mut text: &str) -> impl Iterator<Item = Chunk<'_>> {
    std::iter::from_fn(move || {
        let first = text.chars().next()?;
        let digits = first.is_ascii_digit();
        let end = text
            .find(|letter: char| letter.is_ascii_digit() != digits)
            .unwrap_or(text.len());
        let (chunk, rest) = text.split_at(end);
        text = rest;
        match chunk.parse() {
            Ok(number) if digits => Some(Chunk::Number(number)),
            _ => Some(Chunk::Text(chunk)),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 11] = [
        "linux-image-5.10.0-9-cloud-amd64",
        "linux-image-5.10.0-32-cloud-amd64",
        "linux-image-5.10.0-32-cloud-amd64-unsigned",
        "linux-image-5.10.0-32-cloud-amd64-dbg",
        "linux-image-5.10.0-33-amd64",
        "linux-image-6.12-cloud-amd64",
        "linux-image-6.12.90+deb13-cloud-amd64",
        "linux-image-6.12.107+deb12-cloud-amd64",
        "linux-image-6.19.14+deb13-cloud-amd64",
        "linux-binary-6.19.14+deb13-cloud-amd64",
        "linux-binary-unsigned-7.3-cloud-amd64",
    ];

    fn first(series: Series) -> Option<String> {
        let found = by_series(NAMES, Arch::Amd64);
        Some(found.get(&series)?.first()?.name.clone())
    }

    #[test]
    fn numbers_count_as_numbers() {
        let newest = first(Series::new(5, 10));
        assert_eq!(newest.as_deref(), Some("linux-image-5.10.0-32-cloud-amd64"));
        let newest = first(Series::new(6, 12));
        assert_eq!(
            newest.as_deref(),
            Some("linux-image-6.12.107+deb12-cloud-amd64")
        );
    }

    #[test]
    fn the_package_with_the_kernel_is_preferred() {
        let newest = first(Series::new(6, 19));
        assert_eq!(
            newest.as_deref(),
            Some("linux-binary-6.19.14+deb13-cloud-amd64")
        );
    }

    #[test]
    fn other_flavours_and_architectures_are_left_out() {
        assert_eq!(first(Series::new(7, 3)), None);
        assert!(by_series(NAMES, Arch::Arm64).is_empty());
    }

    #[test]
    fn a_series_is_two_numbers() {
        assert_eq!("6.1".parse(), Ok(Series::new(6, 1)));
        for wrong in ["6", "6.1.2", "six", "6.", "06.1"] {
            assert!(wrong.parse::<Series>().is_err(), "{wrong}");
        }
        assert!(Series::new(6, 2) < Series::new(6, 12));
    }
}
