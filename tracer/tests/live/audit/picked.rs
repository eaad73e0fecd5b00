//! Processes that an audit traces: judged by what their calls did.

use serde_json::Value;

use super::{Audit, allocators, number, row};
use crate::harness::{MIB, Target, command, workload_program};

fn waiting(scenario: &str, allocator: &str) -> Target {
    let mut program = command(workload_program());
    program.args([scenario, "--allocator", allocator, "--size-mib", "256"]);
    program.args(["--wait-start", "--hold", "--format", "json"]);
    let target = Target::start(&mut program);
    target.lines.find_text("\"start\"");
    target
}

fn judged_by_events(audit: &Value, pid: u32) -> Option<&Value> {
    row(audit, pid).filter(|row| row["basis"] == "events")
}

/// Asked for by its id, so picked at once: what it gives back and keeps is known.
#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn a_process_that_is_asked_for_is_traced() {
    let mut target = waiting("seed", "jemalloc");
    let pid = target.pid();
    let audit = Audit::tracing(&["--explain", &pid.to_string(), "--max-cpu", "100"]);
    let begun = audit.wait_for("it to be traced", |audit| {
        judged_by_events(audit, pid).cloned()
    });
    assert_eq!(begun["retained"], 0, "{begun}");
    target.go();
    target.lines.find_text("\"end\"");
    let row = audit.wait_for("it to be known what it keeps", |audit| {
        let row = judged_by_events(audit, pid)?;
        (number(&row["retained"]) >= 256 * MIB).then(|| row.clone())
    });
    assert!(allocators(&row).contains(&"jemalloc"), "{row}");
    assert_eq!(row["reason"], "retained-after-purge", "{row}");
    assert_eq!(row["confidence"], "high", "{row}");
    assert!(number(&row["purged"]) >= 256 * MIB, "{row}");
    let advice = row["advice"].as_str().expect("text");
    assert!(advice.contains("retain:false"), "{row}");
    audit.end();
}

/// Nobody asked for it: it grew.
#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn a_process_that_grows_is_traced() {
    let mut program = command(workload_program());
    program.args(["small", "--size-mib", "256", "--wait-start", "--hold"]);
    // Long enough after each step for the audit to look.
    program.args(["--sleep", "3", "--format", "json"]);
    let mut target = Target::start(&mut program);
    target.lines.find_text("\"start\"");
    let audit = Audit::tracing(&["--pick-growth", "64M", "--picks", "16", "--max-cpu", "100"]);
    assert!(judged_by_events(&audit.next(), target.pid()).is_none());
    target.go();
    let row = audit.wait_for("it to be traced", |audit| {
        judged_by_events(audit, target.pid()).cloned()
    });
    assert!(
        row["growth"].as_i64().is_some_and(|growth| growth != 0),
        "{row}"
    );
    audit.end();
}

/// The table of who is traced keeps to its bound.
#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn no_more_are_traced_than_was_said() {
    let targets = [(); 4].map(|()| waiting("seed", "system"));
    let bounds = ["--comm", "workload", "--min-size", "0", "--picks", "2"];
    let audit = Audit::tracing(&bounds);
    let traced = audit.wait_for("two to be traced", |audit| {
        let traced = number(&audit["coverage"]["traced"]);
        (traced >= 2).then_some(traced)
    });
    assert_eq!(traced, 2);
    audit.end();
    let none = Audit::tracing(&["--comm", "workload", "--min-size", "0", "--picks", "0"]);
    none.next();
    assert_eq!(none.next()["coverage"]["traced"], 0);
    none.end();
    drop(targets);
}
