//! Version texts in, comparable versions out. Pure.

use std::fmt;

/// The first two numbers of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release {
    /// As in 1.95.
    pub major: u32,
    /// As in 1.95.
    pub minor: u32,
}

/// The oldest compiler the workspace builds with; cargo holds `rust-version` against it too.
pub const OLDEST_RUSTC: Release = Release {
    major: 1,
    minor: 95,
};

impl Release {
    /// Reads `1.96.0`, `1.97.0-nightly` or Debian's `1.96.0+dfsg1-1~deb12u2`, with or without epoch.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.split_once(':').map_or(text, |(_, rest)| rest);
        let mut numbers = text
            .split(|c: char| !c.is_ascii_digit())
            .map(|number| number.parse().ok());
        Some(Self {
            major: numbers.next()??,
            minor: numbers.next()??,
        })
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The number before the first dot of an LLVM version: all that bitcode compatibility asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LlvmMajor(pub u32);

impl fmt::Display for LlvmMajor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What `rustc -vV` tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RustcVersions {
    /// The compiler's own release.
    pub release: Release,
    /// The LLVM inside it.
    pub llvm: LlvmMajor,
}

impl RustcVersions {
    /// Reads the lines of `rustc -vV`.
    pub fn parse(text: &str) -> Option<Self> {
        let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
        let llvm = Release::parse(value("LLVM version: ")?)?;
        Some(Self {
            release: Release::parse(value("release: ")?)?,
            llvm: LlvmMajor(llvm.major),
        })
    }

    /// A linker reads bitcode of its own LLVM and of older ones, not of newer ones.
    pub fn links_with(self, linker: LlvmMajor) -> bool {
        self.llvm <= linker
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERBOSE: &str = "rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)\n\
        binary: rustc\nhost: x86_64-unknown-linux-gnu\nrelease: 1.96.0\nLLVM version: 22.1.8\n";

    #[test]
    fn rustc_tells_its_release_and_its_llvm() {
        let versions = RustcVersions::parse(VERBOSE).expect("well formed");
        assert_eq!(versions.release.to_string(), "1.96");
        assert_eq!(versions.llvm, LlvmMajor(22));
        assert_eq!(RustcVersions::parse("release: 1.96.0\n"), None);
    }

    #[test]
    fn releases_compare_by_number() {
        let release = |text| Release::parse(text).expect("well formed");
        assert!(release("1.100.0") > release("1.95.0"));
        assert!(release("1.85.0+dfsg3-1~deb12u3") < OLDEST_RUSTC);
        assert_eq!(release("1.97.0-nightly").minor, 97);
        assert_eq!(release("1:22.1.8-1~deb12u1").major, 22);
        assert_eq!(Release::parse("(none)"), None);
        assert_eq!(Release::parse("22"), None);
    }

    #[test]
    fn a_linker_takes_older_bitcode_only() {
        let versions = RustcVersions::parse(VERBOSE).expect("well formed");
        assert!(versions.links_with(LlvmMajor(22)));
        assert!(versions.links_with(LlvmMajor(23)));
        assert!(!versions.links_with(LlvmMajor(21)));
    }
}
