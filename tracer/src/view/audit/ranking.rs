//! The ranking: a row for each process, totals, what to do, and what was not seen.

use super::advice;
use crate::{
    audit::row::{Audit, Coverage, Row, Sums},
    units::Bytes,
    view::{
        Style,
        number::{compact, compact_signed, count, grouped, lasting},
        page::Page,
        style::Paint,
        table::Table,
    },
};

/// Control groups and allocators that are shown.
const TOTALS_SHOWN: usize = 10;
/// From this width on there is room for more columns.
const WIDE: usize = 110;

/// The whole text.
#[must_use]
pub fn render(audit: &Audit, style: Style) -> String {
    let mut page = Page::new(style);
    head(&mut page, audit);
    if audit.processes.is_empty() {
        page.line(
            Paint::Plain,
            "  no process was asked for that is large enough",
        );
    } else {
        page.table(&table(&audit.processes, style.width() >= WIDE));
    }
    left_out(&mut page, audit);
    advice::show(&mut page, &audit.processes);
    allocators(&mut page, audit);
    groups(&mut page, audit);
    coverage(&mut page, audit);
    page.into_text()
}

fn head(page: &mut Page, audit: &Audit) {
    let Sums {
        processes,
        vm_size,
        rss,
        growth,
        calls_per_second,
        ..
    } = audit.totals.all;
    let text = format!(
        "{} watched for {}: VmSize {vm_size}, RSS {rss}, growth {}, {} calls/s",
        count(processes, "process", "processes"),
        lasting(audit.elapsed_ns),
        compact_signed(growth),
        whole(calls_per_second),
    );
    page.line(Paint::Heading, &text);
}

/// A column of the ranking.
struct Column {
    title: &'static str,
    /// Whether there is room for it in a narrow table.
    is_narrow: bool,
    cell: fn(&Row) -> String,
}

const fn column(title: &'static str, is_narrow: bool, cell: fn(&Row) -> String) -> Column {
    Column {
        title,
        is_narrow,
        cell,
    }
}

const COLUMNS: [Column; 15] = [
    column(">pid", true, |row| row.pid.to_string()),
    column("~command", true, |row| row.comm.clone()),
    column(">vmsize", true, |row| compact(row.vm_size)),
    column(">rss", true, |row| compact(row.rss)),
    column(">growth", true, |row| compact_signed(row.growth)),
    column(">kept", false, |row| {
        row.retained.map_or_else(unknown, compact)
    }),
    column(">purged", false, |row| compact(row.purged)),
    column(">calls/s", true, |row| whole(row.calls_per_second)),
    column(">vmas", false, |row| {
        row.vmas.map_or_else(unknown, |vmas| vmas.to_string())
    }),
    column("~allocators", true, allocators_of),
    column("~why", true, |row| row.reason.to_owned()),
    column(">", false, |row| compact(row.reason_bytes)),
    column("~sure", false, |row| {
        crate::view::identifier(row.confidence)
    }),
    column("~basis", false, |row| {
        row.basis.map(crate::view::identifier).unwrap_or_default()
    }),
    column("~unit", false, unit),
];

fn table(rows: &[Row], is_wide: bool) -> Table {
    let columns = || {
        COLUMNS
            .iter()
            .filter(move |column| is_wide || column.is_narrow)
    };
    let titles: Vec<&str> = columns().map(|column| column.title).collect();
    let mut table = Table::new(&titles);
    for row in rows {
        table.row(columns().map(|column| (column.cell)(row)));
    }
    table
}

fn unknown() -> String {
    "?".to_owned()
}

fn allocators_of(row: &Row) -> String {
    let names: Vec<&str> = row.allocators.iter().map(|a| a.name.as_str()).collect();
    names.join(",")
}

fn unit(row: &Row) -> String {
    row.group
        .as_ref()
        .map_or_else(String::new, |group| group.title())
}

/// Calls per second, as people count them.
pub fn whole(rate: f64) -> String {
    if rate > 0.0 && rate < 1.0 {
        "<1".to_owned()
    } else {
        format!("{rate:.0}")
    }
}

fn left_out(page: &mut Page, audit: &Audit) {
    let shown = audit.processes.len() as u64;
    let large = audit.totals.all.processes
        - audit
            .coverage
            .below_min_size
            .min(audit.totals.all.processes);
    if large > shown {
        let text = format!("  … {} more; --top N shows them", grouped(large - shown));
        page.line(Paint::Faint, &text);
    }
}

