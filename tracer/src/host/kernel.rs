//! Facts about the kernel that runs: its version, its page size, its settings.

use std::fmt;

use anyhow::{Context as _, Result};

use crate::units::PageSize;

/// The version of a kernel, as far as features depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release {
    /// `6` of `6.1.0-18-amd64`.
    pub major: u32,
    /// `1` of `6.1.0-18-amd64`.
    pub minor: u32,
}

impl Release {
    /// Since this kernel maps are not charged to `RLIMIT_MEMLOCK`.
    pub const MEMLOCK_FREE: Self = Self {
        major: 5,
        minor: 11,
    };
    /// Since this kernel every tracing program may load from the running task and from its saved
    /// registers like from any memory (`bpf_task_pt_regs`).
    pub const DIRECT_LOADS: Self = Self {
        major: 5,
        minor: 15,
    };
    /// The oldest kernel with all that the probes cannot do without (the ring buffer is
    /// of 5.8); none older than this one has been tried.
    pub const OLDEST: Self = Self {
        major: 5,
        minor: 10,
    };

    /// The version of the running kernel.
    ///
    /// # Errors
    /// `uname` gives something that does not begin with two numbers.
    pub fn running() -> Result<Self> {
        let uname = nix::sys::utsname::uname().context("cannot ask for the kernel's version")?;
        let release = uname.release().to_string_lossy();
        Self::parse(&release)
            .with_context(|| format!("cannot read the kernel's version from `{release}`"))
    }

    fn parse(release: &str) -> Option<Self> {
        let mut numbers = release.split(|letter: char| !letter.is_ascii_digit());
        Some(Self {
            major: numbers.next()?.parse().ok()?,
            minor: numbers.next()?.parse().ok()?,
        })
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The release of the running kernel as it names itself; empty if it does not.
#[must_use]
pub fn release_name() -> String {
    let uname = nix::sys::utsname::uname();
    uname.map_or_else(
        |_| String::new(),
        |uname| uname.release().to_string_lossy().into_owned(),
    )
}

/// Which boot of this machine it is; empty if that cannot be read.
#[must_use]
pub fn boot_id() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    id.unwrap_or_default().trim().to_owned()
}

/// The size of a page.
#[must_use]
pub fn page_size() -> PageSize {
    let bytes = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE);
    let bytes = bytes
        .ok()
        .flatten()
        .and_then(|size| u64::try_from(size).ok());
    PageSize(bytes.unwrap_or(4096))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_distributions_write() {
        let version = |major, minor| Some(Release { major, minor });
        assert_eq!(Release::parse("6.1.0-18-amd64"), version(6, 1));
        assert_eq!(Release::parse("7.3-rc2"), version(7, 3));
        assert_eq!(Release::parse("5.10.0"), version(5, 10));
        assert_eq!(Release::parse("linux"), None);
    }
}
