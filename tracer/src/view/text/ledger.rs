//! Whose bytes VmSize is made of, and who made it grow: tables.

use super::super::{
    identifier,
    number::{change, exact, grouped, percent},
    page::Page,
    style::Paint,
    table::Table,
};
use crate::{
    attribute::explanation::{GrowthRow, LedgerRow},
    report::ProcessReport,
    units::Bytes,
};

/// Every byte of VmSize at the end, largest amount first.
pub fn ledger(page: &mut Page, process: &ProcessReport) {
    let mut rows: Vec<&LedgerRow> = process.explanation.ledger.iter().collect();
    rows.retain(|row| row.bytes.0 > 0);
    rows.sort_by_key(|row| std::cmp::Reverse(row.bytes));
    if rows.is_empty() {
        return;
    }
    let total: Bytes = rows.iter().map(|row| row.bytes).sum();
    let mut table = Table::new(&["owner", "state", ">size", ">exact", ">share", ">in memory"]);
    for row in &rows {
        table.row([
            row.owner.to_string(),
            identifier(row.state),
            row.bytes.to_string(),
            exact(row.bytes),
            percent(row.bytes, total),
            in_memory(row.resident),
        ]);
    }
    // Known only if every part is.
    let resident = rows
        .iter()
        .try_fold(Bytes(0), |sum, row| Some(sum + row.resident?));
    table.row([
        "all".to_owned(),
        String::new(),
        total.to_string(),
        exact(total),
        percent(total, total),
        in_memory(resident),
    ]);
    page.heading("VmSize at the end, by owner and state");
    page.table(&table);
    if let Some(size) = process.vm_size.at_end.filter(|size| *size != total) {
        let text = format!(
            "This sums to {}, VmSize is {}: {} cannot be accounted for.",
            exact(total),
            exact(size),
            exact((size - total).max(total - size)),
        );
        page.painted(Paint::Notable, "  ", &text);
    }
}

/// What each owner mapped and gave back since the attach.
pub fn growth(page: &mut Page, rows: &[GrowthRow]) {
    let mut table = Table::new(&[
        "owner",
        ">mapped",
        ">unmapped",
        ">given back",
        ">net",
        "mapped by",
    ]);
    for row in rows {
        if row.mapped.0 == 0 && row.unmapped.0 == 0 && row.discarded.0 == 0 {
            continue;
        }
        table.row([
            row.owner.to_string(),
            row.mapped.to_string(),
            row.unmapped.to_string(),
            row.discarded.to_string(),
            change(row.unmapped, row.mapped),
            calls(row),
        ]);
    }
    if table.is_empty() {
        return;
    }
    page.heading("Since the attach, by owner");
    page.table(&table);
    let legend = "given back: by advice such as MADV_DONTNEED, counted each time; \
        the address space stays";
    page.painted(Paint::Faint, "  ", legend);
}

fn calls(row: &GrowthRow) -> String {
    let calls = row
        .calls
        .iter()
        .map(|(call, times, size)| format!("{call} {}× {size}", grouped(*times)));
    calls.collect::<Vec<_>>().join(", ")
}

fn in_memory(size: Option<Bytes>) -> String {
    size.map_or_else(|| "unknown".to_owned(), |size| size.to_string())
}
