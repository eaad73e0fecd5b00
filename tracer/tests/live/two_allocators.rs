//! Two allocators at work in one process: each byte is charged to the one that mapped it. What they
//! say of themselves is the witness.

use serde_json::Value;

use crate::{
    adversarial::compile,
    harness::{Folder, Target, Tracer, command, fact, preloadable, skip},
};

const JEMALLOC: &str = "libjemalloc.so.2";

/// A figure of one of them.
fn figure(line: &Value, allocator: &str, name: &str) -> i64 {
    let figure = line[allocator][name].as_i64();
    figure.unwrap_or_else(|| panic!("no {allocator}.{name} in {line}"))
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn are_told_apart_to_the_byte() {
    let folder = Folder::new();
    let Some(program) = compile(&folder, "both").filter(|_| preloadable(JEMALLOC)) else {
        skip("no gcc, or no libjemalloc");
        return;
    };
    let mut target = Target::start(command(&program).env("LD_PRELOAD", JEMALLOC));
    let next = |target: &Target| -> Value {
        let line = target.lines.next().expect("a line");
        serde_json::from_str(&line).expect("it is JSON")
    };
    let start = next(&target);
    let tracer = Tracer::attach(&[target.pid()]);
    target.go();
    let end = next(&target);
    let account = tracer.interrupt().account();
    account.check_trust();

    let grown = |allocator, names: &[&str]| -> i64 {
        let change = |name: &&str| figure(&end, allocator, name) - figure(&start, allocator, name);
        names.iter().map(change).sum()
    };
    // Address space of jemalloc is what it has mapped and what it retains, of glibc the heap and
    // the chunks with mappings of their own.
    let jemalloc = grown("jemalloc", &["mapped", "retained"]);
    let glibc = grown("glibc", &["arena", "hblkhd"]);
    let told = [account.net_growth("jemalloc"), account.net_growth("glibc")];
    fact(
        "two allocators",
        format!(
            "jemalloc {jemalloc}, told {}; glibc {glibc}, told {}",
            told[0], told[1]
        ),
    );
    assert!(jemalloc > 0 && glibc > 0, "{start} {end}");
    assert_eq!(told, [jemalloc, glibc], "{account}");
}
