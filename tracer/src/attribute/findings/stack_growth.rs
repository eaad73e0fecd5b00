//! `stack-growth`: stacks that came since the attach, or grew.

use super::{mapped_by, sentence};
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
    let sort = |part: &Part| {
        part.owner == Owner::STACKS
            && part.fresh
            && !matches!(part.piece.content, Content::Discarded { .. })
    };
    let sum = |main: bool| -> Bytes {
        let parts = case.parts.iter().filter(|part| sort(part));
        parts
            .filter(|part| (part.piece.backing == Backing::Stack) == main)
            .map(|part| part.span.len())
            .sum()
    };
    let (main, threads) = (sum(true), sum(false));
    let mut evidence = Vec::new();
    if main.0 > 0 {
        evidence.push(format!("the main thread's stack grew by {main}"));
    }
    if threads.0 > 0 {
        evidence.push(format!("{threads} is stacks of threads with their guards"));
        evidence.extend(mapped_by(case, sort));
    }
    let bytes = main + threads;
    vec![Finding {
        reason: REASON,
        owner: Owner::STACKS,
        bytes,
        confidence: Confidence::High,
        summary: sentence(&format!("the stacks grew by {bytes}.")),
        evidence,
        cannot_exclude: "that stacks of ended threads are among them: their pages were not \
                         given back."
            .to_owned(),
        remedy: "Fewer threads, or smaller stacks (ulimit -s, pthread_attr_setstacksize): an \
                 untouched stack takes address space only. A main stack that grew does not \
                 shrink."
            .to_owned(),
    }]
}
