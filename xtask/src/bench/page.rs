//! The document: sections and goals in, Markdown out. What people wrote between the two marks is
//! kept as it is.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::machine::Machine;
use super::section::{NAMES, Section, Table};

const BEGIN: &str = "<!-- written by hand: begin -->";
const END: &str = "<!-- written by hand: end -->";
const FIRST_NOTES: &str = "(nothing so far)";

/// What was to be reached.
struct Goal {
    what: &'static str,
    figure: &'static str,
    unit: &'static str,
    most: f64,
    /// Figures that have to be 0 for it to count.
    zero: &'static [&'static str],
}

#[rustfmt::skip]
const GOALS: [Goal; 8] = [
    Goal { what: "traced pair of `mmap` and `munmap` (tracepoints), every call with arguments, result and VmSize", figure: "pair tracepoints", unit: "× bare", most: 1.35, zero: &["pair tracepoints lost", "pair tracepoints missing"] },
    Goal { what: "the same with unwound stacks", figure: "pair stacks", unit: "× bare", most: 2.0, zero: &["pair stacks lost", "pair stacks missing"] },
    Goal { what: "user space, from the record to the ledger", figure: "ledger ns", unit: "ns an event", most: 400.0, zero: &[] },
    Goal { what: "user space, with attribution: `tracer report` of a long recording", figure: "replay ns", unit: "ns an event", most: 1000.0, zero: &[] },
    Goal { what: "memory of the model", figure: "bytes per mapping", unit: "bytes a mapping", most: 160.0, zero: &[] },
    Goal { what: "`getppid` of a process that is not traced (tracepoints), over the empty programs", figure: "untraced over floor", unit: "× the floor", most: 1.05, zero: &[] },
    Goal { what: "audit of 2,000 processes with 50,000 calls/s, after its first round", figure: "audit processor", unit: "% of a processor", most: 2.0, zero: &[] },
    Goal { what: "the same, most memory at any time", figure: "audit memory", unit: "MiB", most: 64.0, zero: &[] },
];

/// One section for a terminal and for the document.
pub fn text(section: &Section) -> String {
    let mut text = format!("## {}\n\n", section.title);
    for paragraph in &section.about {
        text.push_str(&format!("{paragraph}\n\n"));
    }
    for table in &section.tables {
        text.push_str(&markdown(table));
        text.push('\n');
    }
    for remark in &section.remarks {
        text.push_str(&format!("- {remark}\n"));
    }
    if !section.remarks.is_empty() {
        text.push('\n');
    }
    text
}

/// Writes the document from the sections that were kept.
pub fn write(path: &Path, folder: &Path, machine: &Machine) -> Result<()> {
    let before = fs::read_to_string(path).unwrap_or_default();
    let sections: Vec<Section> = NAMES
        .iter()
        .filter_map(|name| Section::kept(folder, name))
        .collect();
    let document = document(&sections, machine, notes(&before));
    fs::write(path, document).with_context(|| format!("cannot write {}", path.display()))
}

fn document(sections: &[Section], machine: &Machine, notes: &str) -> String {
    let mut text = String::from(
        "# Performance\n\nWritten by `cargo xtask bench`, which measures everything below in one \
         run: change that, not this file. Ratios mean something on other machines too; times are \
         this machine's.\n\n",
    );
    let mut facts = Table::new("", &["", ""]);
    for (name, value) in &machine.0 {
        facts.row([(*name).to_owned(), value.clone()]);
    }
    text.push_str(&markdown(&facts));
    text.push_str("\n## Goals\n\n");
    text.push_str(&markdown(&goals(&figures(sections))));
    text.push_str(&format!("\n{BEGIN}\n{notes}\n{END}\n\n"));
    for section in sections {
        text.push_str(&self::text(section));
        text.push_str(&format!(
            "Measured {}: `cargo xtask bench {}`.\n\n",
            section.date, section.name
        ));
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

fn figures(sections: &[Section]) -> BTreeMap<String, f64> {
    let all = sections.iter().flat_map(|section| &section.figures);
    let mut figures: BTreeMap<String, f64> =
        all.map(|(name, value)| (name.clone(), *value)).collect();
    let traced = figures.get("untraced getppid tracepoints").copied();
    let floor = figures.get("untraced getppid floor").copied();
    if let Some((traced, floor)) = traced.zip(floor) {
        figures.insert("untraced over floor".into(), traced / floor);
    }
    figures
}

fn goals(figures: &BTreeMap<String, f64>) -> Table {
    let mut table = Table::new("", &["what", "goal", "measured", ""]);
    for goal in &GOALS {
        let goal_text = format!("≤ {} {}", goal.most, goal.unit);
        let (measured, verdict) = match figures.get(goal.figure) {
            None => ("–".to_owned(), "not measured".to_owned()),
            Some(value) => {
                let decimals = if goal.most < 10.0 { 2 } else { 0 };
                let missed = goal
                    .zero
                    .iter()
                    .find(|name| figures.get(**name).is_some_and(|value| *value != 0.0));
                let verdict = match missed {
                    Some(name) => format!("not reached: {name} is not 0"),
                    None if *value <= goal.most => "reached".to_owned(),
                    None => "not reached".to_owned(),
                };
                (format!("{value:.decimals$} {}", goal.unit), verdict)
            }
        };
        table.row([goal.what.to_owned(), goal_text, measured, verdict]);
    }
    table
}

fn markdown(table: &Table) -> String {
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let mut text = String::new();
    if !table.caption.is_empty() {
        text.push_str(&format!("{}\n\n", table.caption));
    }
    text.push_str(&line(&table.columns));
    text.push_str(&format!("|{}\n", "---|".repeat(table.columns.len())));
    for row in &table.rows {
        text.push_str(&line(row));
    }
    text
}

/// What stands between the two marks.
fn notes(document: &str) -> &str {
    let behind = document.split_once(BEGIN).map(|(_, behind)| behind);
    let notes = behind.and_then(|behind| behind.split_once(END));
    notes.map_or(FIRST_NOTES, |(notes, _)| notes.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_wrote_is_kept() {
        let machine = Machine(vec![("kernel", "Linux".into())]);
        let first = document(&[], &machine, notes(""));
        let edited = first.replace(FIRST_NOTES, "Mine.");
        let again = document(&[], &machine, notes(&edited));
        assert!(again.contains(&format!("{BEGIN}\nMine.\n{END}")), "{again}");
    }

    #[test]
    fn goals_are_reached_or_not() {
        let figures = |pair, lost| {
            let figures = [("pair tracepoints", pair), ("pair tracepoints lost", lost)];
            figures.map(|(name, value)| (name.to_owned(), value)).into()
        };
        let verdict = |pair, lost| goals(&figures(pair, lost)).rows[0][3].clone();
        assert_eq!(verdict(1.2, 0.0), "reached");
        assert_eq!(verdict(1.4, 0.0), "not reached");
        assert!(verdict(1.2, 3.0).starts_with("not reached: "));
        assert_eq!(goals(&BTreeMap::new()).rows[0][3], "not measured");
    }

    #[test]
    fn bars_do_not_break_tables() {
        let mut table = Table::new("", &["a"]);
        table.row(["x|y".to_owned()]);
        assert!(markdown(&table).contains("| x\\|y |"));
    }
}
