//! What each allocator asked of the kernel: call counts of two reports in, one table out. Pure.

use std::collections::BTreeSet;

use super::amount;
use super::experiment::Run;
use super::page::Paint;
use super::report::Call;
use super::table::{Align, Table};

/// The calls worth explaining, in the order of the story.
const MEANINGS: [(&str, &str); 9] = [
    ("mmap", "takes address space: VmSize rises"),
    ("munmap", "gives address space back: VmSize falls"),
    ("brk", "moves the end of the heap, up or down"),
    ("madvise", "can give pages back; keeps the addresses"),
    ("process_madvise", "the same, for another process"),
    ("mremap", "moves or resizes a mapping"),
    ("mprotect", "changes access; VmSize stays"),
    ("execve", "begins a new address space"),
    ("prctl", "can name a mapping; VmSize stays"),
];

/// One row per call either run made.
pub fn render(runs: &[Run; 2], paint: Paint) -> String {
    use Align::{Left, Right};
    let mut table = Table::new(&[
        ("call", Left),
        ("calls", Right),
        ("bytes", Right),
        ("calls", Right),
        ("bytes", Right),
        ("what it does", Left),
    ]);
    let names: BTreeSet<(usize, &str)> = runs
        .iter()
        .flat_map(|run| &run.process.events.by_call)
        .filter(|(_, call)| call.calls != Some(0))
        .map(|(name, _)| (rank(name), name.as_str()))
        .collect();
    for (rank, name) in names {
        let halves = runs
            .iter()
            .flat_map(|run| half(run.process.events.by_call.get(name)));
        let meaning = MEANINGS.get(rank).map_or("", |(_, meaning)| meaning);
        let cells = [name.to_owned()].into_iter().chain(halves);
        table.row(cells.chain([meaning.to_owned()]));
    }
    table.render(paint, &[("", 1), (runs[0].label, 2), (runs[1].label, 2)])
}

fn rank(name: &str) -> usize {
    let known = MEANINGS.iter().position(|(known, _)| *known == name);
    known.unwrap_or(MEANINGS.len())
}

/// A call that is not listed was not made.
fn half(call: Option<&Call>) -> [String; 2] {
    let Some(call) = call else {
        return ["0".to_owned(), String::new()];
    };
    let mut calls = amount::count(call.calls);
    if let Some(failed) = call.failed.filter(|failed| *failed > 0) {
        calls = format!("{calls} ({failed} failed)");
    }
    [calls, amount::short(call.bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_and_gaps_show() {
        let call = Call {
            calls: Some(9),
            failed: Some(1),
            bytes: None,
        };
        assert_eq!(half(Some(&call)), ["9 (1 failed)", "?"]);
        assert_eq!(half(None), ["0", ""]);
        assert!(rank("mmap") < rank("munmap"));
        assert_eq!(rank("userfaultfd"), MEANINGS.len());
    }
}
