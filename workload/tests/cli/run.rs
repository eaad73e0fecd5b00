//! Arguments in, the steps that the program printed out.

use std::process::{Command, Stdio};

use serde_json::Value;

/// The program with no environment, so that no setting of the caller changes
/// an allocator.
pub fn workload(arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_workload"));
    command.env_clear().args(arguments.split_whitespace());
    command.stdin(Stdio::null());
    command
}

/// Parses a line of `--format json`.
pub fn parse(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?}"))
}

/// Runs the program to its end and returns its steps.
pub fn steps(arguments: &str) -> Vec<Value> {
    let output = workload(arguments)
        .args(["--format", "json"])
        .output()
        .expect("the program starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments}: {errors}");
    let lines = String::from_utf8(output.stdout).expect("the output is UTF-8");
    lines.lines().map(parse).collect()
}

/// A number in a step.
pub fn number(step: &Value, field: &str) -> i64 {
    step[field]
        .as_i64()
        .unwrap_or_else(|| panic!("{field} is a number in {step}"))
}

/// How far a figure is above the first step, in kB: at its highest and at the
/// end.
pub fn peak_and_end(steps: &[Value], field: &str) -> (i64, i64) {
    let figures = || steps.iter().map(|step| number(step, field));
    let start = figures().next().expect("there is a first step");
    let peak = figures().max().expect("there is a step");
    let end = figures().next_back().expect("there is a last step");
    (peak - start, end - start)
}
