//! `leak-suspected`: steady growth by one call path, nothing of which was ever given back.
//!
//! A leak looks so; so does a cache that still fills. Kept apart from retention, where calls did
//! give pages back.

use super::{Draft, WORTH_TELLING, heap_pinned, title};
use crate::{
    attribute::{
        Owner,
        case::{Case, Part},
        explanation::{Confidence, Finding},
        text,
    },
    space::{
        flow::{Flow, Source, SourceKind},
        piece::Provenance,
    },
    units::{Bytes, Nanos},
};

pub const REASON: &str = "leak-suspected";

/// Fewer calls than this make no habit.
const CALLS: u64 = 8;
/// Growth for a shorter time than this is a beginning, nanoseconds.
const LASTING: u64 = 2_000_000_000;
/// Growth is steady if at least this share of the intervals has some, percent.
const OCCUPIED: usize = 75;
/// And if no interval has more than this share of it, percent.
const LARGEST: u64 = 40;
/// At most this share may have been released, percent.
const RELEASED: u64 = 5;

pub fn find(case: &Case<'_>) -> Vec<Finding> {
    let suspects = case.flows.iter().filter(|(source, flow, _)| {
        let own = matches!(source.kind, SourceKind::Anonymous | SourceKind::Heap);
        own && is_steady(flow, case.evidence.observed.1)
    });
    suspects
        .filter(|(source, flow, _)| !is_mostly_free(case, source, flow))
        .map(|(source, flow, owner)| finding(case, source, flow, owner))
        .collect()
}

/// Whether it grew all the time, still does, and nothing of it went.
fn is_steady(flow: &Flow, ended: Nanos) -> bool {
    let Some(first) = flow.pace.first() else {
        return false;
    };
    let last = flow.pace.last();
    let lasted = last.since(first);
    let still = ended.since(last) <= ended.since(first) / 4;
    let kept = flow.mapped - flow.unmapped;
    let gone = (flow.unmapped + flow.discarded).0.saturating_mul(100);
    let intervals = flow.pace.intervals();
    let occupied = intervals.iter().filter(|bytes| bytes.0 > 0).count();
    let largest = intervals.iter().max().map_or(0, |bytes| bytes.0);
    flow.calls >= CALLS
        && lasted >= LASTING
        && still
        && kept >= WORTH_TELLING
        && gone <= flow.mapped.0.saturating_mul(RELEASED)
        && occupied * 100 >= intervals.len() * OCCUPIED
        && largest.saturating_mul(100) <= flow.mapped.0.saturating_mul(LARGEST)
}

/// Whether a walk through the heap found at least half of it free: that is kept, not leaked.
fn is_mostly_free(case: &Case<'_>, source: &Source, flow: &Flow) -> bool {
    let walk = heap_pinned::walk(case).filter(|_| source.kind == SourceKind::Heap);
    walk.is_some_and(|walk| Bytes(2 * (walk.free + walk.top).0) >= flow.mapped - flow.unmapped)
}

fn finding(case: &Case<'_>, source: &Source, flow: &Flow, owner: &Owner) -> Finding {
    let source = *source;
    let bytes = flow.mapped - flow.unmapped;
    let lasted = flow
        .pace
        .first()
        .map_or(1, |first| flow.pace.last().since(first).max(1));
    let rate = Bytes(
        u64::try_from(u128::from(bytes.0) * 1_000_000_000 / u128::from(lasted)).unwrap_or(u64::MAX),
    );
    let sums: Vec<String> = flow.pace.intervals().iter().map(Bytes::to_string).collect();
    let place = case.place(source.site);
    let direct = *owner == Owner::APPLICATION;
    let (confidence, doubt) = if direct {
        (
            Confidence::Medium,
            "that the memory is in use, as of a cache or a working set that still grows.",
        )
    } else {
        (
            Confidence::Low,
            "that it is in use, that a cache still fills, or that freed memory is cached or \
             fragmented: the allocator asks for more, who asked it calls do not tell.",
        )
    };
    Draft::new(case, REASON, owner, bytes)
        .of(move |part: &Part| Source::of(&part.piece) == source)
        .summary(&format!(
            "{} grew by {bytes} in steady steps, about {rate} a second, and no call gave any of it \
             back: this may be a leak.",
            title(owner)
        ))
        .fact(format!(
            "{} over {}{}; in equal intervals: {}",
            text::count(flow.calls, &format!("{} call", how(&source))),
            text::seconds(lasted),
            place.map_or_else(String::new, |place| format!(", all through {place}")),
            sums.join(", ")
        ))
        .released()
        .residency()
        .ranges()
        .sure(confidence)
        .cannot_exclude(doubt)
        .remedy(
            "Find what keeps it: a heap profiler, or the code named above if the program maps \
             itself. No setting of an allocator helps against a leak.",
        )
        .verify(
            "Trace for twice as long at constant load: a leak doubles, a cache or a working set comes \
             to a halt.",
        )
        .done()
}

fn how(source: &Source) -> String {
    match source.how {
        Provenance::Call(syscall) => syscall.to_string(),
        _ => "kernel".to_owned(),
    }
}
