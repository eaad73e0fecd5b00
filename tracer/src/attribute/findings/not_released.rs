//! `not-released`: no call gave these bytes back. In use, or freed and cached: calls
//! cannot tell.

use super::{Draft, heap_pinned, reserved, whose};
use crate::{
    attribute::{
        Owner,
        allocators::{self, Topic, glibc::GLIBC},
        case::{Case, Part},
        explanation::Finding,
        tally::Kind,
    },
    space::piece::Backing,
    units::Bytes,
};

pub const REASON: &str = "not-released";

pub fn find(case: &Case<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for owner in case.owners() {
        if allocators::by_name(&owner.0).is_none() && owner != Owner::UNKNOWN {
            continue;
        }
        let bytes = undecided(case, &owner);
        if bytes.0 > 0 {
            findings.push(finding(case, &owner, bytes));
        }
    }
    findings
}

/// Live bytes of an owner that no other finding explains.
fn undecided(case: &Case<'_>, owner: &Owner) -> Bytes {
    let live = case.tally.bytes(owner, Kind::Live);
    let huge: Bytes = case
        .parts_of(owner)
        .filter(|part| reserved::is_huge(part))
        .map(|part| part.span.len())
        .sum();
    let mut free = Bytes(0);
    let mut heap = case.parts_of(owner);
    let is_open = heap.any(|part| part.piece.backing == Backing::Heap && !part.is_settled());
    if owner.0 == GLIBC.name
        && is_open
        && let Some(walk) = heap_pinned::walk(case)
    {
        // What was given back of the heap is free too, and is not among the live bytes.
        let free_and_live = walk.free - heap_pinned::heap(case, |kind| kind != Kind::Live);
        free = free_and_live + walk.top;
    }
    live - huge - free
}

fn finding(case: &Case<'_>, owner: &Owner, bytes: Bytes) -> Finding {
    let allocator = allocators::by_name(&owner.0);
    let fresh = case.tally.fresh_bytes(owner, Kind::Live);
    let live = case.tally.bytes(owner, Kind::Live);
    let older = (fresh < live).then(|| format!("{} of it is older than the attach", live - fresh));
    let only_ahead = !case
        .parts_of(owner)
        .any(|part| is_told(part) && !part.ahead);
    let tell = allocator.map_or(
        "a run traced from its start, where call sites show who maps what",
        |allocator| allocator.experiment,
    );
    let ahead = match allocator.is_some_and(|allocator| allocator.maps_ahead) {
        true => ", or mapped ahead and never handed out",
        false => "",
    };
    let mut doubt = format!(
        "that it is in use, or freed and cached{ahead}: calls cannot tell. What would: {tell}."
    );
    let in_heap = case
        .parts_of(owner)
        .any(|part| part.piece.backing == Backing::Heap);
    if in_heap && case.evidence.heap.is_none() && owner.0 == GLIBC.name {
        doubt.push_str(" For the heap, a walk through its chunks would decide.");
    }
    Draft::new(case, REASON, owner, bytes)
        .of(move |part| is_told(part) && (only_ahead || !part.ahead))
        .summary(&format!(
            "{bytes} of {} was not given back by any call.",
            whose(owner)
        ))
        .released()
        .facts(older)
        .mapped_by()
        .residency()
        .ranges()
        .settings()
        .cannot_exclude(doubt)
        .advice(
            Topic::NotReleased,
            "Trace the program from its start to learn whose it is.",
        )
        .verify(
            "What the experiment named above lowers was free; trace the same load again with the \
             remedy, and RSS at the end must be lower by that.",
        )
        .done()
}

fn is_told(part: &Part) -> bool {
    part.kind_now() == Kind::Live && !part.is_settled() && !reserved::is_huge(part)
}
