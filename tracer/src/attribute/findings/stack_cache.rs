//! `thread-stacks-cached`: stacks whose pages were given back when their threads ended.

use super::Draft;
use crate::{
    attribute::{
        Owner,
        allocators::glibc,
        case::{Case, Part},
        explanation::{Confidence, Finding},
    },
    space::piece::{Backing, Content},
    units::Bytes,
};

pub const REASON: &str = "thread-stacks-cached";

pub fn find(case: &Case<'_>) -> Vec<Finding> {
    let owner = Owner::STACKS;
    let bytes: Bytes = case
        .parts_of(&owner)
        .filter(|part| is_cached(part))
        .map(|part| part.span.len())
        .sum();
    if bytes.0 == 0 {
        return Vec::new();
    }
    let cache = glibc::stack_cache(case.evidence.settings);
    let more = (bytes > cache).then(|| {
        format!(
            "that is more than the {cache} glibc keeps: the rest is in use again, or its threads \
             ended and were neither joined nor detached"
        )
    });
    let stack = case.evidence.settings.stack_limit;
    let draft = Draft::new(case, REASON, &owner, bytes)
        .of(is_cached)
        .summary(&format!(
            "the pages of {bytes} of threads' stacks were given back when the threads ended; the C \
             library keeps the stacks for new threads, up to {cache}."
        ))
        .fact(format!(
            "madvise gave {bytes} of threads' stacks back, which were not unmapped"
        ))
        .mapped_by()
        .ranges()
        .facts(more)
        .facts(stack.map(|stack| format!("a stack has {stack} by default (RLIMIT_STACK)")))
        .sure(Confidence::Medium)
        .cannot_exclude(
            "that new threads run on these stacks by now: taking one from the cache takes no call.",
        )
        .remedy(
            "GLIBC_TUNABLES=glibc.pthread.stack_cache_size=0 unmaps stacks at once (price: calls \
             for each new thread); smaller stacks (ulimit -s, pthread_attr_setstacksize) or a pool \
             of threads take less. Join or detach threads that end.",
        )
        .verify_by_figure("VmSize");
    vec![draft.done()]
}

fn is_cached(part: &Part) -> bool {
    part.piece.backing == Backing::Anonymous
        && matches!(part.piece.content, Content::Discarded { .. })
}
