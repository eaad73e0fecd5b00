//! The summary for people: a report in, plain text out.
//!
//! The answer comes first, then what it rests on, then how far it can be trusted. Sizes
//! that must add up are shown to the last KiB. Nothing that is zero takes a row.

mod detail;
mod findings;
mod heap;
mod ledger;
mod process;
mod residency;
mod stacks;
mod trust;

pub(super) use findings::allocators;

use super::{
    number::{count, lasting},
    page::Page,
    style::{Paint, Style},
    table::Table,
};
use crate::report::Report;

/// How much of a report the summary shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    /// What answers the question.
    #[default]
    Summary,
    /// The calls and the final map too.
    Everything,
}

/// The summary of a run.
#[must_use]
pub fn render(report: &Report, style: Style, detail: Detail) -> String {
    render_with(report, style, detail, false)
}

/// The same, with the call paths that weigh most if `stacks` is set.
#[must_use]
pub fn render_with(report: &Report, style: Style, detail: Detail, stacks: bool) -> String {
    let mut page = Page::new(style);
    if report.processes.len() != 1 {
        overview(&mut page, report);
    }
    for process in &report.processes {
        if report.processes.len() > 1 {
            page.blank();
            page.line(Paint::Faint, &"─".repeat(page.width()));
        }
        process::show(&mut page, process, detail, stacks);
    }
    whole_run(&mut page, report);
    page.into_text()
}

/// What it cost, what was left out, and what else holds for all of it.
fn whole_run(page: &mut Page, report: &Report) {
    let sampling = report.sampling.filter(|sampling| sampling.pauses > 0);
    if report.notes.is_empty() && report.own_cost.is_none() && sampling.is_none() {
        return;
    }
    page.heading("Of the whole run");
    if let Some(sampling) = sampling {
        let text = format!(
            "Nothing was observed for {} in all, in {}, to keep to the bounds that were set: maps \
             were read anew after each, children made meanwhile are not followed.",
            lasting(sampling.paused_ns),
            count(sampling.pauses, "pause", "pauses"),
        );
        page.painted(Paint::Notable, "  - ", &text);
    }
    for note in &report.notes {
        page.paragraph("  - ", note);
    }
    if let Some(cost) = &report.own_cost {
        page.paragraph("  - ", &super::cost::in_words(cost));
    }
}

/// A row for each of several processes.
fn overview(page: &mut Page, report: &Report) {
    let number = report.processes.len() as u64;
    let text = format!("{} observed", count(number, "process", "processes"));
    page.line(Paint::Heading, &text);
    let mut table = Table::new(&[
        "pid",
        "name",
        ">VmSize at attach",
        ">peak",
        ">at end",
        "verdict",
    ]);
    for process in &report.processes {
        table.row([
            process.target.pid.to_string(),
            process.target.comm.clone(),
            process::rounded(process.vm_size.at_attach),
            process::rounded(process.vm_size.peak),
            process::rounded(process.vm_size.at_end),
            super::identifier(process.explanation.verdict.code),
        ]);
    }
    page.table(&table);
}

#[cfg(test)]
mod tests;
