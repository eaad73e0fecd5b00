//! A whole host, audited: processes of known behaviour are found, counted to the call, and judged
//! no better than can be known.

mod groups;
mod picked;

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::harness::{
    Folder, Lines, MIB, Target, Tracer, command, fact, installed, skip, tracer_program, vm_size,
    wait_for, workload_program,
};

const SCHEMA: &str = include_str!("../../../../docs/audit.schema.json");

/// An audit that reports again and again.
struct Audit {
    tracer: Tracer,
    lines: Lines,
}

impl Audit {
    /// One that traces nobody.
    fn start(arguments: &[&str]) -> Self {
        Self::tracing(&[&["--picks", "0"], arguments].concat())
    }

    /// One that traces whom it picks.
    fn tracing(arguments: &[&str]) -> Self {
        let usual = [
            "audit",
            "--quiet",
            "--format",
            "json",
            "--interval",
            "300ms",
        ];
        let arguments: Vec<&str> = usual.iter().chain(arguments).copied().collect();
        let mut tracer = Tracer::plain(&arguments);
        let lines = Lines::of(tracer.take_stdout());
        let audit = Self { tracer, lines };
        // What happens from the first report on is counted.
        audit.next();
        audit
    }

    /// The next report.
    fn next(&self) -> Value {
        parse(&self.lines.next().expect("it goes on"))
    }

    /// The first report that something holds of.
    fn wait_for<T>(&self, what: &str, holds: impl Fn(&Value) -> Option<T>) -> T {
        wait_for(what, || holds(&self.next()))
    }

    fn end(self) {
        let ended = self.tracer.interrupt();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert_eq!(ended.stderr, "");
    }
}

fn parse(text: &str) -> Value {
    let audit = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let schema = serde_json::from_str(SCHEMA).expect("the schema is JSON");
    let validator = jsonschema::draft202012::new(&schema).expect("the schema compiles");
    let errors = validator.iter_errors(&audit);
    let errors: Vec<String> = errors
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
    audit
}

/// The only report of an audit.
fn once(arguments: &[&str]) -> Value {
    let usual = ["audit", "--quiet", "--format", "json", "--picks", "0"];
    let arguments: Vec<&str> = usual.iter().chain(arguments).copied().collect();
    let ended = Tracer::plain(&arguments).finish();
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""));
    parse(&ended.stdout.join("\n"))
}

fn row(audit: &Value, pid: u32) -> Option<&Value> {
    let rows = audit["processes"].as_array().expect("a list");
    rows.iter().find(|row| row["pid"] == pid)
}

