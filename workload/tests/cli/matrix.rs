//! Every scenario on every allocator, at a small size.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::run::{number, steps, workload};

/// The scenarios and what each does between "start" and "end".
const SCENARIOS: [(&str, &[&str]); 9] = [
    ("seed", &["alloc", "free"]),
    ("touched", &["alloc", "free", "touch"]),
    ("small", &["alloc", "free"]),
    ("fragmented", &["alloc", "free"]),
    ("threads", &["alloc", "free", "join"]),
    ("threshold", &["alloc", "free"]),
    ("realloc", &["alloc", "free", "realloc"]),
    ("pinned-top", &["alloc", "free"]),
    ("decay", &["alloc", "free", "idle", "tick"]),
];

const ALLOCATORS: [&str; 5] = ["system", "jemalloc", "mimalloc", "snmalloc", "rpmalloc"];

fn run(scenario: &str, allocator: &str) -> Vec<Value> {
    steps(&format!(
        "{scenario} --allocator {allocator} --size-mib 8 --idle 0"
    ))
}

/// What was done, without the addresses and figures that differ by allocator.
fn events(steps: &[Value]) -> Vec<(String, i64, i64)> {
    let event = |step| {
        (
            format!("{} {}", number(step, "step"), step["action"]),
            number(step, "blocks"),
            number(step, "bytes"),
        )
    };
    steps.iter().map(event).collect()
}

#[test]
fn every_scenario_does_the_same_on_every_allocator() {
    for (scenario, expected) in SCENARIOS {
        let [first, others @ ..] = ALLOCATORS.map(|allocator| run(scenario, allocator));
        for other in &others {
            assert_eq!(events(&first), events(other), "{scenario}");
        }
        let [start, between @ .., end] = first.as_slice() else {
            panic!("{scenario} has a first and a last step");
        };
        assert_eq!(start["action"], "start");
        assert_eq!(end["action"], "end");
        let actions = between.iter().filter_map(|step| step["action"].as_str());
        let expected = BTreeSet::from_iter(expected.iter().copied());
        assert_eq!(actions.collect::<BTreeSet<_>>(), expected, "{scenario}");
    }
}

#[test]
fn steps_are_numbered_and_say_where_one_block_is() {
    for (scenario, _) in SCENARIOS {
        for (index, step) in run(scenario, "system").iter().enumerate() {
            assert_eq!(number(step, "step"), index as i64);
            assert!(number(step, "vm_size_kb") > number(step, "vm_rss_kb"));
            let address = step["address"].as_str();
            assert_eq!(address.is_some(), number(step, "blocks") == 1, "{step}");
            assert!(address.is_none_or(|text| text.starts_with("0x")), "{step}");
        }
    }
}

#[test]
fn the_first_step_says_who_runs_what() {
    let steps = run("pinned-top", "mimalloc");
    assert_eq!(steps[0]["scenario"], "pinned-top");
    assert_eq!(steps[0]["allocator"], "mimalloc");
    assert!(number(&steps[0], "pid") > 0);
    assert!(steps[1].get("pid").is_none());
}

#[test]
fn text_has_a_heading_and_a_line_per_step() {
    let output = workload("seed --size-mib 8").output().expect("it starts");
    let text = String::from_utf8(output.stdout).expect("the output is UTF-8");
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 1 + run("seed", "system").len());
    assert!(lines[0].starts_with("scenario seed, allocator system, pid "));
    assert!(
        lines[2].contains("  1  alloc    1 MiB at 0x"),
        "{}",
        lines[2]
    );
}
