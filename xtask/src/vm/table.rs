//! Outcomes in, one table out: a kernel a line. Pure.

use super::verdict::{Outcome, Verdict};
use crate::steps::elapsed;
use std::time::Duration;

/// A kernel and how it went.
#[derive(Debug)]
pub struct Row {
    /// As in `6.1.0-44-cloud-amd64`.
    pub release: String,
    /// How long the machine ran.
    pub took: Duration,
    /// What its console told.
    pub outcome: Outcome,
}

const NOTHING: &str = "-";

/// The table, as Markdown, so that it can go into a document as it is. What tests found out of a
/// kernel has a column each, in the order in which it is told first.
pub fn render(rows: &[Row]) -> String {
    let mut about: Vec<&str> = Vec::new();
    for (name, _) in rows.iter().flat_map(|row| &row.outcome.facts) {
        if !about.contains(&name.as_str()) {
            about.push(name);
        }
    }
    let mut lines = vec![head(&about)];
    lines.extend(rows.iter().map(|row| cells(row, &about)));
    align(&lines)
}

fn head(about: &[&str]) -> Vec<String> {
    let fixed = ["kernel", "boots"].into_iter();
    let tests = ["passed", "failed", "skipped", "time", "verdict"];
    let all = fixed.chain(about.iter().copied()).chain(tests);
    all.map(str::to_owned).collect()
}

fn cells(row: &Row, about: &[&str]) -> Vec<String> {
    let Outcome {
        verdict,
        passed,
        skipped,
        facts,
    } = &row.outcome;
    let boots = match verdict {
        Verdict::NoBoot => "no",
        Verdict::TimedOut if *passed == 0 => "unknown",
        _ => "yes",
    };
    let fact = |name: &&str| {
        let found = facts.iter().find(|(about, _)| about == name);
        found.map_or(NOTHING, |(_, what)| what).to_owned()
    };
    let mut cells = vec![row.release.clone(), boots.to_owned()];
    cells.extend(about.iter().map(fact));
    cells.extend([
        passed.to_string(),
        row.outcome.failed().to_string(),
        skipped.to_string(),
        elapsed(row.took),
        word(verdict).to_owned(),
    ]);
    cells
}

const fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "passed",
        Verdict::Failed(_) => "FAILED",
        Verdict::Broke => "BROKE OFF",
        Verdict::TimedOut => "TIMED OUT",
        Verdict::NoBoot => "NO BOOT",
    }
}

fn align(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |at: usize| {
        let cells = lines.iter().filter_map(|line| line.get(at));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let join = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut text = String::new();
    for (index, line) in lines.iter().enumerate() {
        let cells = line.iter().zip(&widths);
        text.push_str(&join(
            cells
                .map(|(cell, width)| format!("{cell:<width$}"))
                .collect(),
        ));
        if index == 0 {
            text.push_str(&join(
                widths.iter().map(|width| "-".repeat(*width)).collect(),
            ));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::machine::Ending;
    use super::*;

    #[test]
    fn facts_make_columns_and_gaps_are_shown() {
        let outcome = |console| Outcome::read(console, Ending::Off);
        let row = |release: &str, console| Row {
            release: release.to_owned(),
            took: Duration::from_secs(61),
            outcome: outcome(console),
        };
        let text = render(&[
            row("5.10", "vm: booted 5.10\nfact: programs: 12\n"),
            row("7.3", "panic"),
        ]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4);
        assert!(lines[0].contains("| programs |"), "{text}");
        assert!(lines[2].contains("| 12       |") && lines[2].contains("BROKE OFF"));
        assert!(lines[3].contains("| -        |") && lines[3].contains("NO BOOT"));
        assert!(lines.iter().all(|line| line.len() == lines[0].len()));
    }
}
