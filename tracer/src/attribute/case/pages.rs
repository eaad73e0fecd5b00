//! What is in memory of parts: a census of pages where one was made, else bounds by
//! `/proc/<pid>/smaps` or by RSS.

use std::collections::HashMap;

use super::{Case, Part};
use crate::{
    attribute::{
        evidence::{PageCensus, PageSum, Resident},
        tally::{Cell, Kind},
    },
    units::{Bytes, Span},
};

/// Tells parts which of their pages are there. A part that is no more as it was asked about
/// stays without.
pub fn note(parts: &mut [Part], census: Option<&PageCensus>) {
    let Some(census) = census else {
        return;
    };
    let sums: HashMap<Span, &PageSum> = census.sums.iter().map(|sum| (sum.span, sum)).collect();
    for part in parts {
        part.pages = sums.get(&part.span).map(|sum| **sum);
    }
}

/// Marks parts that were given back or offered and of which at least half is in memory again.
/// What was offered may be in memory still: it counts as far as smaps says that it is on offer no
/// more.
pub fn mark_again(parts: &mut [Part], cells: &[Cell], vmas: &[Resident]) {
    for part in parts.iter_mut().filter(|part| part.kind == Kind::Discarded) {
        part.again = part
            .pages
            .is_some_and(|pages| Bytes(2 * (pages.resident + pages.swapped).0) >= part.span.len());
    }
    for cell in cells {
        let (part, vma) = (
            &mut parts[cell.part],
            cell.vma.and_then(|vma| vmas.get(vma)),
        );
        if part.kind == Kind::LazilyFreed
            && let Some(vma) = vma
        {
            let elsewhere = vma.span.len() - part.span.len();
            let held = vma.rss + vma.swap - vma.lazy_free - elsewhere;
            part.again |= Bytes(2 * held.0) >= part.span.len();
        }
    }
}

/// Sums of pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pages {
    /// All bytes.
    pub bytes: Bytes,
    /// In memory.
    pub resident: Bytes,
    /// Of that, in huge pages.
    pub huge: Bytes,
    /// Read only, so that the page of zeroes is there.
    pub zero: Bytes,
    /// Swapped out.
    pub swapped: Bytes,
    /// Runs of pages in memory.
    pub runs: u64,
}

impl Pages {
    /// With those of one range more.
    pub fn add(&mut self, bytes: Bytes, sum: &PageSum) {
        self.bytes += bytes;
        self.resident += sum.resident;
        self.huge += sum.huge;
        self.zero += sum.zero;
        self.swapped += sum.swapped;
        self.runs += sum.runs;
    }

    /// With others.
    pub fn join(&mut self, other: &Self) {
        self.bytes += other.bytes;
        self.resident += other.resident;
        self.huge += other.huge;
        self.zero += other.zero;
        self.swapped += other.swapped;
        self.runs += other.runs;
    }

    /// What has no page of its own anywhere.
    pub fn absent(&self) -> Bytes {
        self.bytes - self.resident - self.swapped
    }
}

impl Case<'_> {
    /// The pages of parts of some sort, if all of them were looked at. What cannot have pages
    /// need not be.
    pub fn pages(&self, sort: impl Fn(&Part) -> bool) -> Option<Pages> {
        self.evidence.pages?;
        let mut pages = Pages::default();
        for part in self.parts.iter().filter(|part| sort(part)) {
            match &part.pages {
                Some(sum) => pages.add(part.span.len(), sum),
                None if part.piece.content.is_barren() => {
                    pages.add(part.span.len(), &PageSum::default());
                }
                None => return None,
            }
        }
        Some(pages)
    }

    /// How much of the parts of some sort can at most be in memory or swapped; `None` if
    /// nothing bounds it.
    pub fn at_most_resident(&self, sort: impl Fn(&Part) -> bool) -> Option<Bytes> {
        if let Some(pages) = self.pages(&sort) {
            return Some(pages.resident + pages.swapped);
        }
        if self.evidence.residency.is_none() {
            let parts = self.parts.iter().filter(|part| sort(part));
            let bytes: Bytes = parts.map(|part| part.span.len()).sum();
            let rss = self.evidence.rss_anon_at_end.or(self.evidence.rss.at_end);
            return rss.map(|rss| rss.min(bytes));
        }
        let mut total = Bytes(0);
        for group in self.cells.chunk_by(|a, b| a.vma == b.vma) {
            let cells = group.iter().filter(|cell| sort(&self.parts[cell.part]));
            let bytes: Bytes = cells.map(|cell| cell.span.len()).sum();
            if bytes.0 > 0 {
                let vma = self.vmas.get(group[0].vma?)?;
                total += bytes.min(vma.rss + vma.swap);
            }
        }
        Some(total)
    }
}
