//! `many-mappings`: the number of mappings comes near the kernel's limit, and who splits them.

use std::collections::BTreeMap;

use super::{Draft, LISTED, title};
use crate::{
    attribute::{
        Owner, allocators,
        case::{Case, Part},
        explanation::{Confidence, Finding},
        text,
    },
    units::Bytes,
};

pub const REASON: &str = "many-mappings";

/// From this share of the limit on it is told, percent.
const NEAR: u64 = 50;

pub fn find(case: &Case<'_>) -> Vec<Finding> {
    let Some(most) = case.evidence.settings.kernel.max_map_count else {
        return Vec::new();
    };
    let vmas = case.evidence.space.to_vmas();
    let count = vmas.len() as u64;
    if count * 100 < most * NEAR {
        return Vec::new();
    }
    let mut by_owner: BTreeMap<&Owner, u64> = BTreeMap::new();
    let mut parts = case.parts.iter().peekable();
    for vma in &vmas {
        while parts
            .next_if(|part| part.span.start < vma.span.start)
            .is_some()
        {}
        if let Some(part) = parts.peek() {
            *by_owner.entry(&part.owner).or_default() += 1;
        }
    }
    let mut owners: Vec<(&Owner, u64)> = by_owner.into_iter().collect();
    owners.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let Some((owner, _)) = owners.first().copied() else {
        return Vec::new();
    };
    let bytes: Bytes = case.parts_of(owner).map(|part| part.span.len()).sum();
    let shares = owners
        .iter()
        .take(LISTED)
        .map(|(owner, count)| format!("{} of {}", text::grouped(*count), title(owner)));
    let draft = Draft::new(case, REASON, owner, bytes)
        .summary(&format!(
            "the process has {} of at most {} (vm.max_map_count): beyond, mmap fails, and munmap and \
             mprotect where they would split one.",
            text::count(count, "mapping"),
            text::grouped(most)
        ))
        .fact(format!("mappings: {}", shares.collect::<Vec<_>>().join(", ")))
        .facts(kept_apart(case, owner))
        .facts(split_by(case))
        .places()
        .settings()
        .sure(Confidence::High)
        .cannot_exclude(
            "that the kernel splits or joins a few differently: flags that its map does not show \
             are not counted.",
        )
        .remedy(format!(
            "{}; raise vm.max_map_count (price: memory of the kernel for each mapping).",
            fewer(owner)
        ))
        .verify("The number of lines of /proc/<pid>/maps at the end of the same load must be lower.");
    vec![draft.done()]
}

/// Which calls made several mappings of one, and from where.
fn split_by(case: &Case<'_>) -> Option<String> {
    let mut by_place: BTreeMap<(&'static str, Option<String>), u64> = BTreeMap::new();
    for (call, site, count) in case.evidence.space.flows().splits() {
        let place = case.place(site);
        *by_place.entry((call.name(), place)).or_default() += count;
    }
    let mut places: Vec<_> = by_place.into_iter().collect();
    places.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let told = places
        .into_iter()
        .take(LISTED)
        .map(|((call, place), count)| {
            let place = place.map_or_else(String::new, |place| format!(" in {place}"));
            format!("{} times by {call}{place}", text::grouped(count))
        });
    let told: Vec<String> = told.collect();
    (!told.is_empty()).then(|| format!("split since the beginning: {}", told.join(", ")))
}

/// How an owner can do with fewer: a clause that begins a sentence.
fn fewer(owner: &Owner) -> &'static str {
    match allocators::by_name(&owner.0) {
        Some(allocator) if !allocator.fewer_mappings.is_empty() => allocator.fewer_mappings,
        _ => "Protect and unmap in larger steps",
    }
}

/// What keeps an owner's neighbours apart.
fn kept_apart(case: &Case<'_>, owner: &Owner) -> Option<String> {
    let (mut protection, mut marks, mut gaps) = (0_u64, 0_u64, 0_u64);
    let parts: Vec<&Part> = case.parts_of(owner).collect();
    for pair in parts.windows(2) {
        let (one, next) = (&pair[0], &pair[1]);
        if one.span.end != next.span.start {
            gaps += 1;
        } else if one.piece.prot != next.piece.prot {
            protection += 1;
        } else if one.piece.traits != next.piece.traits || one.piece.name != next.piece.name {
            marks += 1;
        }
    }
    (protection + marks + gaps > 0).then(|| {
        format!(
            "its neighbours are kept apart {} times by protection (mprotect, PROT_NONE), {} times \
             by advice or names (madvise, prctl), {} times by a gap",
            text::grouped(protection),
            text::grouped(marks),
            text::grouped(gaps)
        )
    })
}
