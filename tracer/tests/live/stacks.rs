//! Whole stacks of callers, on a stock system: no frame pointers, stripped libraries.

mod debug_info;
mod runtimes;
mod signals;

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::harness::{
    Account, Folder, Lines, Target, Tracer, command, fact, installed, skip, workspace,
};

/// Maps and unmaps, and keeps one mapping of each of two callers, in a function for each.
const MAPS: &str = r#"
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
static void *map(size_t bytes) { return mmap(0, bytes, 3, 0x22, -1, 0); }
__attribute__((noinline)) void *keep_own_pool(void) { return map(7 << 20); }
__attribute__((noinline)) void turn_over(void) { munmap(map(1 << 20), 1 << 20); }
__attribute__((noinline)) void give_pages_back(void *p) { madvise(p, 3 << 20, MADV_DONTNEED); }
int main(int argc, char **argv)
{
    setvbuf(stdout, 0, _IONBF, 0);
    setvbuf(stdin, 0, _IONBF, 0);
    if (argc > 2) sleep(1);
    for (int round = 0; round < atoi(argv[1]); round++) {
        if (round == 1) { printf("ready\n"); getchar(); }
        void *pool = keep_own_pool();
        for (int i = 0; i < 200; i++) turn_over();
        give_pages_back(pool);
    }
    printf("done\n");
    if (argc > 2) sleep(1);
    return 0;
}
"#;

fn compile(folder: &Folder, name: &str, compiler: &str, source: &str) -> Option<PathBuf> {
    compile_with(folder, name, compiler, source, &[])
}

fn compile_with(
    folder: &Folder,
    name: &str,
    compiler: &str,
    source: &str,
    options: &[&str],
) -> Option<PathBuf> {
    let Some(compiler) = installed(compiler) else {
        skip(&format!("no {compiler}"));
        return None;
    };
    let extension = if compiler.ends_with("g++") { "cc" } else { "c" };
    let path = folder.join(&format!("{name}.{extension}"));
    fs::write(&path, source).expect("own folder");
    let program = folder.join(name);
    let mut command = Command::new(compiler);
    // A call in the end of a function would leave no frame of it.
    command.args([
        "-g",
        "-O2",
        "-fomit-frame-pointer",
        "-fno-optimize-sibling-calls",
    ]);
    command.args(options).args(["-pthread", "-o"]);
    command.arg(&program).arg(&path);
    assert!(command.status().expect("it is installed").success());
    Some(program)
}

fn paths(account: &Account) -> &[Value] {
    account.list("/call_paths")
}

/// Whether some path has a function.
fn names(account: &Account, function: &str) -> bool {
    let frames = |path: &Value| path["frames"].as_array().cloned().unwrap_or_default();
    let named = |frame: &Value| {
        frame["function"]
            .as_str()
            .is_some_and(|name| name.contains(function))
    };
    paths(account)
        .iter()
        .any(|path| frames(path).iter().any(named))
}

/// Whether a path goes through a function that has a line in a source.
fn goes_through(path: &Value, function: &str) -> bool {
    let frames = path["frames"].as_array().expect("frames");
    frames.iter().any(|frame| {
        frame["function"]
            .as_str()
            .is_some_and(|name| name.contains(function))
            && frame["line"].is_u64()
    })
}

fn sum(paths: &[Value], function: &str, field: &str) -> u64 {
    let through = paths.iter().filter(|path| goes_through(path, function));
    through.filter_map(|path| path[field].as_u64()).sum()
}

