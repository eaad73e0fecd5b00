//! Physical memory returned and address space kept: two figures, and the pages they rest on.

use super::{
    super::{identifier, number::exact, page::Page, style::Paint, table::Table},
    Detail,
};
use crate::attribute::explanation::{PageRow, Residency};

/// The two figures; their proof by owner where everything is shown.
pub fn show(page: &mut Page, residency: &Residency, detail: Detail) {
    if residency.address_space_kept.0 == 0 && detail == Detail::Summary {
        return;
    }
    page.heading("Physical memory and address space");
    let kept = residency.address_space_kept;
    let text = format!(
        "Address space kept after its pages were given back: {kept} ({}).",
        exact(kept)
    );
    page.paragraph("  ", &text);
    if let (Some(returned), Some(again)) = (residency.physical_returned, residency.in_memory_again)
    {
        let rest = match again.0 {
            0 => "none of it is in memory again.".to_owned(),
            _ => format!("{again} is in memory again, or was not taken yet."),
        };
        let text = format!(
            "Physical memory returned: {returned} ({}); {rest}",
            exact(returned)
        );
        page.paragraph("  ", &text);
    } else {
        page.painted(
            Paint::Notable,
            "  ",
            "How much physical memory that returned is not known: its pages were not looked at.",
        );
    }
    if let Some(method) = residency.method {
        let left_out = match residency.left_out.0 {
            0 => String::new(),
            _ => format!("; {} was left out, for want of time", residency.left_out),
        };
        let text = format!(
            "By {} over {} at the end, which took {}{left_out}.",
            identifier(method),
            residency.looked_at,
            milliseconds(residency.took_ns),
        );
        page.painted(Paint::Faint, "  ", &text);
    }
    if detail == Detail::Everything {
        pages(page, &residency.pages);
    }
}

fn pages(page: &mut Page, rows: &[PageRow]) {
    let mut table = Table::new(&[
        "owner",
        "by calls",
        ">size",
        ">in memory",
        ">huge",
        ">swapped",
        ">no page",
    ]);
    for row in rows {
        table.row([
            row.owner.to_string(),
            identifier(row.said),
            row.bytes.to_string(),
            row.resident.to_string(),
            row.huge.to_string(),
            row.swapped.to_string(),
            row.absent.to_string(),
        ]);
    }
    if !table.is_empty() {
        page.table(&table);
    }
}

fn milliseconds(nanos: u64) -> String {
    format!("{}.{} ms", nanos / 1_000_000, nanos / 100_000 % 10)
}