fn number(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

fn made(row: &Value, call: &str) -> u64 {
    row["by_call"][call]["calls"].as_u64().unwrap_or(0)
}

fn allocators(row: &Value) -> Vec<&str> {
    let found = row["allocators"].as_array().expect("a list").iter();
    found.filter_map(|found| found["name"].as_str()).collect()
}

fn calls(gusts: u32, more: &[&str]) -> Target {
    let mut program = command(workload_program());
    program
        .args(["calls", "--gusts", &gusts.to_string()])
        .args(more);
    Target::start(&mut program)
}

/// A scenario that ran to its end, and stays.
fn finished(scenario: &str, allocator: &str, preload: Option<&str>) -> Target {
    let mut program = command(workload_program());
    program.args([
        scenario,
        "--allocator",
        allocator,
        "--size-mib",
        "256",
        "--format",
        "json",
    ]);
    program.args(["--wait-start", "--hold"]);
    if let Some(library) = preload {
        program.env("LD_PRELOAD", library);
    }
    let mut target = Target::start(&mut program);
    target.go();
    target.lines.find_text("\"end\"");
    target
}

/// Running before the audit began: judged at once, by what is there.
#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn processes_that_run_already_are_judged_from_snapshots() {
    let targets = [
        ("glibc", finished("threads", "system", None)),
        ("jemalloc", finished("seed", "jemalloc", None)),
        ("mimalloc", finished("seed", "mimalloc", None)),
    ];
    let audit = once(&["--duration", "2s", "--comm", "workload", "--max-cpu", "100"]);
    for (allocator, target) in &targets {
        let row = row(&audit, target.pid()).expect("it is ranked");
        assert_eq!(row["vm_size"], vm_size(target.pid()), "{row}");
        assert_eq!(row["basis"], "snapshot", "{row}");
        assert_eq!(
            row["retained"],
            Value::Null,
            "a snapshot cannot know: {row}"
        );
        assert!(allocators(row).contains(allocator), "{allocator}: {row}");
        assert_eq!(row["growth"], 0, "{row}");
        assert_ne!(row["confidence"], "low", "{row}");
        let reason = row["reason"].as_str().expect("text");
        let expected = match *allocator {
            "glibc" => "arena-reserve",
            _ => "without-pages",
        };
        assert_eq!(reason, expected, "{allocator}: {row}");
        assert!(number(&row["reason_bytes"]) > 128 * MIB, "{row}");
        let lines = fs::read_to_string(format!("/proc/{}/maps", target.pid())).expect("it runs");
        let count = lines
            .lines()
            .filter(|line| !line.contains("[vsyscall]"))
            .count();
        assert!(number(&row["vmas"]).abs_diff(count as u64) <= 1, "{row}");
    }
    let of = |name: &str| {
        let totals = audit["totals"]["by_allocator"].as_array().expect("a list");
        totals.iter().any(|total| total["allocator"] == name)
    };
    assert!(of("glibc") && of("jemalloc") && of("mimalloc"), "{audit}");
}

/// The same by libraries that take malloc's place.
#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn preloaded_allocators_are_found() {
    for (library, name) in [
        ("libjemalloc.so.2", "jemalloc"),
        ("libmimalloc.so.2", "mimalloc"),
        ("libtcmalloc_minimal.so.4", "tcmalloc"),
    ] {
        let Some(python) = installed("python3") else {
            return skip("no python3");
        };
        let mut program = command(python);
        program
            .args(["-c", "print('up', flush=True); input()"])
            .env("LD_PRELOAD", library);
        let target = Target::start(&mut program);
        target.lines.find_text("up");
        let mapped = fs::read_to_string(format!("/proc/{}/maps", target.pid())).expect("it runs");
        if !mapped.contains(library) {
            skip(&format!("no {library}"));
            continue;
        }
        let pid = target.pid().to_string();
        let audit = once(&["--duration", "1s", "--explain", &pid, "--max-cpu", "100"]);
        let row = row(&audit, target.pid()).expect("it was asked for");
        assert!(allocators(row).contains(&name), "{name}: {row}");
    }
}

/// Every call is counted, for a process that ran before as for one that did not.
#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn counts_equal_the_calls_made() {
    const GUSTS: u64 = 5000;
    let mut before = calls(5000, &[]);
    before.lines.find_text("ready");
    let audit = Audit::start(&["--comm", "workload", "--min-size", "0"]);
    let mut after = calls(5000, &[]);
    after.lines.find_text("ready");
    // What it took to start is counted for the new one too; a report that was under way when it was
    // ready may have a part of that.
    let both = |audit: &Value| {
        let rows = [before.pid(), after.pid()].map(|pid| row(audit, pid).cloned());
        let [before, after] = rows;
        before.zip(after)
    };
    audit.lines.skip_waiting();
    audit.wait_for("both to be known", both);
    let begun = audit.wait_for("both to be known as they are", both);
    for target in [&mut before, &mut after] {
        target.go();
        target.lines.find_text("made");
    }
    for (target, begun) in [(&before, &begun.0), (&after, &begun.1)] {
        let row = audit.wait_for("the calls to be counted", |audit| {
            let row = row(audit, target.pid())?;
            let mprotects = made(row, "mprotect") - made(begun, "mprotect");
            (mprotects >= GUSTS).then(|| row.clone())
        });
        let more = |call| made(&row, call) - made(begun, call);
        assert_eq!(more("mmap"), GUSTS, "{row}");
        assert_eq!(more("munmap"), 2 * GUSTS, "{row}");
        assert_eq!(more("mprotect"), GUSTS, "{row}");
        assert_eq!(more("madvise"), GUSTS, "{row}");
        let asked = |what: &str| number(&row["asked"][what]) - number(&begun["asked"][what]);
        assert_eq!(asked("mapped"), GUSTS * 8 * 4096, "{row}");
        // One page of the eight is unmapped twice.
        assert_eq!(asked("unmapped"), GUSTS * 9 * 4096, "{row}");
        assert_eq!(asked("purged"), GUSTS * 4096, "{row}");
        assert_eq!(row["counts_incomplete"], false, "{row}");
        assert_eq!(row["failed_calls"], begun["failed_calls"], "{row}");
        assert_eq!(row["vm_size"], vm_size(target.pid()), "{row}");
    }
    audit.end();
}

