//! Memory that was there before the attach: whose it is shows when it is taken or given back.

use crate::harness::{
    Account, MIB, Stopped, Target, Tracer, command, installed, preload, preloadable, skip,
    workload_program,
};

/// In eight blocks, all there before the attach and freed after it.
const BYTES: u64 = 256 * MIB;

/// What an owner unmapped and gave back.
fn returned(account: &Account, owner: &str) -> (u64, u64) {
    let mut rows = account.list("/growth").iter();
    let row = rows.find(|row| row["owner"] == owner);
    let figure = |name: &str| row.and_then(|row| row[name].as_u64()).unwrap_or(0);
    (figure("unmapped"), figure("given_back"))
}

fn is_about_all(bytes: u64) -> bool {
    bytes.abs_diff(BYTES) <= BYTES / 100
}

/// Attaches to the program when it has all its blocks, and lets it free them.
fn observe(library: Option<&str>) -> Account {
    let mut program = command(workload_program());
    program.args(["seed", "--size-mib", &(BYTES / MIB).to_string()]);
    program.args(["--sleep", "0.4", "--format", "json", "--hold"]);
    if let Some(library) = library.and_then(preload) {
        program.env("LD_PRELOAD", library);
    }
    let target = Target::start(&mut program);
    target.lines.find_text("\"step\":8,");
    let stopped = Stopped::new(target.pid());
    let tracer = Tracer::attach(&[target.pid()]);
    drop(stopped);
    target.lines.find_text("\"action\":\"end\"");
    tracer.interrupt().account()
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn what_glibc_unmaps_was_its_own() {
    let account = observe(None);
    account.check_trust();
    let (unmapped, given_back) = returned(&account, "glibc");
    assert!(is_about_all(unmapped) && given_back == 0, "{account}");
    assert_eq!(returned(&account, "unknown"), (0, 0), "{account}");
    account.expect_verdict("no-growth");
    let summary = account.text("/verdict/summary");
    assert!(summary.contains("glibc's malloc returned"), "{account}");
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn what_jemalloc_gives_back_was_its_own() {
    const LIBRARY: &str = "libjemalloc.so.2";
    if !preloadable(LIBRARY) {
        return skip("jemalloc is not installed");
    }
    let account = observe(Some(LIBRARY));
    account.check_trust();
    let (unmapped, given_back) = returned(&account, "jemalloc");
    assert!(unmapped == 0 && is_about_all(given_back), "{account}");
    assert_eq!(returned(&account, "unknown"), (0, 0), "{account}");
}

/// Sixteen threads that end after the attach: their stacks are taken and given back by the C library.
const THREADS: &str = "
import sys, threading
over = threading.Event()
threads = [threading.Thread(target=over.wait) for _ in range(16)]
for thread in threads: thread.start()
print('ready', flush=True)
sys.stdin.readline()
over.set()
for thread in threads: thread.join()
print('end', flush=True)
sys.stdin.readline()
";

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn stacks_of_threads_were_not_mallocs() {
    const STACK: u64 = 8 * MIB;
    if installed("python3").is_none() {
        return skip("python3 is not installed");
    }
    let mut target = Target::start(command("python3").args(["-c", THREADS]));
    target.lines.find_text("ready");
    let tracer = Tracer::attach(&[target.pid()]);
    target.go();
    target.lines.find_text("end");
    let account = tracer.interrupt().account();
    account.check_trust();
    assert_eq!(returned(&account, "glibc"), (0, 0), "{account}");
    let (unmapped, given_back) = ["stacks", "unknown"]
        .map(|owner| returned(&account, owner))
        .into_iter()
        .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    assert!(unmapped >= 8 * STACK, "{account}");
    assert!(given_back >= 8 * STACK, "{account}");
    assert!(account.ledger("stacks", "stack") >= 4 * STACK, "{account}");
}
