//! The verdict's sentence: sizes, who, why, and whether memory is really used.

use super::{
    NOISE,
    split::{Cause, Split},
};
use crate::{
    attribute::{
        Owner, allocators,
        allocators::glibc::{ARENA_HEAP, GLIBC},
        case::Case,
        evidence::Doubt,
        explanation::Finding,
        findings::{heap_pinned, title, whose},
        tally::Kind,
        text,
    },
    units::Bytes,
};

/// VmSize over the run.
pub struct Figures {
    /// At the attach.
    pub attach: Bytes,
    /// At its highest.
    pub peak: Bytes,
    /// At the end.
    pub end: Bytes,
    /// From the attach to the peak.
    pub grown: Bytes,
    /// From the attach to the end.
    pub kept: Bytes,
}

/// How many causes or owners a sentence names.
const NAMED: usize = 3;

pub const UNREAD: &str = "The cause cannot be told: the process ended before its map could be \
                          read, so only what its calls did is known.";

pub fn unknown_figure(missing: &str) -> String {
    format!("Whether VmSize shrank cannot be told: its size {missing} is not known.")
}

pub fn drifted(doubt: &Doubt) -> String {
    let lost = match doubt.lost {
        0 => String::new(),
        lost => format!("{} lost and ", text::count(lost, "event")),
    };
    format!(
        "The cause cannot be told: {lost}the reconstructed address space differs from the \
         kernel's by {}.",
        doubt.drift
    )
    .replace("lost and", "were lost and")
}

pub fn unseen(figures: &Figures, total: Bytes, unseen: Bytes) -> String {
    let seen = total - unseen;
    format!(
        "The cause cannot be told: VmSize is {} larger than at the attach, but calls that were \
         seen account for only {seen} of what is mapped now.",
        figures.kept
    )
}

pub fn no_growth(case: &Case<'_>, figures: &Figures, findings: &[Finding]) -> String {
    let fell = figures.attach - figures.end;
    let who = if fell < NOISE {
        String::new()
    } else {
        returned(case, findings)
    };
    let mut words = format!(
        "VmSize did not grow: it was {} at the attach and is {}{who}.",
        figures.attach, figures.end
    );
    let kept = findings
        .iter()
        .find(|finding| ["retained-after-purge", "purged-not-unmapped"].contains(&finding.reason));
    if let Some(kept) = kept {
        words.push_str(&format!(
            " {} of it is address space that {} keeps although its pages were given back.",
            kept.bytes,
            title(&kept.owner)
        ));
    }
    words
}

pub fn shrank(case: &Case<'_>, figures: &Figures, findings: &[Finding]) -> String {
    let who = returned(case, findings);
    format!(
        "VmSize rose by {} to {} and came back to {}, {} above where it began{who}.",
        figures.grown, figures.peak, figures.end, figures.kept
    )
}

/// Who returned most, and how: the rest of a sentence, empty if nobody did.
fn returned(case: &Case<'_>, findings: &[Finding]) -> String {
    let mut released: Vec<(Bytes, Owner)> = case
        .owners()
        .into_iter()
        .map(|owner| (case.flow(&owner, |_, _| true).unmapped, owner))
        .filter(|(bytes, _)| bytes.0 > 0)
        .collect();
    released.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
    let Some((bytes, owner)) = released.first() else {
        return String::new();
    };
    let how = match returned_by(findings, owner) {
        Some("large-chunks-unmapped") => format!(" ({})", unmaps(owner)),
        Some("heap-trimmed") => " (it moved the end of the heap down again)".to_owned(),
        _ => String::new(),
    };
    format!(
        ": {} returned {bytes} of what it had mapped{how}",
        title(owner)
    )
}

/// When an allocator unmaps: a clause.
fn unmaps(owner: &Owner) -> &'static str {
    match allocators::by_name(&owner.0) {
        Some(allocator) if allocator.name != GLIBC.name => allocator.unmaps,
        _ => "it unmaps a block of at least the mmap threshold as soon as it is freed",
    }
}

