//! Results of one section as plain data: what was measured, tables, figures that goals are about.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::exec;
use std::process::Command;

/// The sections, in the order of the document.
pub const NAMES: [&str; 7] = ["calls", "host", "audit", "rates", "once", "growth", "user"];

/// How the time is divided among them, in parts.
const PARTS: [(&str, u32); 7] = [
    ("calls", 36),
    ("host", 10),
    ("audit", 20),
    ("rates", 14),
    ("once", 12),
    ("growth", 16),
    ("user", 12),
];

/// Where a section is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Where {
    /// By this process, as the caller.
    Here,
    /// As root.
    Elevated,
}

/// What was measured.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Section {
    /// One of [`NAMES`].
    pub name: String,
    /// Its heading.
    pub title: String,
    /// How it was measured, a paragraph each.
    pub about: Vec<String>,
    /// The results.
    pub tables: Vec<Table>,
    /// Figures by name, for goals.
    pub figures: BTreeMap<String, f64>,
    /// What could not be measured and why.
    pub remarks: Vec<String>,
    /// When.
    pub date: String,
}

/// Cells of text.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Table {
    /// What stands above it.
    pub caption: String,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// The rows, as many cells as columns.
    pub rows: Vec<Vec<String>>,
}

impl Section {
    /// Nothing measured so far.
    pub fn new(name: &str, title: &str) -> Self {
        let date = exec::probe(Command::new("date").args(["-u", "+%Y-%m-%d %H:%M UTC"]));
        Self {
            name: name.to_owned(),
            title: title.to_owned(),
            date: date.unwrap_or_default().trim().to_owned(),
            ..Self::default()
        }
    }

    /// Nothing but why.
    pub fn failed(name: &str, error: &anyhow::Error) -> Self {
        let mut section = Self::new(name, name);
        section
            .remarks
            .push(format!("could not be measured: {error:#}"));
        section
    }

    /// Keeps it for the document.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let path = folder.join(format!("{}.json", self.name));
        let text = serde_json::to_string_pretty(self)?;
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// One that was kept; `None` if it was never measured.
    pub fn kept(folder: &Path, name: &str) -> Option<Self> {
        let text = fs::read_to_string(folder.join(format!("{name}.json"))).ok()?;
        serde_json::from_str(&text).ok()
    }
}

impl Table {
    /// An empty one.
    pub fn new(caption: &str, columns: &[&str]) -> Self {
        Self {
            caption: caption.to_owned(),
            columns: columns.iter().map(ToString::to_string).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; cells that are missing stay empty.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let mut row: Vec<String> = cells.into_iter().collect();
        row.resize(self.columns.len(), String::new());
        self.rows.push(row);
    }
}

/// Where a section is measured.
pub fn place(name: &str) -> Where {
    if name == "user" {
        Where::Here
    } else {
        Where::Elevated
    }
}

/// The share of the time that is `left` for the section at `index`.
pub fn share(names: &[&str], index: usize, left: Duration) -> Duration {
    let parts = |name: &str| {
        let found = PARTS.iter().find(|(known, _)| *known == name);
        found.map_or(1, |(_, parts)| *parts)
    };
    let all: u32 = names[index..].iter().map(|name| parts(name)).sum();
    left * parts(names[index]) / all.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_section_has_its_part_and_the_last_gets_what_is_left() {
        assert!(
            NAMES
                .iter()
                .zip(PARTS)
                .all(|(name, (part, _))| *name == part)
        );
        let left = Duration::from_secs(100);
        assert_eq!(share(&NAMES, NAMES.len() - 1, left), left);
        assert!(share(&NAMES, 0, left) < left);
    }

    #[test]
    fn rows_are_as_wide_as_their_table() {
        let mut table = Table::new("", &["a", "b", "c"]);
        table.row(["1".to_owned()]);
        assert_eq!(table.rows[0].len(), 3);
    }
}
