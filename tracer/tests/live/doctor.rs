//! What a host allows, held against what the kernel shows and what a run does.

use std::{fs, path::Path};

use serde_json::Value;

use crate::harness::{
    Ended, Folder, Tracer, bpf_programs, command, fact, installed, skip, tracer_program, wait_for,
};

/// Those that differ between kernels, and of which the answer will do.
const ANSWERS: [&str; 5] = ["btf", "path-offsets", "direct-loads", "trampolines", "jit"];
/// Those of which the detail tells more.
const DETAILS: [&str; 3] = ["capture", "stacks", "verifier-budget"];

fn word(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn document(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout.join("\n")).expect("it is JSON")
}

fn feature<'a>(document: &'a Value, id: &str) -> &'a Value {
    let features = document["features"].as_array().expect("an array");
    let found = features.iter().find(|feature| feature["id"] == id);
    found.unwrap_or_else(|| panic!("no {id}"))
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn what_is_told_of_the_host_is_so() {
    let before = bpf_programs();
    let ended = Tracer::plain(&["doctor", "--format", "json"]).finish();
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    // The kernel frees them a little later.
    wait_for("the programs to go", || {
        bpf_programs().is_subset(&before).then_some(())
    });

    let document = document(&ended);
    assert_eq!(document["schema"]["name"], "tracer.doctor");
    assert_eq!(document["outlook"], "possible");
    let is = |id: &str| feature(&document, id)["answer"] == "yes";
    for id in [
        "kernel-release",
        "bpf-syscall",
        "ring-buffer",
        "capture",
        "process-exec",
        "process-exit",
        "pid-namespace",
    ] {
        assert!(is(id), "{id}: {}", feature(&document, id));
    }
    let types = Path::new("/sys/kernel/btf/vmlinux").exists();
    assert_eq!(is("btf"), types);
    assert!(
        !document["programs"]
            .as_array()
            .expect("an array")
            .is_empty()
    );

    for id in ANSWERS {
        let told = feature(&document, id);
        fact(id, word(&told["answer"]));
        if told["answer"] == "no" {
            println!("why not {id}: {}", word(&told["detail"]));
        }
    }
    for id in DETAILS {
        let told = feature(&document, id);
        let is_yes = told["answer"] == "yes";
        fact(id, word(&told[if is_yes { "detail" } else { "answer" }]));
    }

    // A run does what was foretold.
    let run = Tracer::plain(&["-vv", "--format", "json", "--", "true"]).finish();
    let how = feature(&document, "capture")["detail"]
        .as_str()
        .expect("a text");
    let said = format!("calls are captured {how}");
    assert!(run.stderr.contains(&said), "{said}: {}", run.stderr);
    assert_eq!(is("trampolines"), how == "by trampolines");
    let report = run.stdout.join("\n");
    let refused = report.contains("refuses the programs that copy callers' stacks");
    assert_eq!(is("stacks"), !refused, "{report}");
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn without_rights_nothing_is_guessed() {
    let Some(setpriv) = installed("setpriv") else {
        skip("no setpriv");
        return;
    };
    let mut command = command(setpriv);
    command.args([
        "--bounding-set",
        "-all",
        "--inh-caps",
        "-all",
        "--reuid",
        "65534",
        "--",
    ]);
    // A copy, because that user may not get to the original.
    let folder = Folder::new();
    let program = fs::read(tracer_program()).expect("it is readable");
    command.arg(folder.executable("tracer", &program));
    command.args(["doctor", "--format", "json"]);
    let ended = Tracer::run(command).finish();
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert!(ended.stderr.contains("sudo setcap"), "{}", ended.stderr);
    let document = document(&ended);
    assert_eq!(document["outlook"], "not-permitted");
    assert_eq!(feature(&document, "cap-bpf")["answer"], "no");
    for id in [
        "trampolines",
        "sys-enter",
        "stacks",
        "capture",
        "verifier-budget",
    ] {
        let feature = feature(&document, id);
        assert_eq!(feature["answer"], "could-not-tell", "{feature}");
        assert_ne!(feature["detail"], "", "{feature}");
    }
}
