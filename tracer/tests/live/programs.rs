//! Programs that were not written for this, attached to while they are busy: the map at a moment
//! must be the kernel's.
//!
//! Each prints a line a round for ever.

use std::process::{Command, Stdio};

use crate::harness::{
    Family, Folder, Lines, Stopped, Target, Tracer, command, compiled_java, fact, installed, skip,
};

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

/// Makes of made sources, again and again. `-j4`: compilers and assemblers side by side.
const MAKEFILE: &str = "\
objects := $(addsuffix .o,$(basename $(wildcard *.c)))
all: $(objects)
\t@rm -f $(objects)
\t@echo round
%.o: %.c
\t@cc -O1 -c $< -o $@
";

/// A database in memory and one in a file, mapped, written and read by several threads.
const SQLITE: &str = r#"
import os, random, sqlite3, sys, threading

def work(path):
    database = sqlite3.connect(path)
    database.execute("pragma mmap_size = 67108864")
    database.execute("pragma cache_size = -20000")
    while True:
        database.execute("create table words (id integer primary key, word blob)")
        for _ in range(20):
            rows = [(os.urandom(random.randrange(2000)),) for _ in range(200)]
            with database:
                database.executemany("insert into words (word) values (?)", rows)
            database.execute("select word from words order by word desc").fetchall()
        database.execute("create index by_word on words (word)")
        database.execute("drop table words")
        database.execute("vacuum")
        print("round", flush=True)

for path in [":memory:", sys.argv[1], sys.argv[1] + "2"]:
    threading.Thread(target=work, args=(path,)).start()
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
    let folder = Folder::new();
    let Some(java) = compiled_java(&folder, "Churn", JAVA) else {
        return;
    };
    check(
        command(java)
            .args(["-Xmx512m", "-cp"])
            .arg(folder.path())
            .arg("Churn"),
    );
}

/// The children are compared too, those that are there at the end.
#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn a_parallel_compilation() {
    const ROUNDS: usize = 2;
    let (Some(make), Some(_)) = (installed("make"), installed("cc")) else {
        skip("no make or no cc");
        return;
    };
    let folder = Folder::new();
    std::fs::write(folder.join("Makefile"), MAKEFILE).expect("own folder");
    for number in 0..12 {
        let functions = (0..100).map(|function| {
            format!("int f{function}(int *a, int n) {{ for (int i = 0; i < n; i++) a[i] *= a[i]; return n; }}\n")
        });
        let source = folder.join(&format!("part{number}.c"));
        let text: String = std::iter::once("#include <stdio.h>\n".to_owned())
            .chain(functions)
            .collect();
        std::fs::write(source, text).expect("own folder");
    }
    let script = format!("while :; do {} -s -j4; done", make.display());
    let mut shell = command("sh");
    shell.args(["-c", &script]).current_dir(folder.path());
    let mut family = Family::start(shell.stdout(Stdio::piped()));
    let lines = Lines::of(family.take_stdout());
    lines.find_text("round");
    let tracer = Tracer::attach_amid_all(&[family.pid()], &[]).expect("the shell stays");
    lines.skip_waiting();
    (0..=ROUNDS).for_each(|_| lines.find_text("round"));
    let stopped = family.stop();
    let ended = tracer.interrupt();
    stopped.check_still();
    let accounts = ended.accounts();
    let mut compared = 0;
    for account in &accounts {
        assert_eq!(account.number("/reconciliation/mismatches"), 0, "{account}");
        if let Some(picture) = stopped.pictures.get(&account.pid()) {
            account.check_against(picture);
            compared += 1;
        }
    }
    assert!(compared > 0, "the shell at least");
    let made = accounts.len();
    assert!(made > 12 * ROUNDS, "compilers and assemblers: {made}");
    fact(
        "compilation",
        format!("{made} processes, {compared} compared line by line"),
    );
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn sqlite_in_memory_and_mapped() {
    let folder = Folder::new();
    check(
        command("python3")
            .args(["-c", SQLITE])
            .arg(folder.join("db")),
    );
}
