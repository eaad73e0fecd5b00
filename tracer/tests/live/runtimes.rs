//! Runtimes that manage memory themselves: what each takes must be charged to it by its own name,
//! and what it gives back be told as it is.
//!
//! Each program takes 256 MiB in blocks of 1 MiB, writes to them, and drops them if it is told to.
//! Launched under the tracer, it is seen what the runtime reserves at its start; attached to, what
//! becomes of the blocks.

use std::{ffi::OsString, fs, process::Command};

use crate::harness::{
    Account, Folder, Lines, MIB, Target, Tracer, command, compiled_java, fact, installed, skip,
};

const GO: &str = r#"
package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
)

var kept [][]byte

func wait(for_what string) {
	fmt.Println(for_what)
	os.Stdin.Read(make([]byte, 1))
}

func take() {
	for i := 0; i < 256; i++ {
		block := make([]byte, 1<<20)
		for at := 0; at < len(block); at += 4096 {
			block[at] = 1
		}
		kept = append(kept, block)
	}
}

func main() {
	if os.Args[2] == "wait" {
		wait("ready")
	}
	take()
	switch os.Args[1] {
	case "collect":
		kept = nil
		runtime.GC()
	case "free":
		kept = nil
		debug.FreeOSMemory()
	}
	wait("done")
}
"#;

const JAVA: &str = r#"
import java.util.*;

public class Turnover {
    static List<byte[]> kept = new ArrayList<>();

    public static void main(String[] arguments) throws Exception {
        for (int i = 0; i < 256; i++) {
            byte[] block = new byte[1 << 20];
            Arrays.fill(block, (byte) 1);
            kept.add(block);
        }
        kept = null;
        System.gc();
        // G1 gives back bit by bit, in a thread of its own.
        Thread.sleep(2000);
        System.out.println("done");
        System.in.read();
    }
}
"#;

/// Blocks of V8's own heap; buffers would be the C library's.
const NODE: &str = r#"
const fs = require("fs");
const wait = (what) => {
    fs.writeSync(1, what + "\n");
    fs.readSync(0, Buffer.alloc(1));
};
if (process.argv[2] == "wait") wait("ready");
let kept = [];
for (let i = 0; i < 256; i++) kept.push(new Array(131072).fill(i + 0.5));
if (process.argv[1] == "collect") {
    kept = null;
    global.gc();
    // Threads of V8's unmap what it collected.
    setTimeout(() => wait("done"), 1000);
} else {
    wait("done");
}
"#;

/// Runs a program under the tracer from its start until it says that it is done.
fn launched(words: &[OsString]) -> Account {
    let mut tracer = Tracer::launch(words, &[]);
    let lines = Lines::of(tracer.take_stdout());
    lines.find_text("done");
    tracer.interrupt().account()
}

/// Attaches to a program before it takes memory. Its threads have no arenas of the C library's, which
/// would reserve more than it takes.
fn attached(words: &[OsString]) -> Account {
    let mut program = command(&words[0]);
    program.args(&words[1..]).env("MALLOC_ARENA_MAX", "1");
    let mut target = Target::start(&mut program);
    target.lines.find_text("ready");
    let tracer = Tracer::attach(&[target.pid()]);
    target.go();
    target.lines.find_text("done");
    tracer.interrupt().account()
}

/// Asserts that most of what was mapped is the runtime's, none another allocator's (but for the C
/// library's where the runtime is written in C++ and uses that too), and the verdict.
fn check(name: &str, account: &Account, runtime: &str, others: &[&str], verdict: &str) {
    const NO_ALLOCATORS: [&str; 6] = [
        "application",
        "files",
        "stacks",
        "loader",
        "kernel",
        "unknown",
    ];
    account.check_trust();
    let mut own = 0;
    let mut all = 0;
    for row in account.list("/growth") {
        let owner = row["owner"].as_str().expect("a name");
        let mapped = row["mapped"].as_u64().expect("a size");
        let is_expected =
            owner == runtime || others.contains(&owner) || NO_ALLOCATORS.contains(&owner);
        assert!(is_expected, "{name}: {row} {account}");
        all += mapped;
        if owner == runtime {
            own += mapped;
        }
    }
    fact(
        name,
        format!(
            "{} MiB of {} MiB mapped are {runtime}'s; {}: {}",
            own / MIB,
            all / MIB,
            account.verdict(),
            account.text("/verdict/summary"),
        ),
    );
    assert!(2 * own > all, "{name}: {own} of {all} {account}");
    account.expect_verdict(verdict);
}

