//! `arena-reserve`: glibc reserves 64 MiB of address space for each heap of an arena.

use std::collections::{BTreeMap, BTreeSet};

use super::Draft;
use crate::{
    attribute::{
        Owner,
        allocators::{
            Topic,
            glibc::{ARENA_HEAP, GLIBC},
        },
        case::{Case, Part},
        explanation::Finding,
        tally::Kind,
        text,
    },
    space::piece::Backing,
    units::{Addr, Bytes},
};

pub const REASON: &str = "arena-reserve";

pub fn find(case: &Case<'_>) -> Vec<Finding> {
    let owner = Owner::named(GLIBC.name);
    let bytes = case.tally.bytes(&owner, Kind::Reserved);
    if bytes.0 == 0 {
        return Vec::new();
    }
    let window = |part: &Part| part.span.start.0 / ARENA_HEAP;
    let reserved = case.parts_of(&owner).filter(|p| p.kind == Kind::Reserved);
    let windows: BTreeSet<u64> = reserved.map(window).collect();
    // What was made accessible, heap by heap.
    let mut usable: BTreeMap<u64, Bytes> = windows.iter().map(|w| (*w, Bytes(0))).collect();
    for part in case.parts_of(&owner) {
        if part.piece.backing == Backing::Anonymous
            && part.kind != Kind::Reserved
            && let Some(sum) = usable.get_mut(&window(part))
        {
            *sum += part.span.len();
        }
    }
    let all: Bytes = usable.values().copied().sum();
    let draft = Draft::new(case, REASON, &owner, bytes)
        .of_kind(Kind::Reserved)
        .summary(&format!(
            "glibc's malloc reserved {bytes} for arenas of threads: each arena gets heaps of 64 \
             MiB of address space, of which only what is used is made accessible. They stay when \
             the threads end."
        ))
        .fact(format!(
            "{} of 64 MiB: {bytes} never accessible, {all} made accessible",
            text::count(windows.len() as u64, "heap")
        ))
        .facts(fullest(&usable))
        .facts(resident(case, &owner, &windows))
        .mapped_by()
        .settings()
        .advice(Topic::Reserved, "")
        .verify(
            "Trace the same load again with it: the number of heaps named above must not exceed \
             the limit by much (an arena that is full gets a second heap), and VmSize falls by 64 \
             MiB for each heap less.",
        );
    vec![draft.done()]
}

/// The heaps of which the most and the least was made accessible.
fn fullest(usable: &BTreeMap<u64, Bytes>) -> Option<String> {
    let most = usable.iter().max_by_key(|(_, bytes)| **bytes)?;
    let least = usable.values().min()?;
    let start = Addr(most.0 * ARENA_HEAP);
    (usable.len() > 1).then(|| {
        format!(
            "made accessible by heap: from {least} to {} (the heap at {start})",
            most.1
        )
    })
}

/// How much of these heaps is in memory, where pages were looked at.
fn resident(case: &Case<'_>, owner: &Owner, windows: &BTreeSet<u64>) -> Option<String> {
    let bound = case.at_most_resident(|part| {
        part.owner == *owner
            && part.piece.backing == Backing::Anonymous
            && windows.contains(&(part.span.start.0 / ARENA_HEAP))
    })?;
    Some(format!("at most {bound} of these heaps is in memory"))
}
