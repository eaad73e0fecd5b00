//! What this kernel makes of the probes: whether it takes them, at what cost, and what they see.

use crate::harness::{
    Target, Tracer, bpf_programs_of, command, fact, program_sizes, workload_program,
};

/// How many instructions the kernel's verifier looks at before it gives up
/// (`BPF_COMPLEXITY_LIMIT_INSNS`).
const VERIFIER_LIMIT: u32 = 1_000_000;

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn every_program_is_far_below_the_verifiers_limit() {
    let mut target = Target::start(&mut command("cat"));
    let tracer = Tracer::attach(&[target.pid()]);
    let held = bpf_programs_of(tracer.pid());
    let sizes = program_sizes(&held);
    assert_eq!(sizes.len(), held.len(), "each has been asked");
    fact("programs", sizes.len());
    let largest = sizes.iter().max_by_key(|size| size.verified);
    let largest = largest.expect("it has programs");
    match largest.verified {
        Some(count) => {
            assert!(count < VERIFIER_LIMIT / 2, "{sizes:?}");
            fact("verified at most", format!("{count} ({})", largest.name));
        }
        None => fact("verified at most", "not told before 5.16"),
    }
    tracer.interrupt().account();
    assert!(target.end().success(), "it went on undisturbed");
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
}
