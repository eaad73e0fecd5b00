//! `thread-stacks-cached`: stacks whose pages were given back when their threads ended.

use super::{mapped_by, ranges, sentence};
use crate::{
    attribute::{
        Owner,
        case::{Case, Part},
        explanation::{Confidence, Finding},
    },
    space::piece::{Backing, Content},
    units::Bytes,
};

pub const REASON: &str = "thread-stacks-cached";

/// glibc keeps stacks of ended threads up to this sum.
const CACHE: Bytes = Bytes(40 << 20);

pub fn find(case: &Case<'_>) -> Vec<Finding> {
    let sort = |part: &Part| {
        part.owner == Owner::STACKS
            && part.piece.backing == Backing::Anonymous
            && matches!(part.piece.content, Content::Discarded { .. })
    };
    let bytes: Bytes = case
        .parts
        .iter()
        .filter(|part| sort(part))
        .map(|part| part.span.len())
        .sum();
    if bytes.0 == 0 {
        return Vec::new();
    }
    let mut evidence = vec![format!(
        "madvise gave {bytes} of threads' stacks back, which were not unmapped"
    )];
    evidence.extend(mapped_by(case, sort));
    evidence.extend(ranges(case, sort));
    if bytes > CACHE {
        evidence.push(format!(
            "that is more than the {CACHE} glibc keeps: the rest is in use again, or its \
             threads ended and were neither joined nor detached"
        ));
    }
    vec![Finding {
        reason: REASON,
        owner: Owner::STACKS,
        bytes,
        confidence: Confidence::Medium,
        summary: sentence(&format!(
            "the pages of {bytes} of threads' stacks were given back when the threads ended; \
             the C library keeps the stacks for new threads, up to {CACHE}."
        )),
        evidence,
        cannot_exclude: "that new threads run on these stacks by now: taking one from the \
                         cache takes no call."
            .to_owned(),
        remedy: "GLIBC_TUNABLES=glibc.pthread.stack_cache_size=0 unmaps stacks at once \
                 (price: calls for each new thread); smaller stacks (ulimit -s, \
                 pthread_attr_setstacksize) or a pool of threads take less. Join or detach \
                 threads that end."
            .to_owned(),
    }]
}
