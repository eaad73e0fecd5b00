//! What this kernel makes of the probes: whether it takes them, at what cost, and what they see.

use std::{env, path::PathBuf, process::Command};

use crate::harness::{Folder, Tracer, command, fact, tracer_program, workload_program, workspace};

/// How many instructions the kernel's verifier looks at before it gives up
/// (`BPF_COMPLEXITY_LIMIT_INSNS`).
const VERIFIER_LIMIT: u64 = 1_000_000;

/// Compiles what stands before the verifier and makes it tell, or takes it from `VERIFIER_LIB` where there is no
/// compiler.
pub fn verifier_library(folder: &Folder) -> PathBuf {
    if let Some(compiled) = env::var_os("VERIFIER_LIB") {
        return compiled.into();
    }
    let library = folder.join("verifier.so");
    let mut compiler = Command::new("gcc");
    compiler
        .args(["-O2", "-shared", "-fPIC", "-o"])
        .arg(&library);
    compiler.arg(workspace().join("tracer/tests/live/verifier.c"));
    let compiled = compiler.status().expect("gcc is installed");
    assert!(compiled.success(), "{compiler:?}");
    library
}

/// Kernels differ in how much of what they have seen they look at again.
#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn every_program_is_far_below_the_verifiers_limit() {
    let folder = Folder::new();
    let mut command = command(tracer_program());
    command.args(["--quiet", "--", "true"]);
    command.env("LD_PRELOAD", verifier_library(&folder));
    let ended = Tracer::run(command).finish();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let lines = ended.stderr.lines();
    let counts = lines.filter_map(|line| line.strip_prefix("verifier: ")?.split_once(' '));
    let counts: Vec<(&str, u64)> = counts
        // What the loader tries out on the kernel is none of the tracer's.
        .filter(|(name, _)| !name.starts_with("aya_"))
        .map(|(name, count)| (name, count.parse().expect("a number")))
        .collect();
    let largest = counts.iter().max_by_key(|(_, count)| *count);
    let (name, most) = *largest.expect("the tracer has programs");
    assert!(most < VERIFIER_LIMIT / 4, "{counts:?}");
    let by_tracepoints = counts.iter().any(|(name, _)| *name == "sys_exit");
    fact(
        "capture",
        if by_tracepoints {
            "tracepoints"
        } else {
            "trampolines"
        },
    );
    fact("most verified", format!("{most} ({name})"));
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn calls_arrive_and_the_model_keeps_to_the_kernel() {
    let mut program = vec![workload_program().into_os_string()];
    program.extend(["seed", "--allocator", "system", "--idle", "0"].map(Into::into));
    let mut tracer = Tracer::launch(&program, &[]);
    tracer.close_stdin();
    let account = tracer.finish().account();
    account.check_trust();
    account.expect_verdict("shrank");
    let checks = account.number("/reconciliation/checks");
    assert!(checks > 0, "{account}");
    fact("events", account.number("/events/received"));
    fact("checks", checks);
    let [unwound, calls] = ["unwound", "calls"].map(|of| account.number(&format!("/stacks/{of}")));
    fact("stacks", format!("{unwound} of {calls}"));
    assert!(unwound > 0, "{account}");
    let rows = account.list("/growth").iter();
    let mut rows = rows.filter(|row| row["owner"] == "glibc");
    let has_sites = rows.any(|row| row["mapped"].as_u64() >= Some(1 << 30));
    fact("call sites", if has_sites { "yes" } else { "no" });
}
