//! Programs that were not written for this, attached to while they are busy: the map at a moment
//! must be the kernel's.
//!
//! Each prints a line a round for ever.

use std::process::Command;

use crate::harness::{Folder, Stopped, Target, Tracer, command, installed, skip};

/// Rounds before the tracer comes, and while it is there.
const ROUNDS: usize = 10;

const PYTHON: &str = r#"
import mmap, random, subprocess, threading, time

def churn():
    kept = []
    while True:
        kept.append(bytearray(random.choice([100, 5000, 200000, 3000000])))
        if len(kept) > 200:
            del kept[:random.randrange(150)]
        if random.random() < 0.02:
            block = mmap.mmap(-1, random.randrange(1, 50) * 4096)
            block[0] = 1
            block.close()
        time.sleep(0.0005)

for _ in range(4):
    threading.Thread(target=churn, daemon=True).start()
while True:
    time.sleep(0.1)
    subprocess.run(["true"])
    print("round", flush=True)
"#;

const NODE: &str = r#"
let kept = [];
setInterval(() => {
    for (let i = 0; i < 50; i++) kept.push(Buffer.alloc(100000 + Math.random() * 3e6 | 0));
    for (let i = 0; i < 2000; i++) kept.push({ content: new Array(100).fill(i) });
    if (kept.length > 20000) kept = [];
    console.log("round");
}, 20);
"#;

const JAVA: &str = r#"
import java.util.*;

public class Churn {
    static void churn() {
        List<byte[]> kept = new ArrayList<>();
        Random random = new Random();
        while (true) {
            kept.add(new byte[random.nextInt(200000)]);
            if (kept.size() > 2000) kept.clear();
            try { Thread.sleep(0, 200000); } catch (InterruptedException e) { return; }
        }
    }

    public static void main(String[] arguments) throws Exception {
        for (int i = 0; i < 4; i++) new Thread(Churn::churn).start();
        while (true) {
            Thread thread = new Thread(() -> {});
            thread.start();
            thread.join();
            Thread.sleep(20);
            System.out.println("round");
        }
    }
}
"#;

fn check(program: &mut Command) {
    let target = Target::start(program);
    let pass_rounds = || (0..ROUNDS).for_each(|_| target.lines.find_text("round"));
    pass_rounds();
    let tracer = Tracer::attach(&[target.pid()]);
    // Those that are printed already may be from before the attach.
    target.lines.skip_waiting();
    pass_rounds();
    let stopped = Stopped::new(target.pid());
    let picture = stopped.picture();
    let account = tracer.interrupt().account_of(target.pid());
    drop(stopped);
    account.check_against(&picture);
    assert!(account.number("/events/received") > 0, "{account}");
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn python_with_threads_and_subprocesses() {
    check(command("python3").args(["-c", PYTHON]));
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn node_with_buffers() {
    match installed("node") {
        Some(node) => check(command(node).args(["-e", NODE])),
        None => skip("no node"),
    }
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn java_with_threads() {
    let (Some(compiler), Some(java)) = (installed("javac"), installed("java")) else {
        skip("no java");
        return;
    };
    let folder = Folder::new();
    let source = folder.join("Churn.java");
    std::fs::write(&source, JAVA).expect("own folder");
    let compiled = command(compiler)
        .arg("-d")
        .arg(folder.path())
        .arg(source)
        .status();
    assert!(compiled.expect("javac starts").success());
    check(
        command(java)
            .args(["-Xmx512m", "-cp"])
            .arg(folder.path())
            .arg("Churn"),
    );
}
