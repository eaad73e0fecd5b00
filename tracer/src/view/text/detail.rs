//! What only `-v` shows: every kind of call, every line of the final map.

use super::super::{number::grouped, page::Page, perms, table::Table};
use crate::report::{EventCounts, Mapping};

/// The calls that were made.
pub fn calls(page: &mut Page, events: &EventCounts) {
    let mut table = Table::new(&["call", ">calls", ">failed", ">size"]);
    for (call, count) in events.by_call.iter().filter(|(_, count)| count.calls > 0) {
        table.row([
            call.to_string(),
            grouped(count.calls),
            grouped(count.failed),
            count.bytes.to_string(),
        ]);
    }
    if !table.is_empty() {
        page.heading("Calls");
        page.table(&table);
    }
}

/// The final map.
pub fn mappings(page: &mut Page, mappings: &[Mapping]) {
    let mut table = Table::new(&[">addresses", ">size", "perms", "kind", "owner", "name"]);
    for mapping in mappings {
        table.row([
            format!("{:x}-{:x}", mapping.span.start.0, mapping.span.end.0),
            mapping.span.len().to_string(),
            perms(mapping),
            mapping.kind.to_owned(),
            mapping.owner.to_string(),
            mapping.name.clone(),
        ]);
    }
    if !table.is_empty() {
        page.heading("Address space at the end");
        page.table(&table);
    }
}
