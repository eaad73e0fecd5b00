//! `shared-or-file-growth`: files or shared memory mapped since the attach.

use std::collections::BTreeMap;

use super::{LISTED, mapped_by, sentence};
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
            let sort = |part: &Part| {
                part.owner == owner
                    && part.fresh
                    && part.kind == kind
                    && matches!(part.piece.backing, Backing::File { .. })
            };
            let bytes: Bytes = case
                .parts
                .iter()
                .filter(|part| sort(part))
                .map(|part| part.span.len())
                .sum();
            if bytes.0 > 0 {
                findings.push(finding(case, owner.clone(), kind, bytes, sort));
            }
        }
    }
    findings
}

fn finding(
    case: &Case<'_>,
    owner: Owner,
    kind: Kind,
    bytes: Bytes,
    sort: impl Fn(&Part) -> bool,
) -> Finding {
    let mut evidence = largest(case, &sort);
    evidence.extend(mapped_by(case, &sort));
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
    Finding {
        reason: REASON,
        owner,
        bytes,
        confidence: Confidence::High,
        summary: sentence(&format!("{bytes} {what} and is still there.")),
        evidence,
        cannot_exclude: String::new(),
        remedy: advice.to_owned(),
    }
}

fn largest(case: &Case<'_>, sort: impl Fn(&Part) -> bool) -> Vec<String> {
    let names = case.evidence.space.names();
    let mut by_name: BTreeMap<&str, Bytes> = BTreeMap::new();
    for part in case.parts.iter().filter(|part| sort(part)) {
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
