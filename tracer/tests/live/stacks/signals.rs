//! Stacks through a signal, and through the code that the kernel gives every process.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{compile, paths, tell};
use crate::harness::{Account, Folder, Tracer, fact};

/// Does nothing but look at the clock, which is the kernel's code in its own memory, while a
/// timer's handler maps memory.
const INTERRUPTED: &str = r#"
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
static volatile sig_atomic_t left = 60;
__attribute__((noinline)) void *keep(void) { return mmap(0, 1 << 20, 3, 0x22, -1, 0); }
__attribute__((noinline)) void on_signal(int number)
{
    if (left > 0) { keep(); left = left - 1; }
}
__attribute__((noinline)) void look_at_the_clock(void)
{
    struct timespec now;
    while (left > 0) clock_gettime(CLOCK_MONOTONIC, &now);
}
int main(void)
{
    struct sigaction action = { .sa_handler = on_signal };
    sigaction(SIGPROF, &action, 0);
    struct itimerval often = { { 0, 4000 }, { 0, 4000 } };
    setitimer(ITIMER_PROF, &often, 0);
    look_at_the_clock();
    puts("done");
    return 0;
}
"#;

fn interrupted(words: &[&str]) -> Account {
    Tracer::launch(words, &[]).finish().account()
}

/// Of the paths through the handler: each goes on to `main`. Those through the kernel's code.
fn through_the_clock(account: &Account) -> Vec<&Value> {
    let name = |frame: &Value| frame["function"].as_str().unwrap_or_default().to_owned();
    let mut through = Vec::new();
    let mut handled = 0;
    for path in paths(account) {
        let frames = path["frames"].as_array().expect("frames");
        let names: Vec<String> = frames.iter().map(name).collect();
        let Some(handler) = names.iter().position(|name| name == "on_signal") else {
            continue;
        };
        handled += 1;
        assert_eq!(names[handler - 1], "keep", "{path:#}");
        let below = &names[handler..];
        assert!(
            below.iter().any(|name| name == "look_at_the_clock"),
            "{path:#}"
        );
        assert!(below.iter().any(|name| name == "main"), "{path:#}");
        assert_eq!(path["end"], "root", "{path:#}");
        if frames.iter().any(|frame| frame["module"] == "[vdso]") {
            through.push(path);
        }
    }
    assert!(handled > 0, "{account}");
    through
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn what_a_signal_interrupts_is_on_the_stack_and_the_kernels_code_has_names() {
    let folder = Folder::new();
    let Some(program) = compile(&folder, "interrupted", "gcc", INTERRUPTED) else {
        return;
    };
    let account = interrupted(&[&program.to_string_lossy()]);
    tell("C, from a signal's handler", &account);
    let through = through_the_clock(&account);
    assert!(!through.is_empty(), "{account}");
    let mut names = BTreeSet::new();
    for path in through {
        let frames = path["frames"].as_array().expect("frames");
        let place = frames.iter().position(|frame| {
            let name = frame["function"].as_str().unwrap_or_default();
            frame["module"] == "[vdso]" && name.contains("clock_gettime")
        });
        let place = place.unwrap_or_else(|| panic!("{path:#}"));
        // Nobody calls what a signal interrupts.
        assert_eq!(frames[place]["found_by"], "registers", "{path:#}");
        names.insert(frames[place]["function"].to_string());
    }
    fact("vdso", names.into_iter().collect::<Vec<_>>().join(", "));
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn the_kernels_code_has_the_same_names_in_a_recording() {
    let folder = Folder::new();
    let Some(program) = compile(&folder, "interrupted", "gcc", INTERRUPTED) else {
        return;
    };
    let (trace, live) = (folder.join("trace"), folder.join("live.json"));
    let (trace, live) = (trace.to_string_lossy(), live.to_string_lossy());
    let program = program.to_string_lossy();
    let arguments = [
        "--record", &trace, "--format", "json", "-o", &live, "--", &program,
    ];
    let recorded = Tracer::plain(&arguments).finish();
    assert_eq!(recorded.code, Some(0), "{}", recorded.stderr);
    let replayed = Tracer::plain(&["report", &trace, "--format", "json"]).finish();
    assert_eq!(replayed.code, Some(0), "{}", replayed.stderr);
    let call_paths = |text: &str| {
        let document: Value = serde_json::from_str(text).expect("it is JSON");
        document["call_paths"].clone()
    };
    let seen = call_paths(&std::fs::read_to_string(&*live).expect("written"));
    assert!(seen.to_string().contains("[vdso]"), "{seen:#}");
    assert_eq!(call_paths(&replayed.stdout.join("\n")), seen);
}
