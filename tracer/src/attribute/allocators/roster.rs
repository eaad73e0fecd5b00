//! The allocators of one process: modules in, candidates out; uses are added later.
//!
//! A C library is a candidate wherever it is mapped, but it is listed only if its malloc
//! was seen in use: every dynamic process maps one.

use super::{Allocator, TABLE, glibc, musl};
use crate::{
    attribute::{
        evidence::{Evidence, Module},
        explanation::{AllocatorFound, Confidence},
        module_name,
    },
    units::Bytes,
};

/// One allocator that the process contains.
pub struct Entry {
    /// Which.
    pub allocator: &'static Allocator,
    /// How sure it is that the process contains it.
    pub confidence: Confidence,
    /// What says so.
    pub evidence: Vec<String>,
    /// Whether that is reason enough to list it, unused.
    listed: bool,
}

/// The allocators of one process.
pub struct Roster {
    entries: Vec<Entry>,
}

impl Roster {
    /// What the modules tell.
    pub fn of(evidence: &Evidence<'_>) -> Self {
        let entries = TABLE
            .into_iter()
            .filter_map(|allocator| entry(allocator, evidence.modules))
            .collect();
        Self { entries }
    }

    /// What the process contains, the C library's malloc included.
    pub fn candidates(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Whether it contains this one.
    pub fn contains(&self, allocator: &Allocator) -> bool {
        self.get(allocator).is_some()
    }

    /// Whether one of these modules tells of this allocator.
    pub fn contains_in(modules: &[Module], allocator: &'static Allocator) -> bool {
        entry(allocator, modules).is_some()
    }

    /// What is known of this one.
    pub fn get(&self, allocator: &Allocator) -> Option<&Entry> {
        let mut entries = self.entries.iter();
        entries.find(|entry| entry.allocator.name == allocator.name)
    }

    /// The list for people, given what is owned by each and by how much evidence.
    pub fn found(&self, uses: &[Use]) -> Vec<AllocatorFound> {
        let mut found: Vec<(Bytes, AllocatorFound)> = TABLE
            .into_iter()
            .filter_map(|allocator| {
                let used = uses
                    .iter()
                    .find(|used| used.allocator.name == allocator.name);
                let entry = self.get(allocator);
                if used.is_none() && !entry.is_some_and(|entry| entry.listed) {
                    return None;
                }
                let mut evidence: Vec<String> =
                    used.map_or_else(Vec::new, |used| used.evidence.clone());
                evidence.extend(entry.iter().flat_map(|entry| entry.evidence.clone()));
                let by_use = used.map(|used| used.confidence);
                let by_module = entry
                    .filter(|entry| entry.listed)
                    .map(|entry| entry.confidence);
                Some((
                    used.map_or(Bytes(0), |used| used.bytes),
                    AllocatorFound {
                        name: allocator.name.to_owned(),
                        confidence: by_use.max(by_module).unwrap_or(Confidence::Low),
                        evidence,
                    },
                ))
            })
            .collect();
        found.sort_by(|(a, left), (b, right)| {
            b.cmp(a)
                .then_with(|| right.confidence.cmp(&left.confidence))
        });
        found.into_iter().map(|(_, found)| found).collect()
    }
}

/// Signs that an allocator is in use.
pub struct Use {
    /// Which.
    pub allocator: &'static Allocator,
    /// How much it owns.
    pub bytes: Bytes,
    /// How sure that is.
    pub confidence: Confidence,
    /// What says so.
    pub evidence: Vec<String>,
}

fn entry(allocator: &'static Allocator, modules: &[Module]) -> Option<Entry> {
    let mut evidence = Vec::new();
    let mut confidence = None;
    for module in modules {
        let name = module_name(&module.path);
        let (line, weight) = if allocator.has_library(name) {
            (library_line(name, module), Confidence::Medium)
        } else if let Some(symbol) = allocator.telling_symbol(module) {
            (format!("{name} defines {symbol}"), Confidence::Medium)
        } else if let Some(text) = allocator.telling_string(module) {
            let line = format!("{name} contains the text {text:?}");
            (line, Confidence::Low)
        } else {
            continue;
        };
        evidence.push(line);
        confidence = confidence.max(Some(weight));
    }
    let is_libc = [glibc::GLIBC.name, musl::MUSL.name].contains(&allocator.name);
    if is_libc {
        evidence.clear();
        let others = modules.iter().filter(|module| takes_over_malloc(module));
        evidence.extend(others.map(|module| {
            format!(
                "{} defines malloc: most of the program's calls go there instead",
                module_name(&module.path)
            )
        }));
    }
    Some(Entry {
        allocator,
        confidence: confidence?,
        evidence,
        listed: !is_libc,
    })
}

fn library_line(name: &str, module: &Module) -> String {
    if takes_over_malloc(module) {
        format!("{name} is mapped and defines malloc, which takes the place of the C library's")
    } else {
        format!("{name} is mapped")
    }
}

/// Whether a module that is no C library defines `malloc`.
fn takes_over_malloc(module: &Module) -> bool {
    let name = module_name(&module.path);
    let is_libc = glibc::GLIBC.has_library(name)
        || musl::MUSL.has_library(name)
        || glibc::GLIBC.is_told_by(module)
        || musl::MUSL.is_told_by(module)
        || super::super::caller::is_loader(name);
    !is_libc
        && module
            .telling_symbols
            .iter()
            .any(|symbol| symbol == "malloc")
}
