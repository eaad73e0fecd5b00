//! The ways in which a run ends well.

use std::process::Stdio;

use nix::sys::signal::Signal;

use crate::harness::{Folder, Lines, Running, Target, Tracer, command};

/// A process that does nothing until its input ends.
fn idle() -> Target {
    Target::start(&mut command("cat"))
}

fn text_after(signal: Signal) -> String {
    let target = idle();
    let tracer = Tracer::plain(&["--pid", &target.pid().to_string()]);
    tracer.wait_until_observed(&[target.pid()]);
    tracer.signal(signal);
    let ended = tracer.finish();
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    ended.stdout.join("\n")
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn an_interrupt_brings_the_summary() {
    let text = text_after(Signal::SIGINT);
    assert!(text.contains("VmSize"), "{text}");
    assert!(!text.contains('\x1b'), "no colours in a pipe: {text}");
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn termination_brings_the_summary() {
    let text = text_after(Signal::SIGTERM);
    assert!(text.contains("VmSize"), "{text}");
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn the_time_that_was_given_ends_it() {
    const GIVEN: u64 = 500_000_000;
    let mut target = idle();
    let pid = target.pid().to_string();
    let account = Tracer::report(&["--duration", "500ms", "--pid", &pid], &[])
        .finish()
        .account();
    let observed = account.number("/observed_ns");
    assert!((GIVEN..GIVEN * 20).contains(&observed), "{observed} ns");
    account.expect_verdict("no-growth");
    assert!(target.end().success(), "it went on undisturbed");
}

/// Ctrl-C on a terminal is for the command too.
#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn an_interrupt_that_ends_the_command_too_brings_the_summary() {
    let folder = Folder::new();
    let mut tracer = Tracer::launch(&[crate::seed::compile(&folder)], &[]);
    let lines = Lines::of(tracer.take_stdout());
    lines.find_text("end: ");
    tracer.signal_group(Signal::SIGINT);
    let account = tracer.finish().account();
    account.check_trust();
    account.expect_verdict("shrank");
}

/// As in `tracer --events … | head -1`.
#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn a_reader_of_events_who_leaves_ends_it() {
    let busy = "while :; do env true; done";
    let target = Target::start(command("sh").args(["-c", busy]));
    let mut tracer = Tracer::plain(&[
        "--events",
        "--format",
        "json",
        "--pid",
        &target.pid().to_string(),
    ]);
    let mut head = {
        // Gone with its end of the pipe, which then is head's alone.
        let mut head = command("head");
        head.arg("-1").stdin(tracer.take_stdout());
        Running::start(head.stdout(Stdio::piped()))
    };
    let lines = Lines::of(head.take_stdout().expect("a pipe, taken once"));
    let event = lines.next().expect("an event");
    let event: serde_json::Value = serde_json::from_str(&event).expect("a line is an object");
    assert_eq!(event["schema"]["name"], "tracer.event", "{event}");
    assert_eq!(lines.next(), None, "head wants no more");
    // The target goes on for ever: only the reader's leave can be the reason.
    let ended = tracer.finish();
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
}