/// By what most of an owner's memory was returned, if a finding says so.
fn returned_by(findings: &[Finding], owner: &Owner) -> Option<&'static str> {
    let ways = ["large-chunks-unmapped", "heap-trimmed"];
    findings
        .iter()
        .filter(|finding| finding.owner == *owner && ways.contains(&finding.reason))
        .max_by_key(|finding| finding.bytes)
        .map(|finding| finding.reason)
}

pub fn stayed(case: &Case<'_>, figures: &Figures, split: &Split, cause: Cause) -> String {
    let because = clause(case, split, cause);
    format!(
        "{} because {because}{}.",
        opening(figures),
        memory(case, figures)
    )
}

pub fn mixed(case: &Case<'_>, figures: &Figures, split: &Split) -> String {
    let causes: Vec<String> = split
        .causes()
        .into_iter()
        .take(NAMED)
        .map(|cause| clause(case, split, cause))
        .collect();
    format!(
        "{} for several reasons, none of which explains half of it: {}{}.",
        opening(figures),
        causes.join("; "),
        memory(case, figures)
    )
}

fn opening(figures: &Figures) -> String {
    let Figures {
        peak, end, kept, ..
    } = figures;
    if (*peak - *end).0 <= peak.0 / 100 {
        format!("VmSize stayed at its peak of {peak}")
    } else {
        format!("VmSize rose to {peak} and is still {end} ({kept} more than at the attach)")
    }
}

/// Whether it costs memory, if RSS is known.
fn memory(case: &Case<'_>, figures: &Figures) -> String {
    match case.evidence.rss.at_end {
        Some(rss) if rss.0 < figures.end.0 / 10 => format!("; only {rss} is in memory"),
        Some(rss) => format!("; {rss} is in memory"),
        None => String::new(),
    }
}

fn clause(case: &Case<'_>, split: &Split, cause: Cause) -> String {
    let owners = split.owners(cause);
    let clauses: Vec<String> = match cause {
        Cause::Retained => owners
            .iter()
            .take(NAMED)
            .map(|(owner, _)| retained(split, owner))
            .collect(),
        Cause::Purged => owners
            .iter()
            .take(NAMED)
            .map(|(owner, bytes)| {
                format!(
                    "the pages of {bytes} of {} were given back to the kernel but not unmapped",
                    whose(owner)
                )
            })
            .collect(),
        Cause::Pinned => vec![pinned(case, split.of_cause(cause))],
        Cause::Arenas => {
            let heaps = split.of_cause(cause).0.div_ceil(ARENA_HEAP);
            vec![format!(
                "glibc's malloc reserved {} of address space for threads ({} or more of 64 MiB, \
                 never accessible so far) and keeps it",
                split.of_cause(cause),
                text::count(heaps, "heap")
            )]
        }
        Cause::Held => vec![held(case, split.of_cause(cause))],
        Cause::Cached => owners
            .iter()
            .take(NAMED)
            .map(|(owner, bytes)| {
                format!(
                    "{} keeps {bytes} that the program does not hold: freed and cached, or not \
                     handed out",
                    title(owner)
                )
            })
            .collect(),
        Cause::NotReleased => not_released(case, split),
    };
    text::join(&clauses)
}

