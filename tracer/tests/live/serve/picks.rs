//! A daemon that traces whom it picks: what was given back and kept is exported, within bounds.

use super::Daemon;
use crate::harness::{MIB, Target, command, wait_for, workload_program};

/// A program with jemalloc in it that waits before it maps and frees.
fn waiting() -> Target {
    let mut program = command(workload_program());
    program.args(["seed", "--allocator", "jemalloc", "--size-mib", "256"]);
    program.args(["--format", "json", "--wait-start", "--hold"]);
    let target = Target::start(&mut program);
    target.lines.find_text("\"start\"");
    target
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn what_picked_processes_keep_is_exported() {
    let mut target = waiting();
    let words = ["--max-cpu", "100", "--comm", "workload", "--min-size", "0"];
    let daemon = Daemon::start(&[&words[..], &["--picks", "1"]].concat());
    wait_for("it to be traced", || {
        (daemon.sample("tracer_coverage_processes{state=\"traced\"}") > 0.0).then_some(())
    });
    target.go();
    target.lines.find_text("\"end\"");
    let least = (256 * MIB) as f64;
    let pid = target.pid();
    for sample in [
        format!("tracer_process_retained_bytes{{pid=\"{pid}\",comm=\"workload\"}}"),
        "tracer_allocator_retained_bytes{allocator=\"jemalloc\"}".to_owned(),
        "tracer_host_retained_bytes".to_owned(),
    ] {
        wait_for("what it keeps to be exported", || {
            let value = super::value(&daemon.metrics(), &sample)?;
            (value >= least).then_some(())
        });
    }
    assert!(daemon.sample("tracer_traced_events_total") > 0.0);
    assert!(daemon.sample("tracer_picks_total") >= 1.0);
    let tracing = &daemon.json("/status")["tracing"];
    assert!(tracing["events"].as_u64() > Some(0), "{tracing}");
    daemon.end();
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn nobody_is_traced_unless_asked_for() {
    let target = waiting();
    let daemon = Daemon::start(&["--max-cpu", "100", "--comm", "workload", "--min-size", "0"]);
    daemon.wait_for_news();
    let pid = target.pid();
    let metrics = daemon.metrics();
    assert!(metrics.contains(&format!("pid=\"{pid}\"")));
    assert_eq!(
        super::value(&metrics, "tracer_coverage_processes{state=\"traced\"}"),
        Some(0.0)
    );
    for absent in ["tracer_picks_total ", "tracer_process_retained_bytes{"] {
        assert!(!metrics.contains(absent), "{absent}");
    }
    daemon.end();
}
