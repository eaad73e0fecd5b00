//! `scattered-pages`: what is in memory lies in small runs between pages that were given back, so
//! that little of it can be unmapped. Fires only where pages were looked at.
//!
//! How full the pages themselves are no page table tells.

use super::{Draft, title};
use crate::{
    attribute::{
        Owner, allocators,
        case::{Case, Pages, Part},
        explanation::Finding,
        text,
    },
    space::piece::Content,
    units::Bytes,
};

pub const REASON: &str = "scattered-pages";

/// Fewer runs than this are no scattering.
const RUNS: u64 = 64;
/// Runs above this size on average are no scattering.
const SMALL: Bytes = Bytes(64 << 10);

pub fn find(case: &Case<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for owner in case.owners() {
        let (pages, given_back) = mixed(case, &owner);
        let mean = Bytes(pages.resident.0 / pages.runs.max(1));
        let is_scattered = pages.runs >= RUNS && mean <= SMALL && given_back >= pages.resident;
        if !is_scattered {
            continue;
        }
        let experiment = allocators::by_name(&owner.0).map_or("", |allocator| allocator.experiment);
        let doubt = match experiment {
            "" => "how full these pages are.".to_owned(),
            experiment => format!(
                "that these pages hold little or nothing in use: page tables do not tell how full \
                 they are. What would: {experiment}."
            ),
        };
        let draft = Draft::new(case, REASON, &owner, given_back)
            .of(|part| part.pages.is_some())
            .summary(&format!(
                "{given_back} of {}'s address space lies between {} of pages in memory, {} in all: \
                 it can be used again, but not unmapped without splitting.",
                title(&owner),
                text::count(pages.runs, "run"),
                pages.resident
            ))
            .fact(format!(
                "a run has {mean} on average; {} was looked at, page by page",
                pages.bytes
            ))
            .released()
            .settings()
            .cannot_exclude(doubt)
            .remedy(
                "Keep what lives long apart from what lives short: arenas or pools of their own, or \
                 make it first. An allocator that sorts blocks by size scatters less.",
            )
            .verify_by_figure("the number of runs, or VmSize,");
        findings.push(draft.done());
    }
    findings
}

/// Pages of mappings of which some parts were given back and others are in memory, and how much
/// of them was given back and is not there.
fn mixed(case: &Case<'_>, owner: &Owner) -> (Pages, Bytes) {
    let parts: Vec<&Part> = case.parts_of(owner).collect();
    let (mut sum, mut holes) = (Pages::default(), Bytes(0));
    for mapping in parts.chunk_by(|one, next| one.span.end == next.span.start) {
        let (mut pages, mut given_back) = (Pages::default(), Bytes(0));
        for part in mapping {
            let Some(seen) = &part.pages else { continue };
            pages.add(part.span.len(), seen);
            if matches!(part.piece.content, Content::Discarded { .. }) {
                given_back += part.span.len() - seen.resident - seen.swapped;
            }
        }
        if given_back.0 > 0 && pages.resident.0 > 0 {
            sum.join(&pages);
            holes += given_back;
        }
    }
    (sum, holes)
}
