//! Who holds the address space at the end: two ledgers in, one table out. Pure.

use std::collections::BTreeMap;

use super::amount;
use super::experiment::Run;
use super::page::Paint;
use super::table::{Align, Table};

/// Rows beyond these are added up.
const ROWS: usize = 10;

/// One row per owner and state, the largest first.
pub fn render(runs: &[Run; 2], paint: Paint) -> String {
    use Align::{Left, Right};
    let mut table = Table::new(&[
        ("owner", Left),
        ("state", Left),
        (runs[0].label, Right),
        (runs[1].label, Right),
    ]);
    let rows = rows(runs);
    for (owner, state, bytes) in rows.iter().take(ROWS) {
        let cells = bytes.map(|bytes| amount::short(bytes.known));
        table.row(
            [(*owner).to_owned(), state.replace('-', " ")]
                .into_iter()
                .chain(cells),
        );
    }
    let rest = rows.get(ROWS..).unwrap_or_default();
    if !rest.is_empty() {
        let sums = [0, 1].map(|at| {
            let each = rest.iter().map(|(_, _, bytes)| bytes[at].known);
            amount::short(each.sum())
        });
        let label = format!("{} smaller", rest.len());
        table.row([label, String::new()].into_iter().chain(sums));
    }
    let totals = [0, 1].map(|at| {
        let each = rows.iter().map(|(_, _, bytes)| bytes[at].known);
        amount::short(each.sum())
    });
    table.row(
        ["VmSize".to_owned(), String::new()]
            .into_iter()
            .chain(totals),
    );
    table.render(paint, &[])
}

/// Bytes of one run: zero where it has no such row, nothing where the report does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Share {
    known: Option<u64>,
}

type Row<'a> = (&'a str, &'a str, [Share; 2]);

fn rows(runs: &[Run; 2]) -> Vec<Row<'_>> {
    let none = Share { known: Some(0) };
    let mut all: BTreeMap<(&str, &str), [Share; 2]> = BTreeMap::new();
    for (at, run) in runs.iter().enumerate() {
        for row in &run.process.ledger {
            let shares = all.entry((&row.owner, &row.state)).or_insert([none; 2]);
            let sum = shares[at].known.zip(row.bytes);
            shares[at].known = sum.map(|(one, other)| one.saturating_add(other));
        }
    }
    let mut rows: Vec<Row<'_>> = all
        .into_iter()
        .map(|((owner, state), shares)| (owner, state, shares))
        .collect();
    rows.sort_by_key(|(_, _, shares)| {
        std::cmp::Reverse(shares.map(|share| share.known).into_iter().max())
    });
    rows
}
