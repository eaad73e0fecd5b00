//! The heap view: what a program holds by its own books, and by the probes in its allocator.

use std::{
    env,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::harness::{
    Account, Folder, Lines, MIB, Target, Tracer, bpf_programs, bpf_programs_of, command, installed,
    skip, wait_for, workload_on, workload_program, workspace,
};
use crate::probes::verifier_library;

/// The allocators that take malloc's place, where they are installed; "" is the C library's.
const LIBRARIES: [&str; 4] = [
    "",
    "libjemalloc.so.2",
    "libtcmalloc_minimal.so.4",
    "libmimalloc.so.2",
];
const FOLDERS: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
];

/// Compiles the program that keeps books, or takes it from `HEAP_BIN` where there is no compiler.
fn compile(folder: &Folder) -> Option<PathBuf> {
    if let Some(compiled) = env::var_os("HEAP_BIN") {
        return Some(compiled.into());
    }
    if installed("gcc").is_none() {
        skip("no gcc");
        return None;
    }
    let program = folder.join("heap");
    let source = workspace().join("workload/c/heap.c");
    let mut compiler = command("gcc");
    compiler
        .args(["-O2", "-pthread", "-o"])
        .arg(&program)
        .arg(source);
    let compiled = compiler.status().expect("it is installed");
    assert!(compiled.success(), "{compiler:?}");
    fs::set_permissions(&program, Permissions::from_mode(0o755)).expect("own file");
    Some(program)
}

fn is_installed(library: &str) -> bool {
    library.is_empty()
        || FOLDERS
            .iter()
            .any(|folder| Path::new(folder).join(library).exists())
}

/// What the program says that it holds: blocks and bytes, and who said so.
#[derive(Debug, PartialEq, Eq)]
struct Held {
    pid: u32,
    blocks: u64,
    bytes: u64,
}

fn held(lines: &Lines, mode: &str) -> Held {
    lines.find("what it holds", |line| {
        let mut words = line.strip_prefix(mode)?.split_whitespace();
        let pid = words.next()?.parse().ok()?;
        assert_eq!(words.next(), Some("held"));
        let mut number = || words.next()?.parse().ok();
        Some(Held {
            pid,
            blocks: number()?,
            bytes: number()?,
        })
    })
}

/// What the program asked for itself, by the report: blocks and bytes.
fn asked(account: &Account) -> (u64, u64) {
    let own = |place: &&Value| {
        let frame = place["frames"][0].as_str().unwrap_or_default();
        frame.starts_with("ask_")
    };
    let places = account.list("/heap/places").iter().filter(own);
    places.fold((0, 0), |(blocks, bytes), place| {
        let number = |value: &Value| value.as_u64().expect("a number");
        (
            blocks + number(&place["outstanding_blocks"]),
            bytes + number(&place["outstanding"]["bytes"]),
        )
    })
}

