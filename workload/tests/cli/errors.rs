//! Mistakes and refusals: exit codes and messages.

use std::fs::File;
use std::process::{Command, Output, Stdio};

use crate::run::workload;

fn refused(output: &Output, code: i32, message: &str) {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{errors}");
    assert!(errors.contains(message), "{message:?} in {errors:?}");
}

/// Runs a scenario with a limit, in kB, on address space.
fn limited(limit: &str, scenario: &str, allocator: &str) -> Output {
    Command::new("sh")
        .args(["-c", r#"ulimit -v "$1"; exec "$0" "$2" --allocator "$3""#])
        .args([env!("CARGO_BIN_EXE_workload"), limit, scenario, allocator])
        .output()
        .expect("a shell starts")
}

#[test]
fn wrong_arguments_are_explained() {
    for (arguments, message) in [
        ("", "<SCENARIO>"),
        ("nothing", "possible values: seed, touched"),
        ("seed --allocator tcmalloc", "system, jemalloc, mimalloc"),
        ("seed --size-mib 0", "1..=1048576"),
        ("seed --sleep soon", "give a number of seconds"),
    ] {
        let output = workload(arguments).output().expect("it starts");
        refused(&output, 2, message);
    }
}

#[test]
fn a_refused_allocation_is_an_error_with_the_way_out() {
    for allocator in ["system", "jemalloc", "mimalloc"] {
        let output = limited("100000", "seed", allocator);
        let message = format!("workload: cannot allocate 128 MiB with {allocator}: lower");
        refused(&output, 1, &message);
    }
}

#[test]
fn a_thread_that_cannot_allocate_does_not_block_the_others() {
    for allocator in ["system", "jemalloc", "mimalloc"] {
        let output = limited("300000", "threads", allocator);
        let message = format!("with {allocator}: lower --size-mib");
        refused(&output, 1, &message);
    }
}

#[test]
fn a_closed_pipe_is_no_failure_but_a_full_disk_is() {
    let mut child = workload("seed --size-mib 8 --start-delay 0.1")
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    drop(child.stdout.take());
    assert!(child.wait().expect("it ends").success());

    let full = File::options().write(true).open("/dev/full");
    let output = workload("seed --size-mib 8")
        .stdout(full.expect("/dev/full can be opened"))
        .output()
        .expect("it starts");
    refused(&output, 1, "cannot write to standard output");
}
