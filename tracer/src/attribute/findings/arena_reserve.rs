//! `arena-reserve`: glibc reserves 64 MiB of address space for each heap of an arena.

use std::collections::BTreeSet;

use super::{mapped_by, settings_of};
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
    units::Bytes,
};

pub const REASON: &str = "arena-reserve";

pub fn find(case: &Case<'_>) -> Vec<Finding> {
    let owner = Owner::named(GLIBC.name);
    let bytes = case.tally.bytes(&owner, Kind::Reserved);
    if bytes.0 == 0 {
        return Vec::new();
    }
    let sort = |part: &Part| part.owner == owner && part.kind == Kind::Reserved;
    let window = |part: &Part| part.span.start.0 / ARENA_HEAP;
    let windows: BTreeSet<u64> = case.parts.iter().filter(|p| sort(p)).map(window).collect();
    let usable: Bytes = case
        .parts_of(&owner)
        .filter(|part| part.piece.backing == Backing::Anonymous && !sort(part))
        .filter(|part| windows.contains(&window(part)))
        .map(|part| part.span.len())
        .sum();
    let heaps = text::count(windows.len() as u64, "heap");
    let mut evidence = vec![format!(
        "{heaps} of 64 MiB: {bytes} never accessible, {usable} made accessible"
    )];
    evidence.extend(mapped_by(case, sort));
    evidence.extend(settings_of(case, &GLIBC));
    vec![Finding {
        reason: REASON,
        bytes,
        confidence: case.confidence(&owner, sort),
        summary: format!(
            "glibc's malloc reserved {bytes} for arenas of threads: each arena gets heaps of \
             64 MiB of address space, of which only what is used is made accessible. They \
             stay when the threads end."
        ),
        evidence,
        cannot_exclude: String::new(),
        remedy: (GLIBC.advice)(case.evidence, Topic::Reserved),
        owner,
    }]
}
