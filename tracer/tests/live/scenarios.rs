//! Every scenario of the workload on every allocator: attached to while it waits to start,
//! compared with the kernel while it waits to end.
//!
//! One tracer watches all three allocators at once, each in a process of its own: attaching and
//! detaching take most of a test's time.

use crate::harness::{Account, Stopped, Target, Tracer, command, vm_size, workload_program};

const ALLOCATORS: [&str; 3] = ["system", "jemalloc", "mimalloc"];

/// Runs one scenario on each allocator and asserts their verdicts; `size` is in MiB.
fn check(scenario: &str, size: u32, verdicts: [&str; 3]) {
    let mut targets = ALLOCATORS.map(|allocator| start(scenario, allocator, size));
    let before = targets.each_ref().map(|target| vm_size(target.pid()));
    let tracer = Tracer::attach(&targets.each_ref().map(Target::pid));

    targets.iter_mut().for_each(Target::go);
    for target in &targets {
        target.lines.find_text("\"end\"");
    }
    let stopped = targets.each_ref().map(|target| Stopped::new(target.pid()));
    let pictures = stopped.each_ref().map(Stopped::picture);
    let ended = tracer.interrupt();
    drop(stopped);

    let pids: Vec<u32> = ended
        .accounts()
        .iter()
        .map(|account| account.pid())
        .collect();
    assert_eq!(
        pids,
        targets.each_ref().map(Target::pid),
        "each once, in the order given"
    );
    for (index, mut target) in targets.into_iter().enumerate() {
        let account = ended.account_of(target.pid());
        account.check_against(&pictures[index]);
        assert_eq!(
            account.number("/vm_size/at_attach"),
            before[index],
            "{account}"
        );
        assert_eq!(account.text("/ending"), "still-running", "{account}");
        account.expect_verdict(verdicts[index]);
        check_retained(&account, ALLOCATORS[index]);
        check_owners(&account, ALLOCATORS[index]);
        assert!(target.end().success(), "it went on undisturbed");
    }
}

/// Asserts that an allocator is said to retain memory exactly if it gave back, or never used, at
/// least half of what it kept.
fn check_retained(account: &Account, allocator: &str) {
    let owner = owner(allocator);
    let states = ["released-but-retained", "lazily-freed", "over-mapped"];
    let unused: u64 = states
        .iter()
        .map(|state| account.ledger(owner, state))
        .sum();
    let kept = account.number("/vm_size/at_end") - account.number("/vm_size/at_attach");
    match account.verdict() {
        "retained-by-allocator" => assert!(2 * unused >= kept, "{unused} of {kept} {account}"),
        "not-released" => assert!(2 * unused < kept, "{unused} of {kept} {account}"),
        _ => {}
    }
}

/// Asserts that all new memory is the allocator's, or for threads' stacks.
fn check_owners(account: &Account, allocator: &str) {
    for row in account.list("/growth") {
        let is_expected = row["owner"] == owner(allocator) || row["owner"] == "stacks";
        assert!(is_expected || row["mapped"] == 0, "{row} {account}");
    }
}

/// What the tracer calls it.
fn owner(allocator: &str) -> &str {
    match allocator {
        "system" => "glibc",
        allocator => allocator,
    }
}

fn start(scenario: &str, allocator: &str, size: u32) -> Target {
    let mut program = command(workload_program());
    program.args([
        scenario,
        "--allocator",
        allocator,
        "--size-mib",
        &size.to_string(),
    ]);
    program.args(["--idle", "0", "--wait-start", "--hold", "--format", "json"]);
    let target = Target::start(&mut program);
    target.lines.find_text("\"start\"");
    target
}

macro_rules! scenarios {
    ($($test:ident $scenario:literal $size:literal $system:literal $jemalloc:literal $mimalloc:literal)*) => {
        $(
            #[test]
            #[ignore = "loads probes into the kernel: needs root"]
            fn $test() {
                check($scenario, $size, [$system, $jemalloc, $mimalloc]);
            }
        )*
    };
}

// In words: glibc unmaps large blocks, keeps a heap below what lies on its top, keeps arenas of
// threads, and a top below its threshold for trimming, which `threshold` raises. jemalloc gives
// large blocks back at once and others over ten seconds. mimalloc reserves a GiB at a time and
// gives back a little later, when it is called again. Where two verdicts are given it depends on the
// speed of the machine whether either came to that; `check_retained` holds the verdict to the figures.
scenarios! {
    //                        MiB  system             jemalloc                 mimalloc
    seed        "seed"       1024  "shrank"           "retained-by-allocator"  "not-released"
    touched     "touched"     256  "shrank"           "retained-by-allocator"  "not-released"
    small       "small"       128  "shrank"           "not-released"           "not-released"
    fragmented  "fragmented"  128  "heap-top-pinned"  "not-released"           "not-released"
    threads     "threads"     256  "arena-reserve"    "retained-by-allocator or not-released"  "not-released"
    threshold   "threshold"    33  "not-released"     "retained-by-allocator"  "not-released or retained-by-allocator"
    realloc     "realloc"     256  "shrank"           "retained-by-allocator"  "not-released or retained-by-allocator"
    pinned_top  "pinned-top"  128  "heap-top-pinned"  "not-released"           "not-released"
    decay       "decay"       128  "shrank"           "not-released or retained-by-allocator"  "not-released"
}
