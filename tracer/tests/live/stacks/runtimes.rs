//! Stacks of programs of several languages and runtimes: how many are complete, and who is in them.

use std::{fs, process::Command};

use super::{MAPS, compile, names, paths, sum, tell};
use crate::harness::{Account, Folder, Lines, Tracer, installed, skip};

const CPP: &str = r#"
#include <cstdio>
#include <map>
#include <string>
#include <thread>
#include <vector>
struct Cache {
    std::map<int, std::vector<char>> blocks;
    void fill(int n) { for (int i = 0; i < n; i++) blocks[i] = std::vector<char>(300000 + i, 1); }
};
int main()
{
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; t++)
        threads.emplace_back([] { Cache cache; cache.fill(60); });
    for (auto &thread : threads) thread.join();
    Cache own;
    own.fill(100);
    std::puts("done");
}
"#;

/// Runs a program and tells what share of its calls has complete stacks. How large it is depends
/// on how fast the tracer is: a program that ends within milliseconds may be gone.
fn share(name: &str, words: &[&str]) -> Account {
    let ended = Tracer::launch(words, &[]).finish();
    let accounts = ended.accounts();
    let largest = accounts
        .into_iter()
        .max_by_key(|account| account.number("/stacks/calls"))
        .expect("a process");
    tell(name, &largest);
    largest
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn stacks_of_a_cpp_program_are_told() {
    let folder = Folder::new();
    if let Some(program) = compile(&folder, "cache", "g++", CPP) {
        let account = share("C++", &[&program.to_string_lossy()]);
        assert!(names(&account, "fill"), "{account}");
    }
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn stacks_of_a_rust_program_with_jemalloc_are_told() {
    let workload = crate::harness::workload_program();
    let workload = workload.to_string_lossy();
    share(
        "Rust, static jemalloc",
        &[&workload, "seed", "--allocator", "jemalloc"],
    );
}

/// A C library most of whose functions no table covers, and which has no frame pointers.
#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn stacks_of_a_program_on_musl_are_told() {
    let folder = Folder::new();
    if let Some(program) = compile(&folder, "maps", "musl-gcc", MAPS) {
        let account = share("C on musl", &[&program.to_string_lossy(), "1"]);
        // Until the tracer has unwound one of them, stacks of a place that differ anywhere near
        // their top are new ones, and no more than so many are copied at once.
        let missing = not_copied(&account);
        let told = account.number("/stacks/unwound") + missing;
        assert!(told >= account.number("/stacks/calls"), "{account}");
        let turned_over = sum(paths(&account), "turn_over", "mapped");
        assert!(turned_over <= 200 << 20, "{account}");
        assert!(turned_over + (missing << 20) >= 200 << 20, "{account}");
    }
}

/// Of how many calls the stack was not copied, as the notes say.
fn not_copied(account: &Account) -> u64 {
    let notes = account.list("/notes").iter();
    let counts = notes.filter_map(|note| {
        let rest = note.as_str()?.strip_prefix("the callers' stacks of ")?;
        rest.split_once(" calls were not copied")?
            .0
            .parse::<u64>()
            .ok()
    });
    counts.sum()
}

/// Calls a function through code that it makes, and says what that is called.
const MAKES_CODE: &str = r#"
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
__attribute__((noinline)) void keep(void) { mmap(0, 5 << 20, 3, 0x22, -1, 0); }
int main(void)
{
    /* push rbp; mov rbp, rsp; call rdi; pop rbp; ret */
    unsigned char code[] = { 0x55, 0x48, 0x89, 0xe5, 0xff, 0xd7, 0x5d, 0xc3 };
    char *page = mmap(0, 4096, PROT_READ | PROT_WRITE, 0x22, -1, 0);
    memcpy(page, code, sizeof code);
    mprotect(page, 4096, PROT_READ | PROT_EXEC);
    char path[64];
    snprintf(path, sizeof path, "/tmp/perf-%d.map", getpid());
    FILE *map = fopen(path, "w");
    fprintf(map, "%lx %zx made_at_run_time\n", (unsigned long)page, sizeof code);
    fclose(map);
    ((void (*)(void (*)(void)))page)(keep);
    puts("ready");
    fflush(stdout);
    getchar();
    unlink(path);
    return 0;
}
"#;

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn code_made_at_run_time_has_the_name_that_its_program_gave_it() {
    if cfg!(not(target_arch = "x86_64")) {
        return skip("the code is x86-64's");
    }
    let folder = Folder::new();
    let Some(program) = compile(&folder, "makes", "gcc", MAKES_CODE) else {
        return;
    };
    let mut tracer = Tracer::launch(&[&program], &[]);
    let lines = Lines::of(tracer.take_stdout());
    lines.find_text("ready");
    let account = tracer.interrupt().account();
    let kept = paths(&account)
        .iter()
        .find(|path| path["mapped"] == 5 << 20)
        .unwrap_or_else(|| panic!("{account}"));
    let frames = kept["frames"].as_array().expect("frames").iter();
    let named: Vec<_> = frames
        .filter_map(|frame| frame["function"].as_str())
        .collect();
    let made = named
        .iter()
        .position(|name| name.contains("made_at_run_time"));
    let made = made.unwrap_or_else(|| panic!("{kept:#}"));
    assert_eq!(
        (named[made - 1], named[made + 1]),
        ("keep", "main"),
        "{kept:#}"
    );
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn stacks_of_python_are_told() {
    let script = "a = [bytearray(300000) for _ in range(200)]; del a; b = list(range(10**6))";
    share("python3", &["python3", "-c", script]);
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn stacks_of_node_are_told() {
    if installed("node").is_none() {
        skip("no node");
        return;
    }
    let script = "let a = []; for (let i = 0; i < 300; i++) a.push(Buffer.alloc(300000)); \
                  console.log(a.length)";
    // It writes a log where it is run.
    let folder = Folder::new();
    let run = format!(
        "cd {} && exec node --perf-basic-prof -e '{script}'",
        folder.path().display()
    );
    share("node", &["sh", "-c", &run]);
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn stacks_of_a_jvm_are_told() {
    if installed("java").is_none() {
        skip("no java");
        return;
    }
    share(
        "JVM",
        &["sh", "-c", "exec java -Xmx128m -version 2>/dev/null"],
    );
}

const GO: &str = r#"
package main
import "fmt"
var kept [][]byte
func fill() { for i := 0; i < 200; i++ { kept = append(kept, make([]byte, 300000)) } }
func main() { fill(); fmt.Println(len(kept)) }
"#;

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn stacks_of_a_go_program_are_told() {
    let Some(go) = installed("go") else {
        skip("no go");
        return;
    };
    let folder = Folder::new();
    let source = folder.join("kept.go");
    fs::write(&source, GO).expect("own folder");
    let program = folder.join("kept");
    let built = Command::new(go)
        .args(["build", "-o"])
        .arg(&program)
        .arg(&source)
        .env("HOME", folder.path())
        .env("GOFLAGS", "-mod=mod")
        .status();
    assert!(built.expect("it starts").success());
    let account = share("Go", &[&program.to_string_lossy()]);
    // It maps on a stack of its own, which the goroutine that wanted memory is not on.
    assert!(names(&account, "runtime.(*mheap).grow"), "{account}");
}
