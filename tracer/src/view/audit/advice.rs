//! What to do: each piece of advice once, with the processes it is for.

use std::collections::BTreeMap;

use crate::{
    audit::row::Row,
    view::{page::Page, table::Table},
};

/// Processes that are named for a piece of advice.
const NAMED: usize = 4;

/// The advice for the rows shown, in the order of the ranking.
pub fn show(page: &mut Page, rows: &[Row]) {
    let mut order = Vec::new();
    let mut whose: BTreeMap<(&str, &str), Vec<&Row>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.basis.is_some()) {
        let key = (row.reason, row.advice);
        if !whose.contains_key(&key) {
            order.push(key);
        }
        whose.entry(key).or_default().push(row);
    }
    if order.is_empty() {
        return;
    }
    page.heading("What to do");
    let mut table = Table::new(&["why", "what to do", "~for"]);
    for key in order {
        let rows = whose.remove(&key).unwrap_or_default();
        let mut names: Vec<String> = rows
            .iter()
            .take(NAMED)
            .map(|row| row.pid.to_string())
            .collect();
        if rows.len() > NAMED {
            names.push(format!("{} more", rows.len() - NAMED));
        }
        table.row([key.0.to_owned(), key.1.to_owned(), names.join(", ")]);
    }
    page.table(&table);
}
