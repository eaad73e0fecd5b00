//! `shared-or-file-growth`: files or shared memory mapped since the attach.

use std::collections::BTreeMap;

use super::{Draft, LISTED};
use crate::{
    attribute::{
        Owner,
        case::{Case, Part},
        explanation::{Confidence, Finding},
        tally::Kind,
    },
    space::piece::Backing,
    units::Bytes,
};

pub const REASON: &str = "shared-or-file-growth";

pub fn find(case: &Case<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for owner in case.owners() {
        for kind in [Kind::File, Kind::Other] {
            let bytes: Bytes = case
                .parts_of(&owner)
                .filter(|part| is_new_file(part, kind))
                .map(|part| part.span.len())
                .sum();
            if bytes.0 > 0 {
                findings.push(finding(case, &owner, kind, bytes));
            }
        }
    }
    findings
}

const fn is_new_file(part: &Part, kind: Kind) -> bool {
    let is_kind = matches!(
        (part.kind, kind),
        (Kind::File, Kind::File) | (Kind::Other, Kind::Other)
    );
    part.fresh && is_kind && matches!(part.piece.backing, Backing::File { .. })
}

fn finding(case: &Case<'_>, owner: &Owner, kind: Kind, bytes: Bytes) -> Finding {
    let (what, advice) = if kind == Kind::File {
        (
            "of files was mapped since the attach",
            "munmap files that are no longer read; their pages can be dropped at any time, so \
             they weigh little.",
        )
    } else {
        (
            "of shared memory was mapped since the attach",
            "munmap or shmdt what is no longer shared: shared memory counts in the VmSize of \
             every process that maps it, in memory only once.",
        )
    };
    Draft::new(case, REASON, owner, bytes)
        .of(move |part| is_new_file(part, kind))
        .summary(&format!("{bytes} {what} and is still there."))
        .facts(largest(case, owner, kind))
        .mapped_by()
        .sure(Confidence::High)
        .remedy(advice)
        .verify_by_figure("VmSize")
        .done()
}

fn largest(case: &Case<'_>, owner: &Owner, kind: Kind) -> Vec<String> {
    let names = case.evidence.space.names();
    let mut by_name: BTreeMap<&str, Bytes> = BTreeMap::new();
    for part in case.parts_of(owner).filter(|part| is_new_file(part, kind)) {
        if let Backing::File { file, .. } = part.piece.backing {
            let name = names.file(file).name.as_deref();
            *by_name
                .entry(name.unwrap_or("a file of unknown name"))
                .or_default() += part.span.len();
        }
    }
    let mut files: Vec<(&str, Bytes)> = by_name.into_iter().collect();
    files.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    files
        .into_iter()
        .take(LISTED)
        .map(|(name, bytes)| format!("{bytes} of {name}"))
        .collect()
}
