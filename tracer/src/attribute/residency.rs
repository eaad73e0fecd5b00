//! What is in memory, and two figures that are easily taken for one: address space kept after
//! its pages were given back, and physical memory that this returned.

use std::collections::BTreeMap;

use super::{
    Owner,
    case::{Case, Pages, Part},
    explanation::{PageRow, Residency, Said},
    tally::Kind,
};
use crate::{space::piece::Content, units::Bytes};

/// The figures.
pub fn of(case: &Case<'_>) -> Residency {
    let census = case.evidence.pages;
    let kept = |part: &Part| said(part).is_some_and(|said| said != Said::NotReleased);
    let parts = case.parts.iter().filter(|part| kept(part));
    let address_space_kept: Bytes = parts.map(|part| part.span.len()).sum();
    let there = case.pages(kept).map(|pages| pages.resident + pages.swapped);
    Residency {
        method: census.map(|census| census.method),
        looked_at: census.map_or(Bytes(0), |census| census.looked_at),
        left_out: census.map_or(Bytes(0), |census| census.left_out),
        took_ns: census.map_or(0, |census| census.took_ns),
        address_space_kept,
        physical_returned: there.map(|there| address_space_kept - there),
        in_memory_again: there,
        pages: rows(case),
    }
}

/// What the calls said last of a part's pages; `None` if it has none of its own.
const fn said(part: &Part) -> Option<Said> {
    if !part.piece.is_anonymous() {
        return None;
    }
    Some(match part.piece.content {
        Content::Discarded { .. } | Content::Overlaid { .. } => Said::GivenBack,
        Content::LazilyFreed { .. } => Said::Offered,
        Content::Unknown => Said::NotReleased,
        Content::NeverAccessible => return None,
    })
}

fn rows(case: &Case<'_>) -> Vec<PageRow> {
    let mut sums: BTreeMap<(&Owner, Said), Pages> = BTreeMap::new();
    for part in &case.parts {
        if let (Some(said), Some(sum)) = (said(part), &part.pages)
            && part.kind != Kind::Reserved
        {
            let pages = sums.entry((&part.owner, said)).or_default();
            pages.add(part.span.len(), sum);
        }
    }
    let row = |((owner, said), pages): ((&Owner, Said), Pages)| PageRow {
        owner: owner.clone(),
        said,
        bytes: pages.bytes,
        resident: pages.resident,
        huge: pages.huge,
        zero: pages.zero,
        swapped: pages.swapped,
        absent: pages.absent(),
    };
    let mut rows: Vec<PageRow> = sums.into_iter().map(row).collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.bytes));
    rows
}
