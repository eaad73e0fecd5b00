//! Architecture checks: the workspace's source files in, faults with file and line out.
//!
//! They read tokens, not types: fast, and enough for rules about names.

mod files;
mod modules;
mod paths;
mod purity;
mod reasons;
mod size;
mod tokens;

use std::fmt;

use anyhow::{Result, bail};

use crate::workspace::Workspace;
use files::Source;

/// One breach of one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file, from the workspace root.
    pub file: String,
    /// The line, where one is to blame.
    pub line: Option<usize>,
    /// What is wrong and the way out.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.message),
            None => write!(f, "{}: {}", self.file, self.message),
        }
    }
}

/// Checks every source file and lists every fault.
pub fn run(workspace: &Workspace) -> Result<()> {
    let sources = files::read(&workspace.root)?;
    let faults = check(&sources);
    for fault in &faults {
        println!("{fault}");
    }
    if !faults.is_empty() {
        bail!("{} breaches of the architecture rules", faults.len());
    }
    println!("{} files keep the architecture rules", sources.len());
    Ok(())
}

fn check(sources: &[Source]) -> Vec<Fault> {
    let mut faults = purity::check(sources);
    faults.extend(modules::check(sources));
    faults.extend(size::check(sources));
    faults.extend(reasons::check(sources));
    // One line of a use tree can name the same thing several times.
    faults.dedup();
    faults
}
