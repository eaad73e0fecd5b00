//! Call paths: call sites and sums in, what each caller mapped, still has and gave back out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{
    Owner,
    caller::{self, Caller},
    case::Case,
    evidence::{CallSite, FoundBy, Frame, StackEnd},
    explanation::{CallPath, StackCoverage},
    parts,
};
use crate::{
    space::{
        flow::SourceKind,
        piece::{Content, Provenance, SiteId},
    },
    units::Bytes,
};

/// Paths that are told one by one; the others are summed.
const MOST_PATHS: usize = 512;

/// What calls of one site did.
#[derive(Default)]
struct Sums {
    calls: u64,
    mapped: Bytes,
    unmapped: Bytes,
    still_mapped: Bytes,
    retained: Bytes,
    releases: u64,
    released: Bytes,
    purged: Bytes,
    kinds: BTreeSet<SourceKind>,
}

/// Whether a stack is known to its end, without a guess.
fn is_complete(site: &CallSite) -> bool {
    let guessed = |frame: &Frame| frame.by == FoundBy::Scan;
    site.end == Some(StackEnd::Root) && !site.frames.iter().any(guessed)
}

/// Every call path, the weightiest first, and of how many calls the stack is known.
pub fn rows(case: &Case<'_>) -> (Vec<CallPath>, StackCoverage) {
    let sums = sums(case);
    let mut coverage = StackCoverage::default();
    for (site, sums) in &sums {
        let site = case.evidence.sites.get(site.0 as usize);
        let calls = sums.calls + sums.releases;
        coverage.calls += calls;
        if site.is_some_and(|site| site.end.is_some()) {
            coverage.unwound += calls;
            coverage.distinct += 1;
        }
        if site.is_some_and(is_complete) {
            coverage.complete += calls;
        }
    }
    let mut rows: Vec<CallPath> = sums
        .iter()
        .filter(|(site, _)| **site != SiteId::default())
        .map(|(site, sums)| row(case, *site, sums))
        .collect();
    rows.sort_by_key(|row| std::cmp::Reverse((row.weight(), row.calls)));
    if rows.len() > MOST_PATHS {
        let rest = rows.split_off(MOST_PATHS);
        rows.push(rest.iter().fold(nobody(), add));
    }
    (rows, coverage)
}

fn sums(case: &Case<'_>) -> BTreeMap<SiteId, Sums> {
    let mut sums: BTreeMap<SiteId, Sums> = BTreeMap::new();
    for (source, flow, _) in &case.flows {
        // What was there before, or came by itself, has no caller.
        let came_by_itself = flow.calls == 0 && source.site == SiteId::default();
        if came_by_itself || source.how == Provenance::PreExisting {
            continue;
        }
        let sum = sums.entry(source.site).or_default();
        sum.calls += flow.calls;
        sum.mapped += flow.mapped;
        sum.unmapped += flow.unmapped;
        sum.kinds.insert(source.kind);
    }
    for part in &case.parts {
        let Some(sum) = sums.get_mut(&part.piece.origin.site) else {
            continue;
        };
        let origin = &part.piece.origin;
        if origin.site == SiteId::default() || origin.how == Provenance::PreExisting {
            continue;
        }
        sum.still_mapped += part.span.len();
        if let Content::Discarded { .. } | Content::Overlaid { .. } = part.piece.content {
            sum.retained += part.span.len();
        }
    }
    for (site, released) in case.evidence.space.flows().releases() {
        let sum = sums.entry(site).or_default();
        sum.releases += released.calls;
        sum.released += released.unmapped;
        sum.purged += released.discarded;
    }
    sums
}

fn row(case: &Case<'_>, site: SiteId, sums: &Sums) -> CallPath {
    let at = case.evidence.sites.get(site.0 as usize);
    let frames = at.map_or_else(|| Arc::from([]), |at| Arc::clone(&at.frames));
    let caller = case.callers.get(site.0 as usize);
    let caller = caller.copied().unwrap_or(Caller::Unknown);
    let files = !sums.kinds.is_empty() && sums.kinds.iter().all(|kind| *kind == SourceKind::File);
    let owner = match caller {
        _ if files && !matches!(caller, Caller::Allocator(..)) => Owner::FILES,
        Caller::Allocator(allocator, _) => Owner::named(allocator.name),
        Caller::Loader(_) => Owner::LOADER,
        Caller::Threads(_) => Owner::STACKS,
        Caller::Code(_) => Owner::APPLICATION,
        Caller::Unknown | Caller::Undecided(_) => Owner::UNKNOWN,
    };
    let part = match caller {
        Caller::Allocator(allocator, frame) => parts::part(allocator.name, &frames, frame),
        _ => None,
    };
    CallPath {
        owner,
        part,
        asked: caller
            .frame()
            .and_then(|frame| caller::asker(&frames, frame)),
        decided: caller.frame(),
        end: at.and_then(|at| at.end),
        frames,
        calls: sums.calls,
        mapped: sums.mapped,
        unmapped: sums.unmapped,
        still_mapped: sums.still_mapped,
        retained: sums.retained,
        releases: sums.releases,
        released: sums.released,
        purged: sums.purged,
    }
}

fn nobody() -> CallPath {
    CallPath {
        owner: Owner::UNKNOWN,
        part: None,
        frames: Arc::from([]),
        end: None,
        decided: None,
        asked: None,
        calls: 0,
        mapped: Bytes(0),
        unmapped: Bytes(0),
        still_mapped: Bytes(0),
        retained: Bytes(0),
        releases: 0,
        released: Bytes(0),
        purged: Bytes(0),
    }
}

fn add(sum: CallPath, row: &CallPath) -> CallPath {
    CallPath {
        calls: sum.calls + row.calls,
        mapped: sum.mapped + row.mapped,
        unmapped: sum.unmapped + row.unmapped,
        still_mapped: sum.still_mapped + row.still_mapped,
        retained: sum.retained + row.retained,
        releases: sum.releases + row.releases,
        released: sum.released + row.released,
        purged: sum.purged + row.purged,
        ..sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::piece::FileId;

    #[test]
    fn a_stack_with_a_guess_in_it_is_not_complete() {
        let site = |found: &[FoundBy], end| CallSite {
            frames: found
                .iter()
                .map(|&by| Frame {
                    file: FileId(u32::MAX),
                    offset: 0,
                    module: String::new(),
                    function: None,
                    line: None,
                    inlined: false,
                    by,
                })
                .collect(),
            end,
        };
        let known = [FoundBy::Registers, FoundBy::Tables, FoundBy::FramePointer];
        assert!(is_complete(&site(&known, Some(StackEnd::Root))));
        assert!(!is_complete(&site(&known, Some(StackEnd::Limit))));
        assert!(!is_complete(&site(&known, None)));
        let guessed = [FoundBy::Registers, FoundBy::Scan];
        assert!(!is_complete(&site(&guessed, Some(StackEnd::Root))));
    }
}
