//! Settings and limits of real processes, and what is made of them.

use std::process::Command;

use crate::harness::{
    Account, Lines, Stopped, Target, Tracer, command, fact, skip, workload_on, workload_program,
};

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

/// The limit on mappings, unless it is too high to come near to.
fn limit_on_mappings() -> Option<u64> {
    const MOST: u64 = 100_000;
    let limit = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap_or_default();
    let limit = limit.trim().parse().ok().filter(|limit| *limit <= MOST);
    if limit.is_none() {
        skip("vm.max_map_count is too high to come near to");
    }
    limit
}

/// Three quarters of the mappings come from one place of the program, which is named.
#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn who_splits_mappings_is_named() {
    let Some(limit) = limit_on_mappings() else {
        return;
    };
    let count = (limit * 3 / 4).to_string();
    let program = workload_program();
    let program = program.to_str().expect("a plain path");
    let mut tracer = Tracer::launch(&[program, "mappings", "--count", &count], &[]);
    let lines = Lines::of(tracer.take_stdout());
    lines.next().expect("it says when it has them");
    let account = tracer.interrupt().account();
    account.check_trust();
    let finding = account.finding("many-mappings").expect("three quarters");
    let facts = finding["evidence"].as_array().expect("facts").iter();
    let split = facts
        .filter_map(|fact| fact.as_str())
        .find_map(|fact| fact.strip_prefix("split since the beginning: "))
        .unwrap_or_else(|| panic!("{account}"));
    let (times, rest) = split.split_once(" times by ").expect("a number");
    let times: u64 = times.replace(',', "").parse().expect("a number");
    // The first page of all splits its mapping once, each of the others twice.
    assert!(times + 100 > limit * 3 / 4, "{split}");
    assert!(rest.starts_with("mprotect in "), "{split}");
    assert!(rest.contains("scatter"), "{split}");
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn many_mappings_come_near_the_limit_of_the_kernel() {
    let Some(limit) = limit_on_mappings() else {
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

/// hardened_malloc has an inaccessible slab behind each of its slabs, so some hundred MiB of small
/// blocks are near the limit.
#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn an_allocator_that_splits_all_it_has_is_named() {
    const MAPPINGS_OF_A_MIB: u64 = 84;
    let (Some(limit), Some(program)) = (limit_on_mappings(), workload_on("hardened")) else {
        skip("no workload on hardened_malloc, or no limit that is near");
        return;
    };
    let size = limit * 3 / 4 / MAPPINGS_OF_A_MIB;
    let mut program = command(program);
    program.args(["small", "--size-mib", &size.to_string(), "--sleep", "2"]);
    program.args(["--format", "json"]);
    let target = Target::start(&mut program);
    target.lines.find_text("\"start\"");
    target.lines.find_text("\"alloc\"");
    let stopped = Stopped::new(target.pid());
    let tracer = Tracer::attach(&[target.pid()]);
    let account = tracer.interrupt().account();
    drop(stopped);
    let many = account.finding("many-mappings");
    let many = many.unwrap_or_else(|| panic!("{size} MiB: {account}"));
    assert_eq!(many["owner"], "hardened_malloc", "{account}");
    let remedy = many["remedy"].as_str().expect("a text");
    assert!(remedy.contains("light configuration"), "{account}");
    fact(
        "mappings of hardened_malloc",
        format!(
            "{} of {limit} for {size} MiB",
            account.list("/mappings").len()
        ),
    );
}
