//! Settings and limits of real processes, and what is made of them.

use std::process::Command;

use crate::harness::{Account, Target, Tracer, command, fact, skip, workload_program};

const GIB: u64 = 1 << 30;

fn workload(scenario: &str, size: u32) -> Command {
    let mut program = command(workload_program());
    program.args([scenario, "--allocator", "jemalloc"]);
    program.args(["--size-mib", &size.to_string(), "--format", "json"]);
    program.args(["--idle", "0", "--wait-start", "--hold"]);
    program
}

/// The setting of this name in a report: its value and its source.
fn setting<'a>(account: &'a Account, name: &str) -> Option<(&'a str, &'a str)> {
    let mut settings = account.list("/settings").iter();
    let found = settings.find(|setting| setting["name"] == name)?;
    Some((found["value"].as_str()?, found["source"].as_str()?))
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn are_read_and_used() {
    let mut never = workload("small", 16);
    never.env("_RJEM_MALLOC_CONF", "dirty_decay_ms:-1");
    // Five eighths more than the blocks: what jemalloc maps beyond them comes near.
    let mut limited = command("sh");
    let kib = (GIB + GIB * 5 / 8) >> 10;
    let words = format!(
        "ulimit -v {kib}; exec {} seed --allocator jemalloc --size-mib 1024 --format json \
         --wait-start --hold",
        workload_program().display()
    );
    limited.args(["-c", &words]);
    let mut targets = [&mut never, &mut limited].map(Target::start);
    for target in &targets {
        target.lines.find_text("\"start\"");
    }
    let tracer = Tracer::attach(&targets.each_ref().map(Target::pid));
    targets.iter_mut().for_each(Target::go);
    for target in &targets {
        target.lines.find_text("\"end\"");
    }
    let ended = tracer.interrupt();
    let [never, limited] = targets
        .each_ref()
        .map(|target| ended.account_of(target.pid()));

    assert!(never.finds("purge-disabled"), "{never}");
    assert_eq!(
        setting(&never, "opt.dirty_decay_ms"),
        Some(("-1", "environment: _RJEM_MALLOC_CONF")),
        "{never}"
    );
    let (_, source) = setting(&never, "opt.retain").expect("by default");
    assert_eq!(source, "default of jemalloc 5", "{never}");
    assert!(setting(&never, "RLIMIT_AS").is_none(), "{never}");
    assert!(setting(&never, "vm.overcommit_memory").is_some(), "{never}");

    let limit = (kib << 10).to_string();
    let expected = Some((limit.as_str(), "/proc/<pid>/limits"));
    assert_eq!(setting(&limited, "RLIMIT_AS"), expected, "{limited}");
    let risk = limited.finding("limit-at-risk").expect("it comes near");
    let summary = risk["summary"].as_str().expect("a sentence");
    assert!(summary.starts_with("RLIMIT_AS"), "{limited}");
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn many_mappings_come_near_the_limit_of_the_kernel() {
    const MOST: u64 = 100_000;
    let limit = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap_or_default();
    let Some(limit) = limit
        .trim()
        .parse::<u64>()
        .ok()
        .filter(|limit| *limit <= MOST)
    else {
        skip("vm.max_map_count is too high to come near to");
        return;
    };
    let mut program = command(workload_program());
    program.args(["mappings", "--count", &(limit * 3 / 4).to_string()]);
    let target = Target::start(&mut program);
    target.lines.next().expect("it says when it has them");
    let tracer = Tracer::attach(&[target.pid()]);
    let account = tracer.interrupt().account();
    fact(
        "mappings",
        format!("{} of {limit}", account.list("/mappings").len()),
    );
    assert!(account.finds("many-mappings"), "{account}");
}
