//! What the tracer costs is said, and bounded where bounds are set.

use std::{thread, time::Duration};

use crate::harness::{
    Target, Tracer, calls_kept_of, command, fact, is_target, wait_for, workload_program,
};

/// Longer than the tracer has the kernel measure its programs, which costs more than they do.
const MEASURES_ITSELF: Duration = Duration::from_millis(500);

/// Processor time and memory in every report, and what the probes took where the kernel tells.
#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn every_report_says_what_it_cost() {
    let mut program = command(workload_program());
    program.args(["calls", "--gusts", "20000"]);
    let mut target = Target::start(&mut program);
    target.lines.find_text("ready");
    let tracer = Tracer::attach(&[target.pid()]);
    target.go();
    target.lines.find_text("made");
    let ended = tracer.interrupt();
    let account = ended.account();
    assert!(account.number("/own_cost/cpu_ns") > 0);
    assert!(account.number("/own_cost/elapsed_ns") > 0);
    let (rss, peak) = ("/own_cost/rss", "/own_cost/peak_rss");
    assert!(account.number(peak) >= account.number(rss) / 2);
    fact(
        "peak RSS of tracing one process, KiB",
        account.number(peak) >> 10,
    );
    if account.has("/own_cost/probes/runs") {
        let runs = account.number("/own_cost/probes/runs");
        assert!(runs > 0 && account.number("/own_cost/probes/run_time_ns") > 0);
        // A moment only, however long the run.
        let measured = account.number("/own_cost/probes/measured_ns");
        assert!(measured >= 250_000_000, "{measured}");
    } else {
        fact("the kernel's statistics of programs", "not to be had");
    }
    assert!(!account.has("/sampling"), "no bound was set");
}

/// A storm beyond the bound is not observed all the time, and the model ends right all the same.
#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn events_beyond_the_bound_are_left_out_and_told_of() {
    let mut program = command(workload_program());
    program.args(["storm", "--threads", "2", "--wait-start"]);
    let mut target = Target::start(&mut program);
    target.lines.find_text("ready");
    let pid = target.pid().to_string();
    let bound = ["--max-events-per-second", "2000", "--pid", &pid];
    let tracer = Tracer::report(&bound, &[]);
    tracer.wait_until_observed(&[target.pid()]);
    target.go();
    target.lines.find_text("start");
    // Paused, its process is no target.
    wait_for("a pause", || (!is_target(target.pid())).then_some(()));
    target.go();
    target.lines.find_text("end");
    let ended = tracer.interrupt();
    let account = ended.account();
    assert_eq!(account.number("/sampling/max_events_per_second"), 2000);
    assert!(account.number("/sampling/pauses") > 0, "{account}");
    assert!(account.number("/sampling/paused_ns") > 0, "{account}");
    assert!(!account.list("/unobserved").is_empty(), "{account}");
    assert_eq!(account.drift(), 0, "{account}");
    assert_ne!(account.text("/verdict/confidence"), "high", "{account}");
}

/// Threads that end while their process is no target take no room for calls any more.
#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn threads_that_end_unobserved_are_forgotten() {
    let mut program = command(workload_program());
    program.args(["storm", "--threads", "4", "--wait-start"]);
    let mut target = Target::start(&mut program);
    target.lines.find_text("ready");
    let pid = target.pid();
    // It goes on when the other one has ended.
    let sleeper = Target::start(command("sleep").arg("1000"));
    let pids = format!("{pid},{}", sleeper.pid());
    let tracer = Tracer::report(&["--max-events-per-second", "2000", "--pid", &pids], &[]);
    tracer.wait_until_observed(&[pid, sleeper.pid()]);
    target.go();
    target.lines.find_text("start");
    wait_for("a pause", || (!is_target(pid)).then_some(()));
    assert!(calls_kept_of(pid) > 0);
    drop(target);
    wait_for("its calls to be forgotten", || {
        (calls_kept_of(pid) == 0).then_some(())
    });
    tracer.interrupt();
}

/// The least that a call took of several times many.
fn best(pacer: &mut Target, call: &str) -> f64 {
    const TIMES: u32 = 30;
    const CALLS: u32 = 2000;
    let times = (0..TIMES).map(|_| {
        pacer.say(&format!("{call} {CALLS}"));
        let answer = pacer.lines.next().expect("an answer");
        let nanos = answer
            .rsplit(' ')
            .next()
            .and_then(|nanos| nanos.parse().ok());
        nanos.unwrap_or_else(|| panic!("{answer}"))
    });
    times.fold(f64::MAX, f64::min) / f64::from(CALLS)
}

/// Calls of others leave no event, however they are captured. What they cost is told, as it differs
/// between kernels: `cargo xtask bench` measures it where the kernel permits.
#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn calls_of_others_leave_no_trace() {
    let mut pacer = Target::start(command(workload_program()).arg("pace"));
    pacer.lines.find_text("ready");
    let sleeper = Target::start(command("sleep").arg("1000"));
    for capture in ["tracepoints", "trampolines"] {
        let pid = sleeper.pid().to_string();
        let bare = ["getppid", "pair"].map(|call| best(&mut pacer, call));
        let tracer = Tracer::report(&["--capture", capture, "--pid", &pid], &[]);
        if !tracer.begins_with(sleeper.pid()) {
            let said = tracer.finish().stderr;
            assert!(said.contains("refuses trampolines"), "{said}");
            fact("cost for others, trampolines", "refused here");
            continue;
        }
        tracer.wait_until_observed(&[sleeper.pid()]);
        thread::sleep(MEASURES_ITSELF);
        let observed = ["getppid", "pair"].map(|call| best(&mut pacer, call));
        let account = tracer.interrupt().account();
        assert_eq!(account.number("/events/received"), 0, "{account}");
        let [getppid, pair] = [0, 1].map(|index| observed[index] / bare[index]);
        fact(
            &format!("cost for others, {capture}"),
            format!("getppid x{getppid:.2}, mmap and munmap x{pair:.2}"),
        );
    }
}
