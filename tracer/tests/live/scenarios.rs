//! Every scenario of the workload on every allocator: attached to while it waits to start,
//! compared while it waits to end.

use crate::harness::{Stopped, Target, Tracer, command, vm_size, workload_program};

/// Runs one scenario; `size` is in MiB. The verdict must be `expected`.
fn check(scenario: &str, allocator: &str, size: u32, expected: &str) {
    let mut program = command(workload_program());
    program.args([
        scenario,
        "--allocator",
        allocator,
        "--size-mib",
        &size.to_string(),
    ]);
    program.args(["--idle", "0", "--wait-start", "--hold", "--format", "json"]);
    let mut target = Target::start(&mut program);
    target.lines.find_text("\"start\"");
    let before = vm_size(target.pid());
    let tracer = Tracer::attach(target.pid());

    target.go();
    target.lines.find_text("\"end\"");
    let stopped = Stopped::new(target.pid());
    let picture = stopped.picture();
    let account = tracer.interrupt().account();
    drop(stopped);

    account.check_against(&picture);
    assert_eq!(account.number("/vm_size/at_attach"), before, "{account}");
    assert_eq!(account.text("/ending"), "still-running");
    account.expect_verdict(expected);
    assert!(target.end().success(), "it went on undisturbed");
}

macro_rules! scenarios {
    ($($name:ident $scenario:literal $size:literal: $system:literal $jemalloc:literal $mimalloc:literal,)*) => {
        $(mod $name {
            #[test]
            #[ignore = "loads probes into the kernel: needs root"]
            fn system() {
                super::check($scenario, "system", $size, $system);
            }

            #[test]
            #[ignore = "loads probes into the kernel: needs root"]
            fn jemalloc() {
                super::check($scenario, "jemalloc", $size, $jemalloc);
            }

            #[test]
            #[ignore = "loads probes into the kernel: needs root"]
            fn mimalloc() {
                super::check($scenario, "mimalloc", $size, $mimalloc);
            }
        })*
    };
}

scenarios! {
    // scenario, MiB:               system             jemalloc                 mimalloc
    seed       "seed"       1024:   "shrank"           "retained-by-allocator"  "not-released",
    touched    "touched"     256:   "shrank"           "retained-by-allocator"  "not-released",
    small      "small"       128:   "shrank"           "not-released"           "not-released",
    fragmented "fragmented"  128:   "heap-top-pinned"  "not-released"           "not-released",
    threads    "threads"     256:   "arena-reserve"    "retained-by-allocator"  "not-released",
    threshold  "threshold"    33:   "not-released"     "retained-by-allocator"  "not-released",
    realloc    "realloc"     256:   "shrank"           "retained-by-allocator"  "not-released",
    pinned_top "pinned-top"  128:   "heap-top-pinned"  "not-released"           "not-released",
    decay      "decay"       128:   "shrank"           "not-released"           "not-released",
}
