//! Folded stacks, a line each, as flame graph tools read them: outermost frame first, frames
//! separated by semicolons, then a figure.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{Measure, label, nameless, samples};
use crate::report::Report;

/// One line for each distinct stack that has something of the measure.
#[must_use]
pub fn render(report: &Report, measure: Measure) -> String {
    let mut text = String::new();
    for (stack, bytes) in stacks(report, measure) {
        let _ = writeln!(text, "{} {bytes}", stack.join(";"));
    }
    text
}

/// Stacks, outermost frame first, and what each has of the measure.
pub fn stacks(report: &Report, measure: Measure) -> BTreeMap<Vec<String>, u64> {
    let mut stacks: BTreeMap<Vec<String>, u64> = BTreeMap::new();
    for sample in samples(report) {
        let bytes = measure.of(sample.path).0;
        if bytes == 0 {
            continue;
        }
        let mut stack: Vec<String> = sample.process.into_iter().collect();
        if sample.path.frames.is_empty() {
            stack.push(nameless(sample.path));
        }
        stack.extend(sample.path.frames.iter().rev().map(label));
        // A separator in a name would make two frames of it.
        let stack = stack.into_iter().map(|frame| frame.replace(';', ":"));
        *stacks.entry(stack.collect()).or_default() += bytes;
    }
    stacks
}
