//! What is known of allocators and of runtimes that manage memory themselves: how to
//! recognise one, why it keeps address space, what it obeys. One file each.
//!
//! To add one: add a file and a line in `TABLE`. Nothing here looks at a process; what
//! one holds is in `roster`.

mod asan;
pub mod glibc;
mod go;
pub mod google_tcmalloc;
mod hardened;
mod jemalloc;
mod jvm;
mod mimalloc;
pub mod musl;
pub(super) mod pattern;
mod pymalloc;
mod roster;
mod rpmalloc;
mod scudo;
pub(super) mod settings;
mod shape;
mod snmalloc;
mod tbb;
mod tcmalloc;
mod v8;

use super::{
    evidence::{Evidence, Module},
    explanation::InForce,
};

pub(super) use roster::{Roster, Use};
pub(super) use shape::Shape;

/// Every allocator known here. Where patterns of two overlap, the earlier one wins.
pub(super) static TABLE: [&Allocator; 16] = [
    &glibc::GLIBC,
    &jemalloc::JEMALLOC,
    &mimalloc::MIMALLOC,
    &google_tcmalloc::GOOGLE_TCMALLOC,
    &tcmalloc::TCMALLOC,
    &musl::MUSL,
    &tbb::TBB,
    &snmalloc::SNMALLOC,
    &rpmalloc::RPMALLOC,
    &scudo::SCUDO,
    &hardened::HARDENED,
    &asan::ASAN,
    &go::GO,
    &jvm::JVM,
    &v8::V8,
    &pymalloc::PYMALLOC,
];

/// What is known of one allocator. Patterns are those of [`pattern::fits`].
pub(super) struct Allocator {
    /// The owner's name of its bytes.
    pub name: &'static str,
    /// As people write it.
    pub title: &'static str,
    /// Names of its own libraries.
    pub libraries: &'static [&'static str],
    /// Functions that are nobody else's.
    pub functions: &'static [&'static str],
    /// Functions that are its own only where the module tells of it: others use the name too.
    pub common_functions: &'static [&'static str],
    /// Symbols whose definition tells that a module contains it.
    pub symbols: &'static [&'static str],
    /// Read-only strings that tell the same where symbols were stripped.
    pub strings: &'static [&'static str],
    /// `PR_SET_VMA` names it gives to its memory.
    pub vma_names: &'static [&'static str],
    /// Whether memory of unknown origin looks like its own.
    pub fits: fn(&Shape) -> bool,
    /// Whether it maps more than it is asked for, to use later.
    pub maps_ahead: bool,
    /// How it takes address space: a clause.
    pub grows: &'static str,
    /// Why address space stays after its pages were given back: a clause.
    pub keeps: &'static str,
    /// The option behind that, if it has one.
    pub keeping_option: &'static str,
    /// When it unmaps: a clause; empty if never.
    pub unmaps: &'static str,
    /// What would make its mappings fewer: a clause that begins a sentence; empty if nothing
    /// particular would.
    pub fewer_mappings: &'static str,
    /// Environment variables it obeys.
    pub variables: &'static [&'static str],
    /// What would tell its freed and cached memory from memory in use.
    pub experiment: &'static str,
    /// What would change it, and at what price, given the settings in force.
    pub advice: fn(&Evidence<'_>, Topic) -> String,
    /// Its settings, set or by default, as far as they bear on address space and memory.
    pub options: fn(&Evidence<'_>) -> Vec<InForce>,
    /// When it gives pages of freed memory back, given the settings in force; `None` if that
    /// is not known.
    pub decay: fn(&Evidence<'_>) -> Option<Decay>,
}

/// When an allocator gives pages of freed memory back to the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decay {
    /// Some time after they were freed, but only while the program goes on calling it. The
    /// rule in words: a clause.
    ByCalls(String),
    /// Some time after, by a thread of its own.
    ByThread(String),
    /// Never: a setting forbids it. Which one.
    Never(String),
}

/// What advice is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Topic {
    /// Pages given back, address space kept.
    Retained,
    /// Mapped beyond use.
    OverMapped,
    /// No call gave it back.
    NotReleased,
    /// Reserved up front.
    Reserved,
    /// Given back by `MADV_FREE`.
    LazilyFreed,
}

