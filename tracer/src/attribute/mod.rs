//! Whose bytes are these, in what state, and why are they still here? Evidence in, an
//! explanation out.
//!
//! Pure: files were read, symbols resolved and memory walked before. Nothing here claims
//! more than the evidence it is given; what calls cannot tell is said to be unknown.

pub mod allocators;
mod caller;
mod case;
mod demangle;
pub mod evidence;
pub mod explanation;
mod findings;
mod growth;
mod in_force;
mod landmarks;
mod ledger;
mod owner;
mod parts;
mod paths;
mod residency;
mod tally;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod text;
mod verdict;

pub use demangle::demangled;
use serde::{Serialize, Serializer};

use evidence::Evidence;
use explanation::Explanation;
pub use findings::RETURNED;

pub use caller::in_words;

/// Explains one process.
#[must_use]
pub fn explain(evidence: &Evidence<'_>) -> Explanation {
    let case = case::Case::open(evidence);
    let findings = findings::all(&case);
    let (paths, stacks) = paths::rows(&case);
    Explanation {
        paths,
        stacks,
        ledger: ledger::rows(&case),
        residency: residency::of(&case),
        allocators: case.roster.found(&case.uses()),
        growth: growth::rows(&case),
        settings: in_force::rows(&case),
        verdict: verdict::decide(&case, &findings),
        findings,
        owners: case
            .parts
            .iter()
            .map(|part| (part.span, part.owner.clone()))
            .collect(),
    }
}

/// Whose bytes. Allocators by their lower-case name; the rest by [`Owner::APPLICATION`]
/// and its siblings.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner(pub std::borrow::Cow<'static, str>);

impl Owner {
    /// The program's own `mmap` and the like, not through an allocator.
    pub const APPLICATION: Self = Self::named("application");
    /// Programs, libraries and other files, mapped by the loader or the program.
    pub const FILES: Self = Self::named("files");
    /// The main thread's stack and threads' stacks.
    pub const STACKS: Self = Self::named("stacks");
    /// Anonymous memory of the dynamic loader, and the zeroes behind a file's data (.bss).
    pub const LOADER: Self = Self::named("loader");
    /// What the kernel maps by itself.
    pub const KERNEL: Self = Self::named("kernel");
    /// The evidence names no owner.
    pub const UNKNOWN: Self = Self::named("unknown");

    /// An owner of this name.
    #[must_use]
    pub const fn named(name: &'static str) -> Self {
        Self(std::borrow::Cow::Borrowed(name))
    }
}

impl Serialize for Owner {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

/// The file name of a path as `/proc/<pid>/maps` shows it.
fn module_name(path: &str) -> &str {
    let path = path.strip_suffix(" (deleted)").unwrap_or(path);
    path.rsplit('/').next().unwrap_or(path)
}