fn compile_go(folder: &Folder) -> Option<OsString> {
    let go = installed("go")?;
    let source = folder.join("turnover.go");
    fs::write(&source, GO).expect("own folder");
    let program = folder.join("turnover");
    let mut compiler = Command::new(go);
    compiler.args(["build", "-o"]).arg(&program).arg(&source);
    compiler.env("GOCACHE", folder.join("cache"));
    compiler
        .env("GO111MODULE", "off")
        .current_dir(folder.path());
    assert!(compiler.status().expect("go starts").success());
    Some(program.into())
}

/// What is reserved for the heap and its maps is the larger part of a small program; what is given
/// back stays mapped.
#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn go_collects_and_scavenges() {
    let folder = Folder::new();
    let Some(program) = compile_go(&folder) else {
        skip("no go");
        return;
    };
    let words = |mode: &str, wait: &str| [program.clone(), mode.into(), wait.into()];
    let account = launched(&words("collect", ""));
    check("go", &account, "go", &[], "not-released");
    assert!(account.finds("reserved-address-space"), "{account}");
    for (mode, verdict) in [
        ("keep", "not-released"),
        // Its scavenger gives back a little by itself meanwhile.
        ("collect", "not-released"),
        ("free", "retained-by-allocator"),
    ] {
        let account = attached(&words(mode, "wait"));
        check(&format!("go, {mode}"), &account, "go", &[], verdict);
        let given_back = account.ledger("go", "released-but-retained");
        if mode == "free" {
            assert!(given_back >= 250 * MIB, "{given_back} {account}");
        } else {
            assert!(given_back < 128 * MIB, "{given_back} {account}");
        }
    }
}

/// G1 gives back by mapping inaccessible memory, the serial collector keeps its heap. Threads of the
/// machine have arenas of the C library's.
#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn java_collects() {
    let folder = Folder::new();
    let Some(java) = compiled_java(&folder, "Turnover", JAVA) else {
        return;
    };
    for (collector, verdict) in [("G1", "mixed or not-released"), ("Serial", "not-released")] {
        let words = [
            java.clone().into(),
            format!("-XX:+Use{collector}GC").into(),
            "-Xmx1g".into(),
            "-cp".into(),
            folder.path().into(),
            "Turnover".into(),
        ];
        let account = launched(&words);
        let name = format!("java, {collector}");
        check(&name, &account, "jvm", &["glibc"], verdict);
        let overlaid = account.finding("decommitted-by-overlay");
        let overlaid = overlaid.map_or(0, |finding| finding["bytes"].as_u64().expect("a size"));
        if collector == "G1" {
            assert!(overlaid > 128 * MIB, "{overlaid} {account}");
        } else {
            assert_eq!(overlaid, 0, "{account}");
        }
    }
}

/// What it collects it unmaps; its cage stays.
#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn node_keeps_and_collects() {
    let Some(node) = installed("node") else {
        skip("no node");
        return;
    };
    let words = |mode: &str, wait: &str| {
        let words = ["--expose-gc", "-e", NODE, mode, wait];
        let mut all: Vec<OsString> = vec![node.clone().into()];
        all.extend(words.iter().filter(|word| !word.is_empty()).map(Into::into));
        all
    };
    let account = launched(&words("keep", ""));
    check("node", &account, "v8", &["glibc"], "not-released");
    assert!(account.finds("reserved-address-space"), "{account}");
    for (mode, verdict, kept) in [
        ("keep", "not-released", 256..400),
        // What is left is about a tenth.
        ("collect", "shrank or not-released", 0..64),
    ] {
        let account = attached(&words(mode, "wait"));
        check(
            &format!("node, {mode}"),
            &account,
            "v8",
            &["glibc"],
            verdict,
        );
        let net = account.net_growth("v8") / MIB.cast_signed();
        assert!(kept.contains(&net), "{net} MiB {account}");
    }
}