/// Runs the program from its start, up to where it tells what it holds.
fn observe(program: &Path, words: &[&str], options: &[&str], library: &str) -> (Held, Account) {
    let mut arguments = vec!["--heap"];
    arguments.extend(options);
    let program = program.to_string_lossy();
    arguments.extend(["--", &program]);
    arguments.extend(words);
    let preloaded = [("LD_PRELOAD", library)];
    let variables = if library.is_empty() {
        &[][..]
    } else {
        &preloaded
    };
    let mut tracer = Tracer::report(&arguments, variables);
    let lines = Lines::of(tracer.take_stdout());
    let held = held(&lines, words[0]);
    let account = tracer.interrupt().account_of(held.pid);
    account.check_trust();
    (held, account)
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn what_threads_hold_is_counted_to_the_byte_with_every_allocator() {
    let folder = Folder::new();
    let Some(program) = compile(&folder) else {
        return;
    };
    for library in LIBRARIES {
        if !is_installed(library) {
            skip(&format!("no {library}"));
            continue;
        }
        let (held, account) = observe(&program, &["threads", "3000"], &[], library);
        assert_eq!(
            asked(&account),
            (held.blocks, held.bytes),
            "{library} {account}"
        );
        assert!(account.flag("/heap/complete"), "{library} {account}");
    }
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn a_call_within_another_does_not_count() {
    let folder = Folder::new();
    let Some(program) = compile(&folder) else {
        return;
    };
    let (held, account) = observe(&program, &["cache"], &[], "");
    assert_eq!((held.blocks, held.bytes), (1, 4000));
    assert_eq!(asked(&account), (1, 4000), "{account}");
    assert_eq!(account.number("/heap/totals/allocated"), 4097, "{account}");
    assert_eq!(account.number("/heap/totals/freed"), 4096, "{account}");
    assert_eq!(account.number("/heap/totals/unmatched"), 0, "{account}");
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn static_allocators_are_probed_by_their_symbols() {
    let linked = ["system", "jemalloc", "mimalloc"].map(|name| (Some(workload_program()), name));
    let replaced = ["tcmalloc", "hardened"].map(|malloc| (workload_on(malloc), "system"));
    for (program, allocator) in linked.into_iter().chain(replaced) {
        let Some(program) = program else {
            skip("a workload on another malloc was not built");
            continue;
        };
        let program = program.to_string_lossy();
        let mut tracer = Tracer::report(
            &[
                "--heap",
                "--",
                &program,
                "fragmented",
                "--size-mib",
                "8",
                "--format",
                "json",
                "--allocator",
                allocator,
                "--hold",
            ],
            &[],
        );
        let lines = Lines::of(tracer.take_stdout());
        let amount = |action: &str| {
            lines.find(action, |line| {
                let step: Value = serde_json::from_str(line).ok()?;
                (step["action"] == action).then(|| {
                    let number = |name: &str| step[name].as_u64().expect("a number");
                    (number("blocks"), number("bytes"))
                })
            })
        };
        let (got, back) = (amount("alloc"), amount("free"));
        let account = tracer.interrupt().account();
        let expected = (got.0 - back.0, got.1 - back.1);
        // The table of the blocks, 8 bytes for each, was asked for at the same place if the compiler
        // made one function of both. What else it holds it asked for elsewhere.
        let with_table = (expected.0 + 1, expected.1 + 8 * got.0);
        let found = account.list("/heap/places").iter().any(|place| {
            [expected, with_table].iter().any(|(blocks, bytes)| {
                place["outstanding_blocks"] == *blocks && place["outstanding"]["bytes"] == *bytes
            })
        });
        assert!(found, "{expected:?} {account}");
        assert!(account.flag("/heap/complete"), "{account}");
    }
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn a_sample_tells_its_error() {
    let folder = Folder::new();
    let Some(program) = compile(&folder) else {
        return;
    };
    let options = ["--heap-sample", "64k"];
    let (held, account) = observe(&program, &["mix", "20000"], &options, "");
    assert_eq!(account.text("/heap/method"), "sampled", "{account}");
    let bytes = account.number("/heap/outstanding/bytes");
    let error = account.number("/heap/outstanding/error");
    assert!(error > 0 && error < held.bytes / 4, "{error} {account}");
    // More than five errors off is one run in a million.
    assert!(
        bytes.abs_diff(held.bytes) <= 5 * error,
        "{bytes} ± {error}, {held:?} {account}"
    );
    assert!(account.number("/heap/totals/untracked") > 0, "{account}");
    assert!(!account.flag("/heap/complete"), "{account}");
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn small_blocks_can_be_left_out() {
    let folder = Folder::new();
    let Some(program) = compile(&folder) else {
        return;
    };
    let (_, account) = observe(&program, &["leak"], &["--heap-min", "4001"], "");
    assert_eq!(asked(&account), (0, 0), "{account}");
    assert_eq!(account.number("/heap/totals/untracked"), 4097, "{account}");
    assert_eq!(
        account.number("/heap/totals/untracked_bytes"),
        4097 * 4000,
        "{account}"
    );
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn what_does_not_fit_the_table_is_counted() {
    let folder = Folder::new();
    let Some(program) = compile(&folder) else {
        return;
    };
    let (_, account) = observe(&program, &["leak"], &["--heap-blocks", "1000"], "");
    let lost = account.number("/heap/totals/lost");
    assert!(lost > 0, "{account}");
    let tracked = account.number("/heap/outstanding_blocks");
    assert_eq!(tracked + lost, 4097, "{account}");
    assert_eq!(
        account.number("/heap/totals/lost_bytes"),
        lost * 4000,
        "{account}"
    );
    assert!(!account.flag("/heap/complete"), "{account}");
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn children_are_followed_and_what_was_missed_is_said() {
    let folder = Folder::new();
    let Some(program) = compile(&folder) else {
        return;
    };
    let program = program.to_string_lossy();
    let mut tracer = Tracer::report(&["--heap", "--", &program, "fork", "5000"], &[]);
    let lines = Lines::of(tracer.take_stdout());
    let child = held(&lines, "mix");
    tracer.close_stdin();
    let parent = held(&lines, "fork");
    let ended = tracer.finish();
    let account = ended.account_of(parent.pid);
    assert_eq!(asked(&account), (parent.blocks, parent.bytes), "{account}");
    let account = ended.account_of(child.pid);
    let (blocks, bytes) = asked(&account);
    assert!(bytes <= child.bytes, "{child:?} {account}");
    // Its probes came before its program, or the report says that they were late, or that it was
    // gone before they came.
    if account.flag("/heap/complete") {
        assert_eq!((blocks, bytes), (child.blocks, child.bytes), "{account}");
    } else if !account.list("/heap/files").is_empty() {
        assert!(account.number("/heap/late_ns") > 0, "{account}");
    }
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn of_a_running_program_what_is_older_is_unknown() {
    let mut program = command(workload_program());
    program.args(["fragmented", "--size-mib", "8", "--wait-start", "--hold"]);
    program.args(["--format", "json", "--allocator", "jemalloc"]);
    let mut target = Target::start(&mut program);
    target.lines.find_text("\"start\"");
    let pid = target.pid().to_string();
    let tracer = Tracer::report(&["--heap", "--pid", &pid], &[]);
    tracer.wait_until_observed(&[target.pid()]);
    target.go();
    let back = target.lines.find("end of it", |line| {
        let step: Value = serde_json::from_str(line).ok()?;
        (step["action"] == "free").then(|| step["bytes"].as_u64().expect("a number"))
    });
    let account = tracer.interrupt().account();
    assert!(account.number("/heap/late_ns") > 0, "{account}");
    assert!(!account.flag("/heap/complete"), "{account}");
    assert!(
        account.number("/heap/totals/freed_bytes") >= back,
        "{back} {account}"
    );
    assert!(target.end().success(), "it went on undisturbed");
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn a_recording_has_the_heap_view_too() {
    let folder = Folder::new();
    let Some(program) = compile(&folder) else {
        return;
    };
    let (recording, live) = (folder.join("run.trace"), folder.join("live.json"));
    let [recording_path, live_path] = [&recording, &live].map(|path| path.to_string_lossy());
    let mut tracer = Tracer::plain(&[
        "--quiet",
        "--heap",
        "--format",
        "json",
        "--output",
        &live_path,
        "--record",
        &recording_path,
        "--",
        &program.to_string_lossy(),
        "fork",
        "2000",
    ]);
    tracer.close_stdin();
    let ended = tracer.finish();
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let replayed = folder.join("replayed.json");
    let ended = Tracer::plain(&[
        "report",
        "--quiet",
        &recording_path,
        "--format",
        "json",
        "--output",
        &replayed.to_string_lossy(),
    ])
    .finish();
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let [live, replayed] = [live, replayed].map(|path| fs::read_to_string(path).expect("written"));
    assert!(live.contains("\"heap\""), "{live}");
    assert!(live == replayed, "{live}\nthe recording gives {replayed}");
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn where_the_kernel_refuses_it_all_else_is_traced() {
    let folder = Folder::new();
    if installed("gcc").is_none() && env::var_os("VERIFIER_LIB").is_none() {
        return skip("no gcc");
    }
    let refusing = verifier_library(&folder);
    let workload = workload_program();
    let [refusing, workload] = [&refusing, &workload].map(|path| path.to_string_lossy());
    let mut tracer = Tracer::report(
        &[
            "--heap",
            "--",
            &workload,
            "seed",
            "--allocator",
            "system",
            "--idle",
            "0",
        ],
        &[("LD_PRELOAD", &refusing), ("VERIFIER_REFUSES", "heap_")],
    );
    tracer.close_stdin();
    let account = tracer.finish().account();
    account.check_trust();
    account.expect_verdict("shrank");
    assert!(account.list("/growth").len() > 1, "{account}");
    let mut notes = account.list("/notes").iter().filter_map(Value::as_str);
    assert!(
        notes.any(|note| note.contains("refuses the programs of the heap view")),
        "{account}"
    );
    assert!(account.is_absent("/heap"), "{account}");
    let unwound = account.number("/stacks/unwound");
    assert!(unwound > 0, "nothing else was left out: {account}");
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn a_killed_tracer_leaves_no_probe_in_an_allocator() {
    let mut target = Target::start(&mut command("cat"));
    let tracer = Tracer::plain(&["--quiet", "--heap", "--pid", &target.pid().to_string()]);
    tracer.wait_until_observed(&[target.pid()]);
    let held = bpf_programs_of(tracer.pid());
    assert!(held.len() >= 13, "it has programs in the kernel: {held:?}");
    tracer.signal(Signal::SIGKILL);
    tracer.finish();
    wait_for("the programs to go", || {
        held.is_disjoint(&bpf_programs()).then_some(())
    });
    assert!(target.end().success(), "it went on undisturbed");
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn a_leak_and_a_cache_of_the_same_size_are_told_apart() {
    let folder = Folder::new();
    let Some(program) = compile(&folder) else {
        return;
    };
    let (held, account) = observe(&program, &["leak"], &[], "");
    assert_eq!(account.ledger("glibc", "live"), held.bytes, "{account}");
    assert_eq!(account.ledger("glibc", "live-or-cached"), 0, "{account}");
    account.expect_verdict("held-by-program");
    // What a walk through glibc's heap finds free below a chunk in use says more.
    let (held, account) = observe(&program, &["cache"], &[], "");
    assert_eq!(account.ledger("glibc", "live"), held.bytes, "{account}");
    let cached = account.ledger("glibc", "cached");
    assert!(cached > 15 * MIB && cached < 18 * MIB, "{account}");
    account.expect_verdict("heap-top-pinned or cached-by-allocator");

    let jemalloc = LIBRARIES[1];
    if !is_installed(jemalloc) {
        return skip("no jemalloc");
    }
    let (held, account) = observe(&program, &["leak"], &[], jemalloc);
    assert!(
        account.ledger("jemalloc", "live") >= held.bytes,
        "{account}"
    );
    account.expect_verdict("held-by-program or mixed");
    let (_, account) = observe(&program, &["cache"], &[], jemalloc);
    assert!(account.ledger("jemalloc", "live") < MIB, "{account}");
    assert_eq!(account.ledger("jemalloc", "live-or-cached"), 0, "{account}");
    account.expect_verdict("cached-by-allocator or retained-by-allocator");
}
