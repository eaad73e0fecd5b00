//! With as few rights as will do: what works, what is refused and in which words, and what a
//! tracer still holds once it has attached.

use std::{
    fs,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::Command,
};

use crate::harness::{
    Folder, Lines, Target, Tracer, command, fact, http, installed, skip, tracer_program, wait_for,
};

/// `nobody`, and a user that nobody is.
const NOBODY: u32 = 65_534;
const ANOTHER: u32 = 65_533;

const CAP_DAC_OVERRIDE: u64 = 1 << 1;
const CAP_DAC_READ_SEARCH: u64 = 1 << 2;
const CAP_FOWNER: u64 = 1 << 3;
const CAP_SYS_PTRACE: u64 = 1 << 19;
const CAP_SYS_RESOURCE: u64 = 1 << 24;
const CAP_PERFMON: u64 = 1 << 38;
const CAP_BPF: u64 = 1 << 39;

/// What loading probes takes on this kernel.
fn for_probes() -> String {
    let charged = release() < (Some(5), Some(11));
    let more = if charged { ",cap_sys_resource" } else { "" };
    format!("cap_bpf,cap_perfmon{more}")
}

fn release() -> (Option<u32>, Option<u32>) {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("it is there");
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit());
    let mut number = || numbers.next().and_then(|text| text.parse().ok());
    (number(), number())
}

/// A copy of the tracer with these capabilities, which every user may run.
fn capable(folder: &Folder, capabilities: &str) -> Option<PathBuf> {
    if installed("setpriv").is_none() {
        skip("no setpriv");
        return None;
    }
    let Some(setcap) = installed("setcap") else {
        skip("no setcap");
        return None;
    };
    let program = fs::read(tracer_program()).expect("it is readable");
    let program = folder.executable("tracer", &program);
    let given = format!("{capabilities}+ep");
    let given = command(setcap).arg(given).arg(&program).output();
    if !given.is_ok_and(|given| given.status.success()) {
        skip("files have no capabilities here");
        return None;
    }
    Some(program)
}

fn as_user(user: u32, program: impl AsRef<Path>) -> Command {
    let user = user.to_string();
    let mut command = command("setpriv");
    command.args(["--reuid", &user, "--regid", &user, "--clear-groups", "--"]);
    command.arg(program.as_ref());
    command
}

/// A process of a user, which says when it is theirs.
fn process_of(user: u32) -> Target {
    let target = Target::start(as_user(user, "sh").args(["-c", "echo ready; exec cat"]));
    target.lines.find_text("ready");
    target
}

fn trace_as(user: u32, program: &Path, pid: u32) -> Tracer {
    let mut command = as_user(user, program);
    command.args(["--quiet", "--pid", &pid.to_string()]);
    Tracer::run(command)
}

/// A set of capabilities of each thread of a process.
fn capabilities(pid: u32, set: &str) -> Vec<u64> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    let texts =
        threads.map(|thread| fs::read_to_string(thread.expect("it runs").path().join("status")));
    texts.flatten().map(|text| set_of(&text, set)).collect()
}

fn set_of(status: &str, set: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(set));
    let digits = line.expect("every kernel tells").trim_start_matches(':');
    u64::from_str_radix(digits.trim(), 16).expect("hexadecimal")
}

