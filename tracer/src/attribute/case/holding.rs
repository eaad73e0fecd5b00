//! What a program holds of each part, by the functions of its allocators, if they were watched.

use std::collections::BTreeMap;

use super::Part;
use crate::{
    attribute::{
        Owner,
        allocators::{self, Roster},
        evidence::{Evidence, Held, Module},
        tally::Kind,
    },
    space::piece::{Origin, Provenance},
    units::Bytes,
};

/// They manage memory without functions that could be probed.
const RUNTIMES: [&str; 4] = ["go", "jvm", "v8", "pymalloc"];

/// What is known of a part by the blocks in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holding {
    /// Bytes that are handed out, at least.
    pub bytes: Bytes,
    /// Whether no others are: all that was ever handed out of it was seen.
    pub whole: bool,
}

/// Notes it.
pub fn note(parts: &mut [Part], evidence: &Evidence<'_>) {
    let Some(held) = evidence.held else {
        return;
    };
    let mut watched: BTreeMap<Owner, bool> = BTreeMap::new();
    for (part, tracked) in parts.iter_mut().zip(held.pieces) {
        if !matches!(part.kind, Kind::Live | Kind::Discarded | Kind::LazilyFreed) {
            continue;
        }
        let is_watched = *watched
            .entry(part.owner.clone())
            .or_insert_with(|| is_watched(&part.owner, held, evidence.modules));
        let whole = held.exact && is_watched && was_seen(&part.piece.origin, held);
        let bytes = tracked.bytes.min(part.span.len());
        if whole || bytes.0 > 0 {
            part.holding = Some(Holding { bytes, whole });
            // What is not handed out is told from what is.
            part.ahead &= !whole;
        }
    }
}

/// Whether the functions of an allocator are probed: in the file that contains it.
fn is_watched(owner: &Owner, held: &Held<'_>, modules: &[Module]) -> bool {
    let probed = |module: &&Module| held.files.iter().any(|file| file.path == module.path);
    let probed: Vec<Module> = modules.iter().filter(probed).cloned().collect();
    allocators::by_name(&owner.0)
        .filter(|allocator| !RUNTIMES.contains(&allocator.name))
        .is_some_and(|allocator| Roster::contains_in(&probed, allocator))
}

/// Whether it came when everything was probed, by a call that was seen.
fn was_seen(origin: &Origin, held: &Held<'_>) -> bool {
    matches!(origin.how, Provenance::Call(_)) && origin.at > held.whole_since
}
