//! Runs that are recorded: the recording gives the report that the run gave, whatever ends it.

use std::{fs, path::Path};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{
    harness::{Ended, Folder, Lines, Target, Tracer, command, wait_for, workload_program},
    seed,
};

/// The summary of a recording, and how `tracer report` ended.
fn explain(recording: &Path) -> Ended {
    let path = recording.to_string_lossy();
    Tracer::plain(&["report", "--format", "json", &path]).finish()
}

/// The only process of a summary, or else the first.
fn first(ended: &Ended) -> Value {
    let report = json(ended);
    report.pointer("/processes/0").cloned().unwrap_or(report)
}

fn json(ended: &Ended) -> Value {
    let text = ended.stdout.join("\n");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Asserts that a recording gives the same bytes as the run gave.
fn compare(live: &Path, recording: &Path) {
    let replayed = live.with_extension("replayed");
    let ended = Tracer::plain(&[
        "report",
        &recording.to_string_lossy(),
        "--format",
        "json",
        "--output",
        &replayed.to_string_lossy(),
    ])
    .finish();
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let [live, replayed] = [live, &replayed].map(|path| fs::read_to_string(path).expect("written"));
    assert!(live.contains("tracer.report"), "{live}");
    assert!(live == replayed, "{live}\nthe recording gives {replayed}");
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn a_recording_gives_the_very_report_of_the_run() {
    let folder = Folder::new();
    let (recording, live) = (folder.join("run.trace"), folder.join("live.json"));
    for allocator in ["system", "jemalloc"] {
        let mut tracer = Tracer::plain(&[
            "--quiet",
            "--format",
            "json",
            "--output",
            &live.to_string_lossy(),
            "--record",
            &recording.to_string_lossy(),
            "--",
            &workload_program().to_string_lossy(),
            "seed",
            "--allocator",
            allocator,
        ]);
        tracer.close_stdin();
        let ended = tracer.finish();
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
        compare(&live, &recording);
    }
}

/// The end of a run that is interrupted asks most of the host: a map, what is in memory, the
/// heap.
#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn a_recording_of_processes_that_run_on_gives_the_very_report() {
    let folder = Folder::new();
    let (recording, live) = (folder.join("run.trace"), folder.join("live.json"));
    let busy = "while :; do env true; done";
    let target = Target::start(command("sh").args(["-c", busy]));
    let tracer = Tracer::plain(&[
        "--quiet",
        "--duration",
        "2s",
        "--format",
        "json",
        "--output",
        &live.to_string_lossy(),
        "--record",
        &recording.to_string_lossy(),
        "--pid",
        &target.pid().to_string(),
    ]);
    let ended = tracer.finish();
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    compare(&live, &recording);
    let live = fs::read_to_string(&live).expect("the run's summary");
    assert!(live.contains("\"still-running\""), "{live}");
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn recording_alone_tells_in_a_line_what_it_has() {
    let folder = Folder::new();
    let recording = folder.join("run.trace");
    let mut tracer = Tracer::plain(&[
        "record",
        "-o",
        &recording.to_string_lossy(),
        "--",
        &workload_program().to_string_lossy(),
        "seed",
        "--allocator",
        "jemalloc",
    ]);
    tracer.close_stdin();
    let ended = tracer.finish();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    assert!(
        ended.stderr.starts_with("tracer: recorded "),
        "{}",
        ended.stderr
    );
    let process = first(&explain(&recording));
    assert_eq!(
        process["verdict"]["code"], "retained-by-allocator",
        "{process}"
    );
    let received = process["events"]["received"].as_u64().expect("a number");
    assert!(
        ended.stderr.contains(&format!("{received} events")),
        "{}",
        ended.stderr
    );
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn what_was_recorded_survives_the_death_of_the_tracer() {
    let folder = Folder::new();
    let recording = folder.join("run.trace");
    let program = seed::compile(&folder);
    let mut tracer = Tracer::plain(&[
        "record",
        "--output",
        &recording.to_string_lossy(),
        "--",
        &program.to_string_lossy(),
    ]);
    let lines = Lines::of(tracer.take_stdout());
    lines.find_text("end: ");
    // It writes once in a while, and all that there is when it does.
    let size = || fs::metadata(&recording).map_or(0, |file| file.len());
    let before = size();
    wait_for("the recording to grow twice", || {
        (size() > before + 500).then_some(())
    });
    tracer.signal(Signal::SIGKILL);
    assert_eq!(tracer.finish().code, None, "killed");

    let ended = explain(&recording);
    assert_eq!(ended.code, Some(6), "{}", ended.stderr);
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("is cut short"), "{}", ended.stderr);
    let process = first(&ended);
    assert_eq!(process["verdict"]["code"], "shrank", "{process}");
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn at_its_limit_a_recording_ends_and_the_run_does_not() {
    let folder = Folder::new();
    let recording = folder.join("run.trace");
    let busy = "while :; do env true; done";
    let target = Target::start(command("sh").args(["-c", busy]));
    let account = Tracer::report(
        &[
            "--duration",
            "3s",
            "--record-size",
            "1",
            "--record",
            &recording.to_string_lossy(),
            "--pid",
            &target.pid().to_string(),
        ],
        &[],
    )
    .finish()
    .account_of(target.pid());
    let size = fs::metadata(&recording).expect("a recording").len();
    assert!((1 << 19..=1 << 20).contains(&size), "{size}");
    let ended = explain(&recording);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let report = json(&ended);
    let notes = report["notes"].to_string();
    assert!(notes.contains("reached its limit of 1.00 MiB"), "{notes}");
    let observed = first(&ended)["observed_ns"].as_u64();
    assert!(
        observed < Some(account.number("/observed_ns")),
        "{observed:?}"
    );
}

/// Without privileges, and in one sentence each.
#[test]
#[ignore = "runs with the others of its kind"]
fn what_is_no_sound_recording_is_told_with_a_code() {
    let folder = Folder::new();
    let stored = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings");
    let sound = fs::read(stored.join("seed-glibc.trace")).expect("a recording");
    let refused = |bytes: &[u8], code, sentence: &str| {
        let path = folder.join("run.trace");
        fs::write(&path, bytes).expect("own folder");
        let ended = explain(&path);
        assert_eq!(ended.code, Some(code), "{}", ended.stderr);
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
        assert!(ended.stderr.contains(sentence), "{}", ended.stderr);
        ended
    };
    refused(b"#!/bin/sh\n", 7, "it is no recording");
    let mut newer = sound.clone();
    newer[8] = 200;
    refused(&newer, 7, "a recording of format 200");
    let cut = refused(&sound[..sound.len() - 1], 6, "is cut short after");
    assert_eq!(first(&cut)["verdict"]["code"], "shrank");
    let mut flipped = sound.clone();
    let near_end = flipped.len() - 3000;
    flipped[near_end] ^= 1;
    let flipped = refused(&flipped, 6, "is damaged behind byte");
    assert!(first(&flipped)["verdict"]["code"].is_string());
    let missing = folder.join("nothing.trace");
    let ended = explain(&missing);
    assert_eq!(ended.code, Some(7), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("there is no file"),
        "{}",
        ended.stderr
    );
}