/// Tells the share of complete stacks.
fn tell(program: &str, account: &Account) {
    let calls = account.number("/stacks/calls");
    let (unwound, complete) = (
        account.number("/stacks/unwound"),
        account.number("/stacks/complete"),
    );
    assert!(calls > 0, "{account}");
    let share = |part: u64| 100 * part / calls;
    fact(
        "stacks",
        format!(
            "{program}: {} % of {calls} calls unwound, {} % complete",
            share(unwound),
            share(complete)
        ),
    );
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn every_call_of_the_first_experiment_has_its_line() {
    let Ok(source) = fs::read_to_string(workspace().join("workload/c/seed.c")) else {
        return skip("the sources are not here");
    };
    for library in [None, Some("libjemalloc.so.2")] {
        let folder = Folder::new();
        let Some(program) = compile(&folder, "seed", "gcc", &source) else {
            return;
        };
        let variables: Vec<_> = library.iter().map(|path| ("LD_PRELOAD", *path)).collect();
        let mut tracer = Tracer::launch(&[&program], &variables);
        let lines = Lines::of(tracer.take_stdout());
        lines.find_text("end: ");
        let account = tracer.interrupt().account();
        tell(library.unwrap_or("seed"), &account);
        let blocks: u64 = 8 * (128 << 20);
        let paths = paths(&account);
        // Whatever maps or purges that much is one of main's blocks, by function and line.
        let mut mapped = 0;
        for path in paths {
            let bytes = |field: &str| path[field].as_u64().unwrap_or(0);
            let large = bytes("mapped").max(bytes("released")).max(bytes("purged")) >= 64 << 20;
            assert!(!large || goes_through(path, "main"), "{path:#}");
            assert!(!large || path["end"] == "root", "{path:#}");
            mapped += if large { bytes("mapped") } else { 0 };
        }
        assert!(mapped >= blocks, "{mapped} of {blocks}: {account}");
        let back = if library.is_some() {
            "purged"
        } else {
            "released"
        };
        assert!(sum(paths, "main", back) >= blocks, "{account}");
    }
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn a_loop_and_what_is_kept_are_told_apart_by_caller() {
    let folder = Folder::new();
    let Some(program) = compile(&folder, "maps", "gcc", MAPS) else {
        return;
    };
    let ended = Tracer::launch(&[program.as_os_str(), "1".as_ref()], &[]).finish();
    let account = ended.account();
    tell("C, whole life", &account);
    let paths = paths(&account);
    assert_eq!(sum(paths, "keep_own_pool", "mapped"), 7 << 20, "{account}");
    assert_eq!(
        sum(paths, "keep_own_pool", "retained"),
        3 << 20,
        "{account}"
    );
    assert_eq!(
        sum(paths, "give_pages_back", "purged"),
        3 << 20,
        "{account}"
    );
    assert_eq!(sum(paths, "turn_over", "mapped"), 200 << 20, "{account}");
    assert_eq!(sum(paths, "turn_over", "released"), 200 << 20, "{account}");
    let own = paths
        .iter()
        .filter(|path| goes_through(path, "keep_own_pool"));
    assert!(
        own.clone().all(|path| path["owner"] == "application"),
        "{account}"
    );
}

/// Attached to while it runs, after its program was deleted, in another mount namespace.
#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn a_deleted_program_in_another_mount_namespace_has_lines() {
    let folder = Folder::new();
    let (Some(program), Some(unshare)) =
        (compile(&folder, "maps", "gcc", MAPS), installed("unshare"))
    else {
        return;
    };
    let works = Command::new(&unshare).args(["--mount", "true"]).status();
    if !works.is_ok_and(|status| status.success()) {
        skip("no mount namespace can be made here");
        return;
    }
    let script = format!(
        "mount -t tmpfs none {0} && cp /proc/self/fd/9 {0}/inner && exec 9<&- && exec {0}/inner 2",
        folder.path().display()
    );
    let script = format!("exec 9<{}; {script}", program.display());
    let mut contained = command(unshare);
    contained
        .args(["--mount", "sh", "-c", &script])
        .stdin(Stdio::piped());
    let mut target = Target::start(&mut contained);
    target.lines.find_text("ready");
    let inner = format!(
        "/proc/{}/root{}/inner",
        target.pid(),
        folder.path().display()
    );
    fs::remove_file(inner).expect("it was copied there");
    let tracer = Tracer::attach(&[target.pid()]);
    target.go();
    target.lines.find_text("done");
    let ended = tracer.finish();
    let account = ended.account();
    tell("C, deleted, other mount namespace", &account);
    assert_eq!(
        sum(paths(&account), "keep_own_pool", "mapped"),
        7 << 20,
        "{account}"
    );
    assert_eq!(
        sum(paths(&account), "turn_over", "released"),
        200 << 20,
        "{account}"
    );
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn a_child_has_stacks_of_its_own() {
    let folder = Folder::new();
    let Some(program) = compile(&folder, "maps", "gcc", MAPS) else {
        return;
    };
    // It is there for as long as a slow tracer takes to look at it.
    let script = format!("{} 1 stay & wait", program.display());
    let ended = Tracer::launch(&["sh", "-c", &script], &[]).finish();
    let accounts = ended.accounts();
    let mut children = accounts
        .iter()
        .filter(|account| sum(paths(account), "keep_own_pool", "mapped") > 0);
    let child = children.next().expect("the child is reported");
    assert_eq!(
        sum(paths(child), "keep_own_pool", "mapped"),
        7 << 20,
        "{child}"
    );
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn profiles_are_written_from_a_recording_too() {
    let folder = Folder::new();
    let Some(program) = compile(&folder, "maps", "gcc", MAPS) else {
        return;
    };
    let file = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let (trace, folded, graph, pprof) = (file("t"), file("f"), file("g.svg"), file("p.gz"));
    let program = program.to_string_lossy();
    let recorded = Tracer::plain(&["record", "-q", "-o", &trace, "--", &program, "1"]).finish();
    assert_eq!(recorded.code, Some(0), "{}", recorded.stderr);
    let arguments = [
        "report",
        &trace,
        "--stacks",
        "--folded",
        &folded,
        "--flamegraph",
        &graph,
        "--pprof",
        &pprof,
    ];
    let ended = Tracer::plain(&arguments).finish();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(
        ended
            .stdout
            .iter()
            .any(|line| line.contains("keep_own_pool"))
    );
    let read = |path: &str| fs::read_to_string(path).expect("written");
    let pool = read(&folded);
    let pool = pool.lines().find(|line| line.contains("keep_own_pool"));
    let pool = pool.expect("a stack");
    assert!(
        pool.contains("main;keep_own_pool;") && pool.ends_with(" 7340032"),
        "{pool}"
    );
    assert!(read(&graph).contains("<title>keep_own_pool: 7.00 MiB"));
    assert!(
        fs::read(&pprof)
            .expect("written")
            .starts_with(&[0x1f, 0x8b])
    );
    if let Some(go) = installed("go") {
        let shown = command(go)
            .args(["tool", "pprof", "-top", "-sample_index=mapped", &pprof])
            .env("HOME", folder.path())
            .output()
            .expect("it starts");
        let text = String::from_utf8_lossy(&shown.stdout);
        assert!(text.contains("turn_over"), "{text}");
        fact("pprof", "go tool pprof opens a profile");
    } else {
        skip("no go: the profile was not opened by its pprof");
    }
}