/// What most have in common.
const PLAIN: Allocator = Allocator {
    name: "",
    title: "",
    libraries: &[],
    functions: &[],
    common_functions: &[],
    symbols: &[],
    strings: &[],
    vma_names: &[],
    fits: |_| false,
    maps_ahead: false,
    grows: "it maps in larger steps than it is asked for, to use the rest later",
    keeps: "it keeps the address space to use it again",
    keeping_option: "",
    unmaps: "",
    fewer_mappings: "",
    variables: &[],
    experiment: "its own statistics",
    advice: |_, topic| general_advice(topic).to_owned(),
    options: |_| Vec::new(),
    decay: |_| None,
};

/// Advice where nothing particular to the allocator is known.
fn general_advice(topic: Topic) -> &'static str {
    match topic {
        Topic::Retained => {
            "Usually nothing: it costs no memory. If VmSize itself is limited or watched, \
             use another allocator; no setting of this one is known to return address space."
        }
        Topic::OverMapped | Topic::Reserved => {
            "Usually nothing: address space that was never touched costs no memory."
        }
        Topic::NotReleased => {
            "Find out first whether it is in use: a heap profiler shows what the program holds."
        }
        Topic::LazilyFreed => {
            "Usually nothing: the kernel takes these pages when it needs memory. Until then \
             subtract LazyFree (of /proc/<pid>/smaps) from RSS before judging it."
        }
    }
}

impl Allocator {
    /// Whether a library of this file name is its own.
    pub fn has_library(&self, file_name: &str) -> bool {
        pattern::any(self.libraries, file_name)
    }

    /// Whether a module's symbols or strings say that it contains the allocator.
    pub fn is_told_by(&self, module: &Module) -> bool {
        self.telling_symbol(module).is_some() || self.telling_string(module).is_some()
    }

    /// The symbol by which a module tells of it.
    pub fn telling_symbol<'m>(&self, module: &'m Module) -> Option<&'m str> {
        let mut symbols = module.telling_symbols.iter().map(String::as_str);
        symbols.find(|symbol| pattern::any(self.symbols, symbol))
    }

    /// The string by which a module tells of it.
    pub fn telling_string<'m>(&self, module: &'m Module) -> Option<&'m str> {
        let mut strings = module.telling_strings.iter().map(String::as_str);
        strings.find(|text| self.strings.iter().any(|tell| text.contains(tell)))
    }
}

/// The allocator whose memory bears this owner's name.
pub(super) fn by_name(name: &str) -> Option<&'static Allocator> {
    TABLE.into_iter().find(|allocator| allocator.name == name)
}

/// The allocator whose library has this file name.
pub(super) fn by_library(file_name: &str) -> Option<&'static Allocator> {
    TABLE
        .into_iter()
        .find(|allocator| allocator.has_library(file_name))
}

/// The allocator that a function belongs to, in a module that may tell of one.
pub(super) fn by_function(function: &str, module: Option<&Module>) -> Option<&'static Allocator> {
    let own = TABLE
        .into_iter()
        .find(|allocator| pattern::any(allocator.functions, function));
    own.or_else(|| {
        let module = module?;
        TABLE.into_iter().find(|allocator| {
            pattern::any(allocator.common_functions, function) && allocator.is_told_by(module)
        })
    })
}

/// The allocator that gives its memory this `PR_SET_VMA` name.
pub(super) fn by_vma_name(name: &str) -> Option<&'static Allocator> {
    TABLE
        .into_iter()
        .find(|allocator| pattern::any(allocator.vma_names, name))
}

/// Whether the definition of this function tells of an allocator: what
/// [`Module::telling_symbols`] is to hold. Plain `malloc` is among them.
#[must_use]
pub fn is_telling_symbol(name: &str) -> bool {
    name == "malloc"
        || TABLE
            .into_iter()
            .any(|allocator| pattern::any(allocator.symbols, name))
}

/// Texts whose presence in a file's read-only data tells of an allocator: what
/// [`Module::telling_strings`] is to hold.
pub fn telling_strings() -> impl Iterator<Item = &'static str> {
    TABLE
        .into_iter()
        .flat_map(|allocator| allocator.strings.iter().copied())
}

/// Whether an allocator obeys this environment variable: what
/// [`super::evidence::Settings::environment`] is to hold.
#[must_use]
pub fn is_obeyed_variable(name: &str) -> bool {
    TABLE
        .into_iter()
        .any(|allocator| pattern::any(allocator.variables, name))
}

#[cfg(test)]
mod tests;