fn allocators(page: &mut Page, audit: &Audit) {
    let totals = &audit.totals.by_allocator;
    if totals.is_empty() {
        return;
    }
    page.heading("By allocator (a process counts for each in it)");
    let mut table = Table::new(&[
        "allocator",
        ">processes",
        ">its address space",
        ">reserved",
        ">kept",
    ]);
    for total in totals.iter().take(TOTALS_SHOWN) {
        table.row([
            total.allocator.clone(),
            grouped(total.processes),
            compact(total.bytes),
            compact(total.reserved),
            compact(total.retained),
        ]);
    }
    page.table(&table);
}

fn groups(page: &mut Page, audit: &Audit) {
    let totals = &audit.totals.by_cgroup;
    if totals.len() < 2 {
        return;
    }
    page.heading("By control group");
    let mut table = Table::new(&[
        "~group",
        ">processes",
        ">vmsize",
        ">rss",
        ">growth",
        ">purged",
        ">calls/s",
        "~path",
    ]);
    for total in totals.iter().take(TOTALS_SHOWN) {
        let sums = &total.sums;
        table.row([
            total.group.title(),
            grouped(sums.processes),
            compact(sums.vm_size),
            compact(sums.rss),
            compact_signed(sums.growth),
            compact(sums.purged),
            whole(sums.calls_per_second),
            total.cgroup.clone(),
        ]);
    }
    page.table(&table);
    if let Some(more) = totals.len().checked_sub(TOTALS_SHOWN).filter(|n| *n > 0) {
        page.line(Paint::Faint, &format!("  and {more} more"));
    }
}

/// What was looked at, what was not, and at what cost.
pub fn coverage(page: &mut Page, audit: &Audit) {
    let Coverage {
        judged,
        waiting,
        snapshots,
        snapshots_ns,
        files,
        ..
    } = audit.coverage;
    page.heading("What was looked at");
    page.paragraph(
        "  ",
        &format!(
            "{} judged; {} and {} read in {} of a processor.",
            count(judged, "process", "processes"),
            count(snapshots, "map", "maps"),
            count(files, "object file", "object files"),
            lasting(snapshots_ns),
        ),
    );
    if waiting > 0 {
        let text = format!(
            "{} not looked at yet: a longer --duration or a higher --max-cpu gives time for them.",
            count(waiting, "process is", "processes are")
        );
        page.painted(Paint::Notable, "  ", &text);
    }
    let not = not_looked_at(&audit.coverage);
    if !not.is_empty() {
        page.paragraph("  ", &format!("Not judged: {}.", not.join(", ")));
    }
    counting(page, audit);
    tracing(page, audit);
    if let Some(cost) = &audit.own_cost {
        page.paragraph("  ", &crate::view::cost::in_words(cost));
    }
    for note in &audit.notes {
        page.paragraph("  - ", note);
    }
}

fn not_looked_at(coverage: &Coverage) -> Vec<String> {
    [
        (coverage.below_min_size, "below --min-size"),
        (coverage.kernel_threads, "threads of the kernel"),
        (coverage.zombies, "ended and not waited for"),
        (coverage.unreadable, "may not be read"),
        (
            coverage.of_32_bits,
            "of 32 bits, whose calls are not counted",
        ),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{} {what}", grouped(count)))
    .collect()
}

fn counting(page: &mut Page, audit: &Audit) {
    let Some(counting) = &audit.counting else {
        page.painted(Paint::Notable, "  ", "Calls were not counted.");
        return;
    };
    let mut text = format!(
        "Calls counted of {} (room for {})",
        count(counting.present, "process", "processes"),
        grouped(counting.room),
    );
    if counting.ended > 0 {
        text.push_str(&format!("; {} ended meanwhile", grouped(counting.ended)));
    }
    page.paragraph("  ", &(text + "."));
    if counting.evicted > 0 || counting.refused > 0 {
        let text = format!(
            "The table of counts was too small: {} let go of, {} not counted. \
             --max-processes makes room.",
            count(counting.evicted, "process", "processes"),
            count(counting.refused, "call", "calls"),
        );
        page.painted(Paint::Notable, "  ", &text);
    }
}

fn tracing(page: &mut Page, audit: &Audit) {
    let Some(tracing) = &audit.tracing else {
        return;
    };
    let text = format!(
        "Traced call by call: {}, {}.",
        count(tracing.processes, "process", "processes"),
        count(tracing.events, "event", "events"),
    );
    page.paragraph("  ", &text);
    if tracing.lost > 0 || tracing.pauses > 0 {
        let text = format!(
            "Not all was seen of them: {} lost, {} in {} to keep to the bounds.",
            count(tracing.lost, "event", "events"),
            lasting(tracing.paused_ns),
            count(tracing.pauses, "pause", "pauses"),
        );
        page.painted(Paint::Notable, "  ", &text);
    }
}

/// Bytes that are not zero.
pub fn some(bytes: Bytes) -> Option<String> {
    (bytes.0 > 0).then(|| bytes.to_string())
}
