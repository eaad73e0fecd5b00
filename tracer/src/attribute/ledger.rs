//! The ledger: every byte of VmSize exactly once, by owner and state.

use super::{case::Case, explanation::LedgerRow};

/// Its rows, largest first.
pub fn rows(case: &Case<'_>) -> Vec<LedgerRow> {
    let mut rows: Vec<LedgerRow> = case
        .tally
        .rows()
        .map(|(owner, state, bytes, resident)| LedgerRow {
            owner: owner.clone(),
            state,
            bytes,
            resident,
        })
        .collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.bytes));
    rows
}
