//! The verdict: figures and sums in, one answer and one sentence out.
//!
//! Documented in `docs/verdicts.md`; the thresholds are the constants below.

mod sentence;
mod split;

use super::{
    case::Case,
    evidence::Trend,
    explanation::{Confidence, Finding, Verdict, VerdictCode},
};
use crate::{space::piece::Provenance, units::Bytes};
use sentence::Figures;
use split::{Cause, Split};

/// Growth and remainders below this are noise.
const NOISE: Bytes = Bytes(1 << 20);
/// Growth below this share of VmSize at the attach is noise, percent.
const NOISE_PERCENT: u64 = 1;
/// But never more than this: what reserves hundreds of gigabytes up front grows by less.
const NOISE_MOST: Bytes = Bytes(16 << 20);
/// VmSize has shrunk if it fell and no more than this share of its growth is left, percent.
const REMAINDER_PERCENT: u64 = 10;
/// The share of what stayed that one cause must explain, percent.
const MAJORITY_PERCENT: u64 = 50;
/// How far the model may be from the kernel at the end if no event was lost.
const TOLERATED_DRIFT: Bytes = NOISE;
/// More new address space than this share of what stayed makes the answer less sure, percent.
const REPLACED_PERCENT: u64 = 150;

/// The answer.
pub fn decide(case: &Case<'_>, findings: &[Finding]) -> Verdict {
    let figures = match figures(&case.evidence.vm_size) {
        Ok(figures) => figures,
        Err(missing) => return inconclusive(sentence::unknown_figure(missing)),
    };
    let doubt = &case.evidence.doubt;
    if doubt.unread {
        return inconclusive(sentence::UNREAD.to_owned());
    }
    if doubt.drift > TOLERATED_DRIFT || doubt.lost > 0 && doubt.drift.0 > 0 {
        return inconclusive(sentence::drifted(doubt));
    }
    let share = percent(figures.attach, NOISE_PERCENT).min(NOISE_MOST);
    if figures.grown < NOISE.max(share) {
        return Verdict {
            code: VerdictCode::NoGrowth,
            summary: sentence::no_growth(case, &figures, findings),
            confidence: sure(case, Confidence::High),
        };
    }
    let remainder = NOISE.max(percent(figures.grown, REMAINDER_PERCENT));
    if figures.kept <= remainder && figures.kept < figures.grown {
        return Verdict {
            code: VerdictCode::Shrank,
            summary: sentence::shrank(case, &figures, findings),
            confidence: sure(case, Confidence::High),
        };
    }
    why(case, &figures)
}

/// Why what stayed is still there.
fn why(case: &Case<'_>, figures: &Figures) -> Verdict {
    let split = Split::of(case);
    let unseen: Bytes = case
        .parts
        .iter()
        .filter(|part| part.piece.origin.how == Provenance::Found)
        .map(|part| part.span.len())
        .sum();
    if !is_majority(split.total, figures.kept) || is_majority(unseen, figures.kept) {
        return inconclusive(sentence::unseen(figures, split.total, unseen));
    }
    let whole = split.total.max(figures.kept);
    let Some(cause) = split
        .largest()
        .filter(|c| is_majority(split.of_cause(*c), whole))
    else {
        return Verdict {
            code: VerdictCode::Mixed,
            summary: sentence::mixed(case, figures, &split),
            confidence: sure(case, Confidence::Medium),
        };
    };
    let mut confidence = split.confidence(case, cause);
    if split.total > percent(figures.kept, REPLACED_PERCENT) {
        confidence = confidence.min(Confidence::Medium);
    }
    Verdict {
        code: match cause {
            Cause::Retained => VerdictCode::RetainedByAllocator,
            Cause::Purged => VerdictCode::PurgedNotUnmapped,
            Cause::Pinned => VerdictCode::HeapTopPinned,
            Cause::Arenas => VerdictCode::ArenaReserve,
            Cause::Held => VerdictCode::HeldByProgram,
            Cause::Cached => VerdictCode::CachedByAllocator,
            Cause::NotReleased => VerdictCode::NotReleased,
        },
        summary: sentence::stayed(case, figures, &split, cause),
        confidence: sure(case, confidence),
    }
}

fn figures(trend: &Trend) -> Result<Figures, &'static str> {
    let attach = trend.at_attach.ok_or("at the attach")?;
    let end = trend.at_end.ok_or("at the end")?;
    let peak = trend.peak.ok_or("at its peak")?.max(attach).max(end);
    Ok(Figures {
        attach,
        peak,
        end,
        grown: peak - attach,
        kept: end - attach,
    })
}

fn inconclusive(summary: String) -> Verdict {
    Verdict {
        code: VerdictCode::Inconclusive,
        summary,
        confidence: Confidence::Low,
    }
}

/// Less sure if events were lost, although the model agrees with the kernel at the end.
fn sure(case: &Case<'_>, confidence: Confidence) -> Confidence {
    if case.evidence.doubt.lost > 0 {
        confidence.min(Confidence::Medium)
    } else {
        confidence
    }
}

fn percent(of: Bytes, percent: u64) -> Bytes {
    let share = u128::from(of.0) * u128::from(percent) / 100;
    Bytes(u64::try_from(share).unwrap_or(u64::MAX))
}

fn is_majority(part: Bytes, whole: Bytes) -> bool {
    u128::from(part.0) * 100 >= u128::from(whole.0) * u128::from(MAJORITY_PERCENT)
}

#[cfg(test)]
mod tests;