/// What using maps takes on this kernel.
pub fn for_maps() -> u64 {
    let old = release() < (Some(5), Some(19));
    let disabled = fs::read_to_string("/proc/sys/kernel/unprivileged_bpf_disabled");
    let disabled = disabled.is_ok_and(|text| text.trim() != "0");
    if old && disabled { CAP_BPF } else { 0 }
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn once_attached_root_holds_only_what_reading_takes() {
    let target = process_of(NOBODY);
    let tracer = Tracer::attach(&[target.pid()]);
    let kept = CAP_SYS_PTRACE | CAP_DAC_READ_SEARCH | for_maps();
    for set in ["CapEff", "CapPrm", "CapBnd"] {
        let held = capabilities(tracer.pid(), set);
        assert!(!held.is_empty());
        assert!(
            held.iter().all(|held| *held == kept),
            "{set}: {held:x?} rather than {kept:x}"
        );
    }
    for set in ["CapInh", "CapAmb"] {
        assert!(
            capabilities(tracer.pid(), set)
                .iter()
                .all(|held| *held == 0),
            "{set}"
        );
    }
    let status = fs::read_to_string(format!("/proc/{}/status", tracer.pid()));
    assert_eq!(set_of(&status.expect("it runs"), "NoNewPrivs"), 1);
    let word = if kept & CAP_BPF == 0 {
        "none"
    } else {
        "cap_bpf"
    };
    fact("maps need", word);
    // Figures of the kernel, map and files of another user's process are read with these.
    let account = tracer.interrupt().account();
    assert!(account.number("/vm_size/kernel_at_end") > 0);
}

/// Rights that only one that will load probes later still has, of each thread: they sleep.
fn asleep(pid: u32) -> Vec<u64> {
    let kept = CAP_SYS_PTRACE | CAP_DAC_READ_SEARCH | for_maps();
    assert!(capabilities(pid, "CapEff").iter().all(|held| *held == kept));
    let permitted = capabilities(pid, "CapPrm");
    assert!(permitted.iter().all(|held| held & kept == kept));
    permitted.iter().map(|held| held & !kept).collect()
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn an_audit_keeps_what_picking_takes_and_only_then() {
    let audit = |picks: &str, pid: u32| {
        let pid = pid.to_string();
        let words = [
            "audit",
            "-q",
            "-f",
            "json",
            "-i",
            "300ms",
            "--max-cpu",
            "100",
        ];
        let mut tracer =
            Tracer::plain(&[&words[..], &["--picks", picks, "--explain", &pid]].concat());
        let lines = Lines::of(tracer.take_stdout());
        (tracer, lines)
    };
    let target = process_of(NOBODY);
    let (tracer, lines) = audit("0", target.pid());
    lines.next().expect("a report");
    assert_eq!(asleep(tracer.pid()), [0]);
    assert_eq!(tracer.interrupt().code, Some(0));

    let (tracer, lines) = audit("1", target.pid());
    lines.find_text("\"basis\":\"events\"");
    // The first thread picks, the other one has picked.
    wait_for("the one that traces to give up its rights", || {
        let asleep = asleep(tracer.pid());
        let [first, second] = asleep[..] else {
            panic!("{asleep:x?}");
        };
        let loading = CAP_BPF & !for_maps() | CAP_PERFMON;
        assert_eq!(first & !CAP_SYS_RESOURCE, loading, "{first:x}");
        (second == 0).then_some(())
    });
    assert_eq!(tracer.interrupt().code, Some(0));
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn a_command_keeps_the_rights_of_its_caller() {
    let own = fs::read_to_string("/proc/self/status").expect("own");
    let script = "sleep 0.5; cat /proc/self/status";
    let ended = Tracer::launch(&["sh", "-c", script], &[]).finish();
    let text = ended.stdout.join("\n");
    for set in ["CapEff", "CapPrm", "CapBnd", "NoNewPrivs"] {
        assert_eq!(set_of(&text, set), set_of(&own, set), "{set}");
    }
    assert!(!ended.accounts().is_empty());
}

/// As in `sudo tracer -o report.json` in one's own folder.
#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn the_summary_gets_into_the_folder_of_another_user() {
    let folder = Folder::new();
    let place = folder.join("mine");
    fs::create_dir(&place).expect("own folder");
    let report = place.join("report.json");
    fs::write(&report, "an older one").expect("own folder");
    for path in [&report, &place] {
        chown(path, Some(NOBODY), Some(NOBODY)).expect("root may");
    }
    let target = process_of(NOBODY);
    let pid = target.pid().to_string();
    let words = ["--quiet", "--format", "json", "--pid", &pid, "--output"];
    let mut command = command(tracer_program());
    command.args(words).arg(&report);
    let tracer = Tracer::run(command);
    tracer.wait_until_observed(&[target.pid()]);
    let asleep = capabilities(tracer.pid(), "CapPrm")[0] & !capabilities(tracer.pid(), "CapEff")[0];
    assert_eq!(asleep, CAP_DAC_OVERRIDE | CAP_FOWNER);
    let ended = tracer.interrupt();
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let text = fs::read_to_string(&report).expect("it is there");
    assert!(text.contains("tracer.report"), "{text}");
    assert_eq!(
        fs::read_dir(&place).expect("own folder").count(),
        1,
        "no draft is left"
    );
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn two_capabilities_will_do_for_own_processes() {
    let folder = Folder::new();
    let Some(program) = capable(&folder, &for_probes()) else {
        return;
    };
    let own = process_of(NOBODY);
    let tracer = trace_as(NOBODY, &program, own.pid());
    tracer.wait_until_observed(&[own.pid()]);
    assert_eq!(capabilities(tracer.pid(), "CapEff"), [for_maps()]);
    assert_eq!(capabilities(tracer.pid(), "CapPrm"), [for_maps()]);
    let ended = tracer.interrupt();
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let text = ended.stdout.join("\n");
    assert!(text.contains("VERDICT no-growth"), "{text}");
    assert!(
        text.contains("0 mismatches, 0 resyncs, drift 0 B"),
        "{text}"
    );

    let others = process_of(ANOTHER);
    let ended = trace_as(NOBODY, &program, others.pid()).finish();
    let said = ended.failed_with(3);
    for word in [
        &format!("process {}", others.pid()),
        &format!("user {ANOTHER}"),
        "may not be read: cap_sys_ptrace missing",
        "sudo",
    ] {
        assert!(said.contains(word), "{word}: {said}");
    }
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn a_third_one_will_do_for_processes_of_others() {
    let folder = Folder::new();
    let Some(program) = capable(&folder, &format!("{},cap_sys_ptrace", for_probes())) else {
        return;
    };
    let others = process_of(ANOTHER);
    let tracer = trace_as(NOBODY, &program, others.pid());
    tracer.wait_until_observed(&[others.pid()]);
    let kept = CAP_SYS_PTRACE | for_maps();
    assert_eq!(capabilities(tracer.pid(), "CapEff"), [kept]);
    let ended = tracer.interrupt();
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let text = ended.stdout.join("\n");
    assert!(text.contains("VERDICT no-growth"), "{text}");
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn a_right_that_is_missing_is_named() {
    let mut cases = vec![
        ("cap_perfmon", "cap_bpf missing"),
        ("cap_bpf", "cap_perfmon missing"),
        ("cap_sys_ptrace", "cap_bpf and cap_perfmon missing"),
    ];
    if for_probes().contains("cap_sys_resource") {
        cases.push(("cap_bpf,cap_perfmon", "cap_sys_resource missing"));
    }
    for (given, missing) in cases {
        let folder = Folder::new();
        let Some(program) = capable(&folder, given) else {
            return;
        };
        let own = process_of(NOBODY);
        let ended = trace_as(NOBODY, &program, own.pid()).finish();
        let said = ended.failed_with(3);
        assert!(said.contains(missing), "{given}: {said}");
    }
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn a_process_that_is_hidden_is_not_said_to_be_none() {
    let folder = Folder::new();
    let Some(program) = capable(&folder, &for_probes()) else {
        return;
    };
    if installed("unshare").is_none() || installed("mount").is_none() {
        skip("no unshare or no mount");
        return;
    }
    let others = process_of(ANOTHER);
    // A /proc of its own, seen by nobody else.
    let script = format!(
        "mount -t proc -o hidepid=2 proc /proc || exit 77; exec setpriv --reuid {NOBODY} \
         --regid {NOBODY} --clear-groups -- {} --pid {}",
        program.display(),
        others.pid()
    );
    let mut command = command("unshare");
    command.args(["--mount", "--", "sh", "-c", &script]);
    let ended = Tracer::run(command).finish();
    if ended.code == Some(77) {
        skip("no /proc can be mounted here");
        return;
    }
    let said = ended.failed_with(3);
    assert!(
        said.contains("hidden") && said.contains("cap_sys_ptrace missing"),
        "{said}"
    );
}

/// It is said why it could not be observed any further.
#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn a_program_that_changes_its_user_may_get_out_of_reach() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new();
    let Some(program) = capable(&folder, &for_probes()) else {
        return;
    };
    let cat = installed("cat").expect("it is everywhere");
    let content = fs::read(cat.canonicalize().expect("it is there")).expect("readable");
    let cat = folder.executable("cat", &content);
    fs::set_permissions(&cat, fs::Permissions::from_mode(0o4755)).expect("root may");
    let script = format!("echo ready; read line; exec {} -", cat.display());
    let mut target = Target::start(as_user(NOBODY, "sh").args(["-c", &script]));
    target.lines.find_text("ready");
    let tracer = trace_as(NOBODY, &program, target.pid());
    tracer.wait_until_observed(&[target.pid()]);
    target.go();
    wait_for("the program to be root's", || {
        let status = fs::read_to_string(format!("/proc/{}/status", target.pid())).ok()?;
        status.contains(&format!("Uid:\t{NOBODY}\t0")).then_some(())
    });
    tracer.wait_until_observed(&[target.pid()]);
    let ended = tracer.interrupt();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    // However it is wrapped.
    let text = ended.stdout.join(" ");
    let text: Vec<_> = text.split_whitespace().collect();
    let said = format!(
        "process {} may not be read, as after it changed its user",
        target.pid()
    );
    let text = text.join(" ");
    assert!(
        text.contains(&said) && text.contains("cap_sys_ptrace missing"),
        "{text}"
    );
}

/// The rights of a file's owner do not end the observation.
#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn a_program_that_changes_its_user_goes_on_being_traced() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new();
    let cat = installed("cat").expect("it is everywhere");
    let content = fs::read(cat.canonicalize().expect("it is there")).expect("readable");
    // Under its name, by which a program of many names knows what to do.
    let program = folder.executable("cat", &content);
    chown(&program, Some(NOBODY), Some(NOBODY)).expect("root may");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)).expect("root may");
    let script = format!("echo ready; read line; exec {} - ", program.display());
    let mut target = Target::start(command("sh").args(["-c", &script]));
    target.lines.find_text("ready");
    let tracer = Tracer::attach(&[target.pid()]);
    target.go();
    wait_for("the program to be another user's", || {
        let status = fs::read_to_string(format!("/proc/{}/status", target.pid())).ok()?;
        status.contains(&format!("Uid:\t0\t{NOBODY}")).then_some(())
    });
    // It has begun to run when it answers.
    target.go();
    assert_eq!(target.lines.next().as_deref(), Some(""));
    tracer.wait_until_observed(&[target.pid()]);
    let account = tracer.interrupt().account();
    account.check_trust();
    assert_eq!(account.text("/target/comm"), "cat");
}

/// What `dist/systemd/tracer.service` gives a daemon is enough, and it keeps less.
#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn a_daemon_runs_without_root_and_answers_without_any_right() {
    let folder = Folder::new();
    let all = format!("{},cap_sys_ptrace,cap_dac_read_search", for_probes());
    let Some(program) = capable(&folder, &all) else {
        return;
    };
    let others = process_of(ANOTHER);
    let mut command = as_user(NOBODY, &program);
    command.args(["serve", "--listen", "127.0.0.1:0", "--min-size", "0"]);
    command.args(["--interval", "300ms", "--max-cpu", "100"]);
    let tracer = Tracer::run(command);
    let address = wait_for("the daemon to listen", || {
        let said = tracer.said();
        assert!(said.is_empty() || said.contains("http://"), "{said}");
        let (_, rest) = said.split_once("http://")?;
        rest.split_once("/metrics")?.0.parse().ok()
    });
    wait_for("another user's process to be judged", || {
        let audit = http::get(address, "/audit", "");
        if audit.code != 200 {
            return None;
        }
        let audit: serde_json::Value = serde_json::from_str(&audit.body).expect("JSON");
        let mut rows = audit["processes"].as_array()?.iter();
        let row = rows.find(|row| row["pid"] == others.pid())?;
        (row["basis"] == "snapshot").then_some(())
    });
    let kept = CAP_SYS_PTRACE | CAP_DAC_READ_SEARCH | for_maps();
    let mut held = capabilities(tracer.pid(), "CapPrm");
    held.sort_unstable();
    assert_eq!(held, [0, kept], "who answers, and who audits");
    tracer.signal(nix::sys::signal::Signal::SIGTERM);
    let ended = tracer.finish();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn a_daemon_without_rights_says_which() {
    let folder = Folder::new();
    let Some(program) = capable(&folder, "cap_sys_ptrace") else {
        return;
    };
    let mut command = as_user(NOBODY, &program);
    command.args(["serve", "--listen", "127.0.0.1:0"]);
    let ended = Tracer::run(command).finish();
    let said = ended.failed_with(3);
    assert!(said.contains("cap_bpf and cap_perfmon missing"), "{said}");
}
