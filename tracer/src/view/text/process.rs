//! One process: the answer, who it is, and its sizes; then the parts.

use super::{
    super::{
        clean::{clean, fit},
        identifier, number,
        page::Page,
        style::Paint,
        table::Table,
        timeline,
    },
    Detail, detail, findings, heap, ledger, residency, stacks, trust,
};
use crate::{
    attribute::{
        evidence::Trend,
        explanation::{Verdict, VerdictCode},
    },
    report::{Ending, ProcessReport},
    units::Bytes,
};

/// Longest command line shown, columns; the JSON document has all of it.
const COMMAND_LIMIT: usize = 250;

/// All of one process.
pub fn show(page: &mut Page, process: &ProcessReport, detail: Detail, with_stacks: bool) {
    verdict(page, &process.explanation.verdict);
    page.blank();
    target(page, process);
    page.blank();
    page.table(&sizes(process));
    ledger::ledger(page, process);
    residency::show(page, &process.explanation.residency, detail);
    ledger::growth(page, &process.explanation.growth);
    if let Some(heap) = &process.heap {
        heap::heap(page, heap);
    }
    findings::findings(page, &process.explanation);
    if with_stacks {
        stacks::paths(page, &process.explanation);
    }
    timeline::charts(page, &process.timeline);
    findings::allocators(page, &process.explanation.allocators);
    trust::show(page, process);
    if detail == Detail::Everything {
        findings::settings(page, &process.explanation.settings);
        detail::calls(page, &process.events);
        detail::mappings(page, &process.mappings);
    }
}

/// A size for people, or that it is not known.
pub fn rounded(size: Option<Bytes>) -> String {
    size.map_or_else(|| "unknown".to_owned(), |size| size.to_string())
}

fn verdict(page: &mut Page, verdict: &Verdict) {
    let paint = match verdict.code {
        VerdictCode::Shrank | VerdictCode::NoGrowth => Paint::Good,
        _ => Paint::Notable,
    };
    let (code, sure) = (identifier(verdict.code), identifier(verdict.confidence));
    page.line(paint, &format!("VERDICT {code} (confidence: {sure})"));
    page.paragraph("", &verdict.summary);
}

fn target(page: &mut Page, process: &ProcessReport) {
    let target = &process.target;
    let ending = match process.ending {
        Ending::StillRunning => "still running",
        Ending::Exited => "until it ended",
    };
    let observed = number::lasting(process.observed);
    let inside = target
        .ns_pid
        .map_or_else(String::new, |inner| format!("; {inner} in its namespace"));
    let who = format!(
        "process {} ({}{inside}), observed for {observed}, {ending}",
        target.pid, target.comm
    );
    page.paragraph("Target   ", &who);
    if !target.exe.is_empty() {
        page.paragraph("Program  ", &target.exe);
    }
    if !target.cmdline.is_empty() {
        let command = target.cmdline.join(" ");
        page.paragraph("Command  ", &fit(&clean(&command), COMMAND_LIMIT));
    }
}

/// VmSize and RSS, rounded and exact.
fn sizes(process: &ProcessReport) -> Table {
    let (vm, rss) = (process.vm_size, process.rss);
    let mut table = Table::new(&["", ">VmSize", ">", ">RSS", ">"]);
    let mut row = |name: &str, vm: Option<Bytes>, rss: Option<Bytes>| {
        table.row([
            name.to_owned(),
            rounded(vm),
            exact(vm),
            rounded(rss),
            exact(rss),
        ]);
    };
    row("at attach", vm.at_attach, rss.at_attach);
    row("peak", vm.peak, rss.peak);
    row("at end", vm.at_end, rss.at_end);
    let (change_vm, exact_vm) = change(vm);
    let (change_rss, exact_rss) = change(rss);
    let name = "change since attach".to_owned();
    table.row([name, change_vm, exact_vm, change_rss, exact_rss]);
    if let Some(kernel) = process.kernel_vm_size_at_end {
        table.row([
            "at end, by the kernel".to_owned(),
            kernel.to_string(),
            number::exact(kernel),
            String::new(),
            String::new(),
        ]);
    }
    table
}

fn exact(size: Option<Bytes>) -> String {
    size.map(number::exact).unwrap_or_default()
}

fn change(trend: Trend) -> (String, String) {
    match (trend.at_attach, trend.at_end) {
        (Some(from), Some(to)) => (number::change(from, to), number::exact_change(from, to)),
        _ => (rounded(None), String::new()),
    }
}
