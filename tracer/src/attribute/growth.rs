//! Growth: what each owner mapped and released since the attach.

use std::collections::BTreeMap;

use super::{Owner, case::Case, explanation::GrowthRow};
use crate::{event::Syscall, space::piece::Provenance, units::Bytes};

/// One row for each owner that mapped or released something, largest growth first.
pub fn rows(case: &Case<'_>) -> Vec<GrowthRow> {
    let mut by_owner: BTreeMap<&Owner, GrowthRow> = BTreeMap::new();
    let mut calls: BTreeMap<(&Owner, Syscall), (u64, Bytes)> = BTreeMap::new();
    for (source, flow, owner) in &case.flows {
        let flow = case.beyond_own(source, flow);
        let row = by_owner.entry(owner).or_insert_with(|| GrowthRow {
            owner: owner.clone(),
            mapped: Bytes(0),
            unmapped: Bytes(0),
            discarded: Bytes(0),
            calls: Vec::new(),
        });
        row.mapped += flow.mapped;
        row.unmapped += flow.unmapped;
        row.discarded += flow.discarded;
        if let Provenance::Call(syscall) = source.how
            && flow.calls > 0
        {
            let (count, bytes) = calls.entry((owner, syscall)).or_default();
            *count += flow.calls;
            *bytes += flow.mapped;
        }
    }
    for ((owner, syscall), (count, bytes)) in calls {
        if let Some(row) = by_owner.get_mut(owner) {
            row.calls.push((syscall, count, bytes));
        }
    }
    let moved = |row: &GrowthRow| row.mapped + row.unmapped + row.discarded;
    let mut rows: Vec<GrowthRow> = by_owner
        .into_values()
        .filter(|row| moved(row).0 > 0)
        .collect();
    let net = |row: &GrowthRow| i128::from(row.mapped.0) - i128::from(row.unmapped.0);
    rows.sort_by_key(|row| std::cmp::Reverse((net(row), row.mapped)));
    rows
}