fn retained(split: &Split, owner: &Owner) -> String {
    let share = |kind| split.share(Cause::Retained, owner, kind);
    let allocator = allocators::by_name(&owner.0);
    let mut ways = Vec::new();
    for (kind, way) in [
        (
            Kind::Discarded,
            "gave the pages of {} back to the kernel with madvise(MADV_DONTNEED)",
        ),
        (Kind::Overlaid, "mapped inaccessible memory over {}"),
        (
            Kind::LazilyFreed,
            "offered the pages of {} to the kernel with madvise(MADV_FREE)",
        ),
    ] {
        if share(kind).0 > 0 {
            ways.push(way.replace("{}", &share(kind).to_string()));
        }
    }
    let option = allocator.map_or("", |allocator| allocator.keeping_option);
    let option = match option {
        "" => String::new(),
        option => format!(" ({option})"),
    };
    let who = title(owner);
    let over = share(Kind::OverMapped);
    match (ways.is_empty(), over.0 > 0) {
        (true, _) => format!("{who} had mapped {over} beyond what it used"),
        (false, true) => format!(
            "{who} {} but kept their address space{option} and had mapped {over} beyond that",
            text::join(&ways)
        ),
        (false, false) => {
            format!(
                "{who} {} but kept their address space{option}",
                text::join(&ways)
            )
        }
    }
}

/// What the program holds, and who asked for the most of it.
fn held(case: &Case<'_>, bytes: Bytes) -> String {
    let place = case.evidence.held.and_then(|held| held.places.first());
    let place = place.map_or_else(String::new, |(place, most)| {
        format!(" (most of it, {most}, was asked for by {place})")
    });
    format!("the program holds {bytes}{place}")
}

fn pinned(case: &Case<'_>, bytes: Bytes) -> String {
    let pin = heap_pinned::walk(case).and_then(|walk| walk.pin);
    let place = pin.map_or_else(String::new, |pin| {
        format!(" of {} at {}", pin.size, pin.addr)
    });
    format!(
        "{bytes} of the heap is free but lies below a chunk{place} that counts as in use, and \
         the heap shrinks only from its end"
    )
}

/// What a walk through glibc's heap found free at its end.
fn free_top(case: &Case<'_>) -> Bytes {
    heap_pinned::walk(case).map_or(Bytes(0), |walk| walk.top)
}

/// The largest shares of what no call gave back.
fn not_released(case: &Case<'_>, split: &Split) -> Vec<String> {
    let mut shares: Vec<(&Owner, Kind, Bytes)> = split.shares(Cause::NotReleased).collect();
    shares.sort_by_key(|(_, _, bytes)| std::cmp::Reverse(*bytes));
    let total = split.of_cause(Cause::NotReleased);
    shares
        .into_iter()
        .take(NAMED)
        .filter(|(_, _, bytes)| bytes.0 >= total.0 / 10)
        .map(|(owner, kind, bytes)| not_released_clause(case, owner, kind, bytes))
        .collect()
}

fn not_released_clause(case: &Case<'_>, owner: &Owner, kind: Kind, bytes: Bytes) -> String {
    match kind {
        Kind::Reserved => format!(
            "{} reserved {bytes} of address space that was never accessible",
            title(owner)
        ),
        Kind::Stack => format!("{bytes} of stacks was not unmapped"),
        Kind::File => format!("{bytes} of files was mapped and not unmapped"),
        Kind::Other => format!("{bytes} of shared memory or of the loader was not unmapped"),
        _ if owner.0 == GLIBC.name && free_top(case) >= Bytes(bytes.0 / 2) => format!(
            "{} at the end of glibc's heap is free but below the threshold above which free() \
             returns it",
            free_top(case)
        ),
        _ if allocators::by_name(&owner.0).is_some() => format!(
            "no call gave back {bytes} that {} mapped, which is in use or freed and cached: \
             calls cannot tell",
            title(owner)
        ),
        _ if *owner == Owner::APPLICATION => {
            let place = case
                .parts_of(owner)
                .filter(|part| part.fresh && part.kind_now() == Kind::Live)
                .max_by_key(|part| part.span.len())
                .and_then(|part| case.place(part.piece.origin.site));
            let place = place.map_or_else(String::new, |place| format!(" ({place})"));
            format!(
                "the program itself, not an allocator, mapped {bytes}{place} and did not unmap \
                 it"
            )
        }
        _ => format!("no call gave back {bytes} of {}", whose(owner)),
    }
}
