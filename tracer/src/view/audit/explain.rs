//! A page on one process.

use super::ranking::{coverage, some, whole};
use crate::{
    audit::row::{Audit, Row},
    view::{
        Style, identifier,
        number::{compact_signed, exact, grouped, lasting, percent},
        page::Page,
        style::Paint,
        table::Table,
        text::allocators,
    },
};

/// The whole text.
#[must_use]
pub fn explain(audit: &Audit, style: Style) -> String {
    let mut page = Page::new(style);
    match audit.processes.first() {
        Some(row) => process(&mut page, row, audit),
        None => page.line(
            Paint::Notable,
            "The process ended before it could be judged.",
        ),
    }
    coverage(&mut page, audit);
    page.into_text()
}

fn process(page: &mut Page, row: &Row, audit: &Audit) {
    let user = row.user.clone().or(row.uid.map(|uid| uid.to_string()));
    let user = user.map_or_else(String::new, |user| format!(", user {user}"));
    let text = format!(
        "{} (process {}{user}), watched for {}",
        row.comm,
        row.pid,
        lasting(audit.elapsed_ns)
    );
    page.line(Paint::Heading, &text);
    group(page, row);
    page.blank();
    let sure = format!(
        "{} (confidence: {})",
        row.reason,
        identifier(row.confidence)
    );
    page.line(Paint::Notable, &sure);
    page.paragraph("", &row.summary);
    page.paragraph("What to do: ", row.advice);
    if let Some(basis) = row.basis {
        let basis = format!("Judged from: {}.", identifier(basis));
        page.paragraph("", &basis);
    }
    figures(page, row, audit);
    calls(page, row);
    allocators(page, &row.allocators);
}

fn group(page: &mut Page, row: &Row) {
    let Some(group) = &row.group else {
        return;
    };
    let mut parts = vec![format!("control group {}", group.path)];
    if let Some(unit) = &group.unit {
        parts.push(format!("unit {unit}"));
    }
    if let Some(container) = &group.container {
        let runtime = identifier(container.runtime);
        parts.push(format!("container {} ({runtime})", container.id));
    }
    if let Some(pod) = &group.pod {
        parts.push(format!("pod {pod}"));
    }
    page.paragraph("", &parts.join(", "));
}

fn figures(page: &mut Page, row: &Row, audit: &Audit) {
    page.heading("Address space");
    let mut table = Table::new(&["", ">size", ">exact", ">share"]);
    let mut line = |what: &str, bytes: crate::units::Bytes| {
        table.row([
            what.to_owned(),
            bytes.to_string(),
            exact(bytes),
            percent(bytes, row.vm_size),
        ]);
    };
    line("VmSize", row.vm_size);
    line("in memory (RSS)", row.rss);
    line("not in memory", row.gap);
    if let Some(reserved) = row.reserved {
        line("not accessible", reserved);
    }
    if let Some(retained) = row.retained {
        line("given back and kept", retained);
    }
    if let Some(lazy) = row.lazy_free.filter(|lazy| lazy.0 > 0) {
        line("in memory, free to be taken", lazy);
    }
    page.table(&table);
    page.paragraph(
        "  ",
        &format!("Growth since the start: {}.", compact_signed(row.growth)),
    );
    if let Some(vmas) = row.vmas {
        let bound = audit
            .coverage
            .max_map_count
            .map_or_else(String::new, |most| {
                format!(" of at most {} (vm.max_map_count)", grouped(most))
            });
        page.paragraph("  ", &format!("Mappings: {}{bound}.", grouped(vmas)));
    }
}

fn calls(page: &mut Page, row: &Row) {
    page.heading("Calls since the start");
    if row.calls == 0 {
        page.paragraph("  ", "None that change the address space.");
        return;
    }
    let mut table = Table::new(&["call", ">made", ">failed"]);
    for (name, count) in &row.by_call {
        table.row([
            (*name).to_owned(),
            grouped(count.calls),
            grouped(count.failed),
        ]);
    }
    page.table(&table);
    let asked = [
        ("mapped", row.asked.mapped),
        ("unmapped", row.asked.unmapped),
        ("given back", row.asked.purged),
        ("offered by MADV_FREE", row.asked.lazily_freed),
    ];
    let asked: Vec<String> = asked
        .into_iter()
        .filter_map(|(what, bytes)| Some(format!("{} {what}", some(bytes)?)))
        .collect();
    let mut text = format!("{} calls per second", whole(row.calls_per_second));
    if !asked.is_empty() {
        text.push_str(&format!("; asked for: {}", asked.join(", ")));
    }
    page.paragraph("  ", &(text + "."));
    if row.counts_incomplete {
        page.painted(
            Paint::Notable,
            "  ",
            "Counts are too low: the table of counts was full.",
        );
    }
}
