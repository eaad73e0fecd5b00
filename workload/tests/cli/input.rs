//! Waiting for an observer.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use crate::run::{parse, steps, workload};

#[test]
fn each_wait_takes_one_line() {
    let mut child = workload("seed --size-mib 8 --format json --wait-start --hold")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut input = child.stdin.take().expect("the input is a pipe");
    let output = BufReader::new(child.stdout.take().expect("the output is a pipe"));
    let mut lines = output.lines().map(|line| parse(&line.expect("a line")));
    let mut action = move || lines.next().map(|step| step["action"].clone());

    assert_eq!(action().expect("a first line"), "start");
    input.write_all(b"go\n").expect("the program reads");
    while action().expect("a line before the end") != "end" {}
    thread::sleep(Duration::from_millis(100));
    assert!(child.try_wait().expect("it can be waited for").is_none());
    input.write_all(b"\n").expect("the program reads");
    assert!(child.wait().expect("it ends").success());
    assert_eq!(action(), None);
}

#[test]
fn nothing_is_allocated_before_the_line() {
    let mut child = workload("seed --size-mib 8 --format json --wait-start")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    thread::sleep(Duration::from_millis(200));
    child.kill().expect("it is still waiting");
    let output = child.wait_with_output().expect("it ends");
    let text = String::from_utf8(output.stdout).expect("the output is UTF-8");
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn the_end_of_input_is_enough() {
    let steps = steps("seed --size-mib 8 --wait-start --hold");
    assert_eq!(steps.len(), 18);
}

#[test]
fn it_sleeps_when_asked() {
    let begun = Instant::now();
    steps("decay --size-mib 1 --sleep 0.05 --idle 0.2 --start-delay 0.1");
    // Five steps before the end.
    assert!(begun.elapsed() >= Duration::from_millis(5 * 50 + 200 + 100));
}
