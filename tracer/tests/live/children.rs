//! Processes that a process makes.

use crate::harness::{Ended, Stopped, Target, Tracer, command};

/// The last command is the shell's own: no other may take the shell's place.
fn run_shell(arguments: &[&str], commands: &str) -> Ended {
    let commands = format!("{commands}; :");
    let mut words = arguments.to_vec();
    words.extend(["--", "sh", "-c", &commands]);
    Tracer::report(&words, &[]).finish()
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn the_commands_of_a_shell_are_listed_in_their_order() {
    // Long enough to be read.
    let commands = "sleep 0.3; sleep 0.4; env sleep 0.5";
    let accounts = run_shell(&[], commands).accounts();
    let words = accounts
        .iter()
        .map(|account| account.list("/target/cmdline"));
    let words: Vec<Vec<_>> = words
        .map(|words| words.iter().filter_map(|word| word.as_str()).collect())
        .collect();
    let expected = [["sleep", "0.3"], ["sleep", "0.4"], ["sleep", "0.5"]];
    assert_eq!(words[1..], expected, "after the shell; env becomes sleep");
    assert_eq!(words[0][0], "sh");
    for account in &accounts {
        account.check_trust();
        assert_eq!(account.text("/ending"), "exited", "{account}");
        account.expect_verdict("not-released");
    }
}

/// Each env makes way for the next word: a map read of one must not be taken for another's.
#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn programs_that_take_one_anothers_place_have_maps_of_their_own() {
    let chain = "env ".repeat(20) + "sleep 0.3";
    let commands = format!("for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do {chain}; done");
    let accounts = run_shell(&[], &commands).accounts();
    assert_eq!(
        accounts.len(),
        17,
        "the shell, and one a chain: {accounts:#?}"
    );
    for account in &accounts[1..] {
        assert_eq!(account.text("/target/comm"), "sleep");
        account.check_trust();
    }
}

/// What the kernel maps at exec shows in no call: where that could not be read in time, it is
/// missing, and nothing else is.
#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn commands_that_end_at_once_are_listed_too() {
    let accounts = run_shell(&[], "ls / >/dev/null; cat /dev/null; env true").accounts();
    let names = accounts.iter().map(|account| account.text("/target/comm"));
    assert_eq!(names.collect::<Vec<_>>(), ["sh", "ls", "cat", "true"]);
    accounts[0].check_trust();
    for account in &accounts[1..] {
        if account.verdict() == "inconclusive" {
            let missing =
                account.number("/vm_size/kernel_at_end") - account.number("/vm_size/at_end");
            assert_eq!(missing, account.number("/vm_size/at_attach"), "{account}");
        } else {
            account.check_trust();
        }
        assert_eq!(account.number("/events/lost"), 0, "{account}");
        assert_eq!(account.number("/reconciliation/mismatches"), 0, "{account}");
        assert_eq!(account.text("/ending"), "exited", "{account}");
        assert!(account.calls("mmap") > 0, "{account}");
    }
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn they_are_not_followed_if_not_wanted() {
    let account = run_shell(&["--no-follow"], "ls / >/dev/null; cat /dev/null").account();
    account.check_trust();
    assert_eq!(account.text("/target/cmdline/0"), "sh");
}

/// Parent and child go different ways after the fork.
const FORK: &str = r#"
import mmap, os

print("pid", os.getpid(), flush=True)
os.read(0, 1)
size = 3 if os.fork() else 5
kept = mmap.mmap(-1, size << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
more = bytearray(size << 24)
print("pid", os.getpid(), flush=True)
os.read(0, 1)
"#;

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn a_forked_child_has_a_map_of_its_own() {
    let mut target = Target::start(command("python3").args(["-c", FORK]));
    assert_eq!(target.lines.find_pid(), target.pid());
    let tracer = Tracer::attach(&[target.pid()]);
    target.go();
    let pids = [target.lines.find_pid(), target.lines.find_pid()];
    let stopped = pids.map(Stopped::new);
    let pictures = stopped.each_ref().map(Stopped::picture);
    let ended = tracer.interrupt();
    drop(stopped);
    for (pid, picture) in pids.into_iter().zip(&pictures) {
        ended.account_of(pid).check_against(picture);
    }
    assert_ne!(
        pictures[0].vm_size, pictures[1].vm_size,
        "they did go different ways"
    );
}
