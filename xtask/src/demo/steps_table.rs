//! VmSize after every step of both runs, by the workload's own reading. Pure.

use super::amount::{Bytes, change, unknown};
use super::experiment::Run;
use super::page::Paint;
use super::table::{Align, Table};
use super::witness::Step;

/// How long the longest bar is.
const BAR: usize = 16;

/// The table, with a bar beside each size so that the shape shows.
pub fn render(runs: &[Run; 2], paint: Paint) -> String {
    use Align::{Left, Right};
    let mut table = Table::new(&[
        ("", Right),
        ("step", Left),
        ("VmSize, MiB", Right),
        ("change", Right),
        ("", Left),
        ("VmSize, MiB", Right),
        ("change", Right),
        ("", Left),
    ]);
    let sizes = runs.iter().flat_map(|run| &run.steps);
    let largest = sizes.filter_map(Step::vm_size).max().unwrap_or(Bytes(0));
    let length = runs.iter().map(|run| run.steps.len()).max();
    for at in 0..length.unwrap_or_default() {
        let named = runs.iter().find_map(|run| run.steps.get(at));
        let head = named.map_or_else(Default::default, |step| {
            [step.step.to_string(), step.label()]
        });
        let cells = runs.iter().flat_map(|run| half(&run.steps, at, largest));
        table.row(head.into_iter().chain(cells));
    }
    table.render(paint, &[("", 2), (runs[0].label, 3), (runs[1].label, 3)])
}

fn half(steps: &[Step], at: usize, largest: Bytes) -> [String; 3] {
    let size = steps.get(at).and_then(Step::vm_size);
    let before = at.checked_sub(1).and_then(|at| steps.get(at)?.vm_size());
    let moved = match at {
        0 => String::new(),
        _ => change(before, size),
    };
    match size {
        Some(size) => [size.mib(), moved, bar(size, largest)],
        None => [unknown(), moved, String::new()],
    }
}

/// Eighths of a cell, as a share of the largest.
fn bar(size: Bytes, largest: Bytes) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let full = BAR as u128 * 8;
    let share = u128::from(size.0) * full / u128::from(largest.0.max(1));
    let share = usize::try_from(share.min(full)).unwrap_or_default();
    format!("{}{}", "█".repeat(share / 8), EIGHTHS[share % 8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_shares_of_the_largest() {
        let largest = Bytes(16 << 20);
        assert_eq!(bar(largest, largest).chars().count(), BAR);
        assert_eq!(bar(Bytes(1 << 20), largest), "█");
        assert_eq!(bar(Bytes(1 << 19), largest), "▌");
        assert_eq!(bar(Bytes(0), Bytes(0)), "");
    }
}