/// Failed calls count as such, and move nothing.
#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn failed_calls_are_counted_apart() {
    let has_ctypes = |python: &PathBuf| {
        let mut import = command(python);
        import.args(["-c", "import ctypes"]).stderr(Stdio::null());
        import.status().is_ok_and(|status| status.success())
    };
    let Some(python) = installed("python3").filter(has_ctypes) else {
        return skip("no python3 with its module ctypes");
    };
    let text = "import ctypes\nc = ctypes.CDLL(None)\nprint('up', flush=True)\ninput()\n\
                for _ in range(7): c.munmap(ctypes.c_void_p(1), 4096)\nprint('made', flush=True)\ninput()";
    let mut program = command(python);
    program.args(["-c", text]);
    let mut target = Target::start(&mut program);
    target.lines.find_text("up");
    let pid = target.pid().to_string();
    let audit = Audit::start(&["--explain", &pid]);
    let begun = audit.wait_for("it to be known", |audit| row(audit, target.pid()).cloned());
    target.go();
    target.lines.find_text("made");
    let failed = |row: &Value| row["by_call"]["munmap"]["failed"].as_u64().unwrap_or(0);
    let row = audit.wait_for("its failures to be counted", |audit| {
        let row = row(audit, target.pid())?;
        (failed(row) >= failed(&begun) + 7).then(|| row.clone())
    });
    assert_eq!(failed(&row), failed(&begun) + 7, "{row}");
    audit.end();
}

/// A process that executes another program goes on counting, and is judged anew; one that ends
/// leaves the table.
#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn processes_come_go_and_execute() {
    let mut target = calls(1000, &["--again"]);
    target.lines.find_text("ready");
    // Its name changes.
    let audit = Audit::start(&["--min-size", "0"]);
    target.go();
    target.lines.find_text("made");
    let pid = target.pid();
    let begun = audit.wait_for("its calls to be counted", |audit| {
        let row = row(audit, pid)?;
        (made(row, "mprotect") >= 1000).then(|| row.clone())
    });
    // It executes itself anew, and makes as many again.
    target.go();
    target.lines.find_text("ready");
    target.go();
    target.lines.find_text("made");
    let row = audit.wait_for("the new program's calls to be counted", |audit| {
        let row = row(audit, pid)?;
        (made(row, "mprotect") >= made(&begun, "mprotect") + 1000).then(|| row.clone())
    });
    assert_eq!(row["counts_incomplete"], false, "{row}");
    let ended = number(&audit.next()["counting"]["ended"]);
    target.end();
    audit.wait_for("it to be gone", |audit| {
        let left = number(&audit["counting"]["ended"]) > ended;
        (left && self::row(audit, pid).is_none()).then_some(())
    });
    let last = audit.next();
    assert_eq!(last["counting"]["evicted"], 0, "{last}");
    audit.end();
}

