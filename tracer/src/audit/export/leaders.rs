//! The processes that lead in something worth a look: rows in, the union of several rankings out.

use std::{cmp::Reverse, collections::BTreeSet};

use crate::{audit::row::Row, units::Pid};

/// The first `most` by address space that is not in memory, by growth, and by address space that
/// was given back and kept: at most three times as many, each once, by process id.
pub fn of(rows: &[Row], most: usize) -> Vec<Row> {
    let mut led: BTreeSet<Pid> = BTreeSet::new();
    led.extend(first(rows, most, |row| {
        (row.gap.0 > 0).then_some(row.gap.0)
    }));
    led.extend(first(rows, most, |row| {
        u64::try_from(row.growth).ok().filter(|grown| *grown > 0)
    }));
    led.extend(first(rows, most, |row| {
        row.retained.map(|bytes| bytes.0).filter(|kept| *kept > 0)
    }));
    let mut leaders: Vec<Row> = rows
        .iter()
        .filter(|row| led.contains(&row.pid))
        .cloned()
        .collect();
    leaders.sort_by_key(|row| row.pid);
    leaders
}

/// Those of which `by` has most; those of which it has nothing are left out.
fn first(rows: &[Row], most: usize, by: impl Fn(&Row) -> Option<u64>) -> Vec<Pid> {
    let mut ranked: Vec<_> = rows
        .iter()
        .filter_map(|row| Some((Reverse(by(row)?), row.pid)))
        .collect();
    ranked.sort_unstable();
    ranked.truncate(most);
    ranked.into_iter().map(|(_, pid)| pid).collect()
}
