//! `stack-growth`: stacks that came since the attach, or grew.

use super::Draft;
use crate::{
    attribute::{
        Owner,
        case::{Case, Part},
        explanation::{Confidence, Finding},
    },
    space::piece::{Backing, Content},
    units::Bytes,
};

pub const REASON: &str = "stack-growth";

pub fn find(case: &Case<'_>) -> Vec<Finding> {
    let owner = Owner::STACKS;
    let sum = |main: bool| -> Bytes {
        let parts = case.parts_of(&owner).filter(|part| is_new(part));
        parts
            .filter(|part| (part.piece.backing == Backing::Stack) == main)
            .map(|part| part.span.len())
            .sum()
    };
    let (main, threads) = (sum(true), sum(false));
    let bytes = main + threads;
    let mut draft = Draft::new(case, REASON, &owner, bytes)
        .of(is_new)
        .summary(&format!("the stacks grew by {bytes}."));
    if main.0 > 0 {
        draft = draft.fact(format!("the main thread's stack grew by {main}"));
    }
    if threads.0 > 0 {
        draft = draft
            .fact(format!("{threads} is stacks of threads with their guards"))
            .mapped_by();
    }
    let stack = case.evidence.settings.stack_limit;
    let draft = draft
        .facts(stack.map(|stack| format!("a stack has {stack} by default (RLIMIT_STACK)")))
        .sure(Confidence::High)
        .cannot_exclude(
            "that stacks of ended threads are among them: their pages were not given back.",
        )
        .remedy(
            "Fewer threads, or smaller stacks (ulimit -s, pthread_attr_setstacksize): an untouched \
             stack takes address space only. A main stack that grew does not shrink.",
        )
        .verify_by_figure("VmSize");
    vec![draft.done()]
}

fn is_new(part: &Part) -> bool {
    part.fresh && !matches!(part.piece.content, Content::Discarded { .. })
}
