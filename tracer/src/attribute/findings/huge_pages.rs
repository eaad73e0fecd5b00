//! `huge-pages` and `huge-pages-regrown`: memory that comes and goes by 2 MiB, and memory that
//! was given back and is there again in huge pages. Fire only where pages were looked at.

use super::{Draft, title};
use crate::{
    attribute::{
        Owner,
        case::{Case, Part},
        explanation::{Confidence, Finding},
        text,
    },
    space::piece::Content,
    units::Bytes,
};

pub const REASON: &str = "huge-pages";
pub const REGROWN: &str = "huge-pages-regrown";

pub fn find(case: &Case<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for owner in case.owners() {
        let (transparent, _) = huge(case, &owner, |part| !is_given_back(part));
        let reserved: Bytes = case
            .parts_of(&owner)
            .filter(|part| part.piece.traits.huge_tlb)
            .map(|part| part.span.len())
            .sum();
        let bytes = transparent + reserved;
        if bytes.0 == 0 {
            continue;
        }
        let fixed = (reserved.0 > 0).then(|| {
            format!("{reserved} of MAP_HUGETLB: taken from a reserved pool, not counted in RSS")
        });
        let draft = Draft::new(case, REASON, &owner, bytes)
            .of(|part| has_huge(part) || part.piece.traits.huge_tlb)
            .summary(&format!(
                "{} has {bytes} in huge pages: each takes 2 MiB as soon as one byte of it is \
                 touched, and is given back whole or split.",
                title(&owner)
            ))
            .facts((transparent.0 > 0).then(|| format!("{transparent} in transparent huge pages")))
            .facts(fixed)
            .facts(modes(case))
            .ranges()
            .sure(Confidence::High)
            .cannot_exclude("that all of it is in use.")
            .remedy(REMEDY)
            .verify(VERIFY);
        findings.push(draft.done());
    }
    findings
}

/// Pages that calls gave back and that are in memory again as huge ones.
pub fn find_regrown(case: &Case<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for owner in case.owners() {
        let (bytes, ranges) = huge(case, &owner, is_given_back);
        if bytes.0 == 0 {
            continue;
        }
        let draft = Draft::new(case, REGROWN, &owner, bytes)
            .of(|part| is_given_back(part) && has_huge(part))
            .summary(&format!(
                "{bytes} of what {} gave back is in memory again in huge pages: one byte touched \
                 brings 2 MiB, and khugepaged fills gaps by itself.",
                title(&owner)
            ))
            .released()
            .residency()
            .fact(format!("in {}", text::count(ranges, "range")))
            .facts(modes(case))
            .ranges()
            .at_most(Confidence::Medium)
            .cannot_exclude(
                "that the program has written to all of it: which pages of a huge one were touched \
                 page tables do not tell.",
            )
            .remedy(REMEDY)
            .verify(VERIFY);
        findings.push(draft.done());
    }
    findings
}

const REMEDY: &str = "Where RSS matters more than speed: madvise(MADV_NOHUGEPAGE) or \
                      prctl(PR_SET_THP_DISABLE) in the program, jemalloc's thp:never, \
                      MIMALLOC_ALLOW_THP=0, or transparent_hugepage/enabled=madvise and a lower \
                      khugepaged/max_ptes_none on the host. Price: more page faults and misses of \
                      the TLB.";
const VERIFY: &str = "AnonHugePages of /proc/<pid>/smaps_rollup must be lower with it, and RSS at \
                      the end of the same load too.";

const fn is_given_back(part: &Part) -> bool {
    matches!(
        part.piece.content,
        Content::Discarded { .. } | Content::LazilyFreed { .. }
    )
}

fn has_huge(part: &Part) -> bool {
    part.pages.is_some_and(|pages| pages.huge.0 > 0)
}

/// Bytes in huge pages of parts of some sort, and how many parts have some.
fn huge(case: &Case<'_>, owner: &Owner, sort: impl Fn(&Part) -> bool) -> (Bytes, u64) {
    let parts = case
        .parts_of(owner)
        .filter(|part| sort(part) && has_huge(part));
    let mut sum = (Bytes(0), 0);
    for pages in parts.filter_map(|part| part.pages) {
        sum.0 += pages.huge;
        sum.1 += 1;
    }
    sum
}

fn modes(case: &Case<'_>) -> Vec<String> {
    let kernel = &case.evidence.settings.kernel;
    let asked: Bytes = case
        .parts
        .iter()
        .filter(|part| part.piece.traits.huge)
        .map(|part| part.span.len())
        .sum();
    let mut facts = Vec::new();
    facts.extend(
        kernel
            .huge_pages
            .as_ref()
            .map(|mode| format!("transparent_hugepage/enabled is {mode}")),
    );
    if asked.0 > 0 {
        facts.push(format!("madvise(MADV_HUGEPAGE) asked for {asked}"));
    }
    facts.extend(
        kernel
            .khugepaged_max_ptes_none
            .map(|most| format!("khugepaged/max_ptes_none is {most} of 512")),
    );
    facts
}
