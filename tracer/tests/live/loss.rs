//! Records that are lost: found, counted by call and by processor, told of, and healed.

use std::{thread::sleep, time::Duration};

use nix::sys::signal::Signal;

use crate::harness::{Account, Stopped, Target, Tracer, command, fact, wait_for, workload_program};

/// Threads that map and unmap as fast as they can.
fn storm(threads: u16) -> Target {
    let mut program = command(workload_program());
    program.args(["storm", "--threads", &threads.to_string()]);
    let target = Target::start(&mut program);
    target.lines.find_text("start");
    target
}

/// Waits until so many calls were made: a busy machine makes them late.
fn wait_for_calls(target: &Target, threads: u16) {
    let ticks = || -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", target.pid()));
        let stat = stat.expect("it runs");
        let (_, fields) = stat.rsplit_once(") ").expect("a name in parentheses");
        // `stime`, in hundredths of a second.
        let field = fields.split(' ').nth(12).expect("it has the field");
        field.parse().expect("a number")
    };
    let before = ticks();
    let enough = before + 50 + u64::from(threads);
    wait_for("the storm to go on", || (ticks() >= enough).then_some(()));
}

/// Storms until records were lost, ends the storm, and compares.
fn check(threads: u16, arguments: &[&str], disturb: impl FnOnce(&Tracer)) -> Account {
    let mut target = storm(threads);
    let tracer = Tracer::attach_amid_all(&[target.pid()], arguments).expect("it stays");
    wait_for_calls(&target, threads);
    disturb(&tracer);
    wait_for_calls(&target, threads);
    target.go();
    target.lines.find_text("end");
    let stopped = Stopped::new(target.pid());
    let picture = stopped.picture();
    let account = tracer.interrupt().account_of(target.pid());
    drop(stopped);
    let difference = account.differs_from(&picture);
    assert_eq!(difference, None, "{account}");
    assert!(target.end().success());
    account
}

/// Asserts that what was lost was counted, told and healed.
fn check_loss(account: &Account) {
    let lost = account.number("/events/lost");
    assert!(lost > 0, "{account}");
    let note = note_of_loss(
        account
            .list("/notes")
            .iter()
            .filter_map(|note| note.as_str()),
    );
    let (calls, processors) = (sum(&note, " × "), sum(&note, "cpu "));
    assert_eq!((calls, processors), (lost, lost), "{note} {account}");
    assert!(note.contains("munmap") && note.contains("mmap"), "{note}");
    assert!(account.number("/reconciliation/resyncs") > 0, "{account}");
    assert_eq!(account.number("/reconciliation/mismatches"), 0, "{account}");
    assert_eq!(account.drift(), 0, "{account}");
    assert_ne!(account.text("/verdict/confidence"), "high", "{account}");
    assert!(!account.list("/unobserved").is_empty(), "{account}");
    fact(
        "lost of the storm",
        format!("{lost}, {} received", account.number("/events/received")),
    );
}

fn note_of_loss<'a>(mut notes: impl Iterator<Item = &'a str>) -> String {
    let note = notes.find(|note| note.contains("events were lost: "));
    note.expect("a note of what was lost").to_owned()
}

/// The sum of the numbers before (` × `) or behind (`cpu N: `) a mark.
fn sum(note: &str, mark: &str) -> u64 {
    let items = note
        .split([',', '(', ')'])
        .filter(|item| item.contains(mark));
    let digits = |word: &str| word.replace(|c: char| !c.is_ascii_digit(), "");
    let numbers = items.map(|item| match mark {
        "cpu " => item.rsplit_once(": ").map(|(_, count)| digits(count)),
        _ => item.rsplit_once(mark).map(|(count, _)| {
            let words = count.rsplit(' ');
            digits(words.into_iter().next().unwrap_or_default())
        }),
    });
    let numbers = numbers
        .flatten()
        .filter_map(|number| number.parse::<u64>().ok());
    numbers.sum()
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn a_ring_too_small_for_a_storm() {
    let account = check(8, &["--ring-size", "1"], |tracer| {
        // Where there are processors enough the tracer may keep up.
        tracer.signal(Signal::SIGSTOP);
        sleep(Duration::from_millis(100));
        tracer.signal(Signal::SIGCONT);
    });
    check_loss(&account);
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn a_tracer_that_stands_still_for_a_second() {
    let account = check(4, &[], |tracer| {
        tracer.signal(Signal::SIGSTOP);
        sleep(Duration::from_secs(1));
        tracer.signal(Signal::SIGCONT);
    });
    check_loss(&account);
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn the_text_tells_of_loss_too() {
    let mut target = storm(8);
    let tracer = Tracer::plain(&["--ring-size", "1", "--pid", &target.pid().to_string()]);
    tracer.wait_until_attached(target.pid());
    wait_for_calls(&target, 8);
    tracer.signal(Signal::SIGSTOP);
    sleep(Duration::from_millis(100));
    tracer.signal(Signal::SIGCONT);
    target.go();
    target.lines.find_text("end");
    tracer.signal(Signal::SIGINT);
    let ended = tracer.finish();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let text = ended.stdout.join("\n");
    let words: Vec<&str> = text.split_whitespace().collect();
    let text = words.join(" ");
    let note = text.split("How far to trust this").nth(1);
    let note = note_of_loss(note.into_iter());
    for word in [" × munmap", " × mmap", "cpu 0: "] {
        assert!(note.contains(word), "{note}");
    }
    assert!(!note.contains("received, 0 lost"), "{note}");
}
