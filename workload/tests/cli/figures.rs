//! What the figures must be, for each cause that a scenario is there to show.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::run::{number, parse, peak_and_end, steps, workload};

/// In kB.
const MIB: i64 = 1024;
const GIB: i64 = 1024 * MIB;

#[test]
fn the_seed_returns_on_the_c_library() {
    let (peak, end) = peak_and_end(&steps("seed"), "vm_size_kb");
    assert!(peak >= GIB, "peak {peak} kB");
    assert!(end.abs() <= MIB, "end {end} kB");
}

#[test]
fn the_seed_stays_on_jemalloc_and_mimalloc() {
    for allocator in ["jemalloc", "mimalloc"] {
        let steps = steps(&format!("seed --allocator {allocator}"));
        let (peak, end) = peak_and_end(&steps, "vm_size_kb");
        assert!(end >= GIB && end == peak, "{allocator}: {peak}, {end} kB");
        // Huge pages may hold some 2 MiB that nobody wrote.
        let (resident, _) = peak_and_end(&steps, "vm_rss_kb");
        assert!(resident < 64 * MIB, "{allocator}: {resident} kB resident");
    }
}

#[test]
fn touched_memory_is_resident() {
    for allocator in ["system", "jemalloc", "mimalloc"] {
        let steps = steps(&format!("touched --size-mib 64 --allocator {allocator}"));
        let (resident, _) = peak_and_end(&steps, "vm_rss_kb");
        assert!(resident >= 63 * MIB, "{allocator}: {resident} kB");
    }
}

#[test]
#[cfg(target_env = "gnu")]
fn glibc_cannot_shrink_below_a_block_on_top() {
    let (_, end) = peak_and_end(&steps("pinned-top --size-mib 64"), "vm_size_kb");
    assert!(end >= 63 * MIB, "pinned-top: {end} kB");
    let (_, end) = peak_and_end(&steps("fragmented --size-mib 64"), "vm_size_kb");
    assert!(end >= 60 * MIB, "fragmented: {end} kB");
    let (_, end) = peak_and_end(&steps("small --size-mib 64"), "vm_size_kb");
    assert!(end <= 16 * MIB, "small: {end} kB");
}

#[test]
#[cfg(target_env = "gnu")]
fn glibc_raises_its_mmap_threshold() {
    let steps = steps("threshold");
    let frees = steps.iter().filter(|step| step["action"] == "free");
    let of_31_mib: Vec<_> = frees
        .filter(|step| number(step, "bytes") == 31 << 20)
        .map(|step| number(step, "vm_size_kb") - number(&steps[0], "vm_size_kb"))
        .collect();
    let [first, second] = of_31_mib[..] else {
        panic!("two sweeps free 31 MiB once each: {of_31_mib:?}");
    };
    // First a mapping of its own, returned; then a part of the heap, kept.
    assert!(second - first >= 14 * MIB, "{first}, {second} kB");
}

#[test]
#[cfg(target_env = "gnu")]
fn only_the_c_library_gives_threads_arenas() {
    let peak = |allocator| {
        let steps = steps(&format!("threads --size-mib 16 --allocator {allocator}"));
        peak_and_end(&steps, "vm_size_kb").0
    };
    // The second to the sixteenth thread would get 64 MiB each, if the machine
    // has at least two processors; the stacks take 128 MiB.
    assert!(peak("jemalloc") < 400 * MIB, "{}", peak("jemalloc"));
    assert!(peak("system") > 400 * MIB, "{}", peak("system"));
}

#[test]
fn the_kernel_tells_others_the_same() {
    let mut child = workload("seed --allocator jemalloc --format json --hold")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let output = BufReader::new(child.stdout.take().expect("the output is a pipe"));
    let lines = output.lines().map(|line| parse(&line.expect("a line")));
    let end = lines.take(18).last().expect("there are eighteen steps");
    assert_eq!(end["action"], "end");
    let status = fs::read_to_string(format!("/proc/{}/status", child.id()));
    let status = status.expect("the process is still there");
    let expected = format!("VmSize:\t{:>8} kB\n", number(&end, "vm_size_kb"));
    assert!(status.contains(&expected), "{expected} in {status}");
    drop(child.stdin.take());
    assert!(child.wait().expect("it ends").success());
}