/// A table that is too small says so, and the rows that it let go of too.
#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn evictions_are_counted() {
    let room = [
        "--max-processes",
        "64",
        "--comm",
        "workload",
        "--min-size",
        "0",
    ];
    let audit = Audit::start(&room);
    let mut crowd = command(workload_program());
    crowd.args([
        "crowd",
        "--count",
        "400",
        "--rate",
        "8000",
        "--size-mib",
        "1",
    ]);
    let crowd = Target::start(&mut crowd);
    crowd.lines.find_text("crowd");
    let evicted = audit.wait_for("processes to be evicted", |audit| {
        let incomplete = audit["processes"].as_array().expect("a list").iter();
        let incomplete = incomplete
            .filter(|row| row["counts_incomplete"] == true)
            .count();
        let evicted = number(&audit["counting"]["evicted"]);
        (incomplete > 0 && evicted > 0).then_some(evicted)
    });
    let last = audit.next();
    assert!(number(&last["counting"]["present"]) <= 64, "{last}");
    assert!(number(&last["counting"]["evicted"]) >= evicted, "{last}");
    audit.end();
}

/// Hundreds of processes, in two groups that are told apart.
#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn hundreds_of_processes() {
    let mut crowd = command(workload_program());
    crowd.args(["crowd", "--count", "500", "--rate", "5000"]);
    let crowd = Target::start(&mut crowd);
    crowd.lines.find_text("crowd");
    let audit = Audit::start(&["--comm", "workload", "--max-cpu", "100"]);
    let is_judged = |audit: &Value| {
        let rows = audit["processes"].as_array().expect("a list").iter();
        let judged = rows.filter(|row| row["basis"] == "snapshot" && row["calls"] != 0);
        judged.count() >= 500
    };
    let all = audit.wait_for("all to be judged and counted", |audit| {
        is_judged(audit).then(|| audit.clone())
    });
    let rows = all["processes"].as_array().expect("a list");
    let sum: u64 = rows.iter().map(|row| number(&row["vm_size"])).sum();
    assert_eq!(
        all["totals"]["vm_size"], sum,
        "small ones were asked for too"
    );
    let groups = all["totals"]["by_cgroup"]
        .as_array()
        .expect("a list")
        .iter();
    let in_groups: u64 = groups.map(|group| number(&group["vm_size"])).sum();
    assert_eq!(in_groups, sum);
    let rss = rss(audit.tracer.pid());
    fact("audit of 500 processes, RSS in KiB", rss >> 10);
    assert!(rss < 64 * MIB, "{rss}");
    audit.end();
}

fn rss(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.expect("it has memory") << 10
}

/// The page, the table, and the end by a signal.
#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn people_get_a_table_and_a_page() {
    let target = finished("seed", "jemalloc", None);
    let pid = target.pid().to_string();
    let ended = Tracer::plain(&["audit", "-q", "-d", "1s", "--comm", "workload"]).finish();
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""));
    let line = ended.stdout.iter().find(|line| line.contains(&pid));
    assert!(
        line.is_some_and(|line| line.contains("workload")),
        "{:#?}",
        ended.stdout
    );
    let ended = Tracer::plain(&["audit", "-q", "-d", "1s", "--explain", &pid]).finish();
    let text = ended.stdout.join("\n");
    for said in [
        "What to do",
        "VmSize",
        "jemalloc",
        "Mappings",
        "Calls since the start",
    ] {
        assert!(text.contains(said), "{said} in {text}");
    }
}

/// What is missing is said in a line.
#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn an_audit_that_cannot_be_made() {
    let ended = Tracer::plain(&["audit", "--explain", "4194304"]).finish();
    assert_eq!(ended.code, Some(4), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("there is no process 4194304"),
        "{}",
        ended.stderr
    );
    if installed("setpriv").is_none() {
        return skip("no setpriv");
    }
    let folder = Folder::new();
    let program = fs::read(tracer_program()).expect("it is readable");
    let program = folder.executable("tracer", &program);
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--clear-groups", "--inh-caps=-all"]);
    command.arg(program).arg("audit");
    let ended = Tracer::run(command).finish();
    let said = ended.failed_with(3);
    assert!(said.contains("cap_bpf") && said.contains("sudo"), "{said}");
}
