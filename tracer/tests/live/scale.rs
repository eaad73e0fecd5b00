//! Much of everything: calls, mappings, processes. What it takes is said, and bounded where it
//! is memory; of time it is only said.
//!
//! `SCALE_SECONDS`: how long the overload lasts; 5 unless given. `SCALE_PROCESSES`: how many
//! children there are; 500 unless given.

use std::{
    fs,
    path::PathBuf,
    thread::{self, JoinHandle, sleep},
    time::{Duration, Instant},
};

use crate::harness::{
    Account, Ended, MIB, Picture, Stopped, Target, Tracer, command, fact, setting, skip,
    workload_program,
};

/// What the tracer may take by itself: programs, symbols, the ring.
const BASE: u64 = 64 * MIB;
/// What it may take with as many events waiting as it lets wait.
const OVERLOADED: u64 = 256 * MIB;
/// What it may take for a mapping, in the model, in the texts that it reads and writes.
const PER_MAPPING: u64 = 4 * 1024;
/// What it may take for a process that is reported.
const PER_PROCESS: u64 = 64 * 1024;

fn bulk(words: &[&str]) -> Target {
    Target::start(command(workload_program()).args(words))
}

/// A tracer, and how much memory it takes.
struct Measured {
    tracer: Tracer,
    about: String,
    attached_in: Duration,
    /// Gives the most bytes that it ever had in memory.
    peak: JoinHandle<u64>,
}

impl Measured {
    /// Starts a tracer and waits until it is as far as `begin` says.
    fn new(about: &str, begin: impl FnOnce() -> Tracer) -> Self {
        let began = Instant::now();
        let tracer = begin();
        let status = PathBuf::from(format!("/proc/{}/status", tracer.pid()));
        let peak = thread::spawn(move || {
            let mut peak = 0;
            while let Some(now) = high_water(&status) {
                peak = now;
                sleep(Duration::from_millis(20));
            }
            peak
        });
        Self {
            tracer,
            about: about.to_owned(),
            attached_in: began.elapsed(),
            peak,
        }
    }

    /// Interrupts it and holds its memory against a bound.
    fn end(self, most: u64) -> Ended {
        let began = Instant::now();
        let ended = self.tracer.interrupt();
        let reported_in = began.elapsed();
        let peak = self.peak.join().expect("it only reads");
        fact(
            &self.about,
            format!(
                "attached in {:.2} s, reported in {:.2} s, {} MiB in memory at most",
                self.attached_in.as_secs_f64(),
                reported_in.as_secs_f64(),
                peak / MIB
            ),
        );
        assert!(peak > 0, "it was measured");
        assert!(peak < most, "{peak} bytes in memory, more than {most}");
        ended
    }
}

/// `VmHWM`, bytes; none once it has ended.
fn high_water(status: &PathBuf) -> Option<u64> {
    let status = fs::read_to_string(status).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib << 10)
}

/// Asserts that nothing had to be corrected and the map is the kernel's. Losses are no fault.
fn check(account: &Account, picture: &Picture) {
    let difference = account.differs_from(picture);
    assert_eq!(difference, None, "{account}");
    assert_eq!(account.number("/reconciliation/mismatches"), 0, "{account}");
    assert_eq!(account.drift(), 0, "{account}");
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn twenty_processes_of_eight_threads_storm() {
    let seconds = setting("SCALE_SECONDS").unwrap_or(5);
    // Attached to before: the tracer gets its share of the processors, a hundredth.
    let storm = ["storm", "--threads", "8", "--wait-start"];
    let mut targets: Vec<Target> = (0..20).map(|_| bulk(&storm)).collect();
    for target in &targets {
        target.lines.find_text("ready");
    }
    let pids: Vec<u32> = targets.iter().map(Target::pid).collect();
    let measured = Measured::new("overload", || Tracer::attach(&pids));
    for target in &mut targets {
        target.go();
        target.lines.find_text("start");
    }
    sleep(Duration::from_secs(seconds));
    for target in &mut targets {
        target.go();
        target.lines.find_text("end");
    }
    let stopped: Vec<Stopped> = pids.iter().copied().map(Stopped::new).collect();
    let pictures: Vec<Picture> = stopped.iter().map(Stopped::picture).collect();
    let ended = measured.end(OVERLOADED);
    drop(stopped);
    let accounts = ended.accounts();
    assert_eq!(accounts.len(), pids.len());
    for (pid, picture) in pids.iter().zip(&pictures) {
        let account = accounts.iter().find(|account| account.pid() == *pid);
        check(account.expect("it was attached to"), picture);
    }
    let received: u64 = accounts
        .iter()
        .map(|account| account.number("/events/received"))
        .sum();
    let lost = accounts[0].number("/events/lost");
    assert!(received > 0, "{accounts:#?}");
    fact(
        "overload",
        format!("{received} events received, {lost} lost, in {seconds} s"),
    );
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn as_many_mappings_as_a_process_may_have() {
    const MAPPINGS: usize = 65_530;
    let most = fs::read_to_string("/proc/sys/vm/max_map_count").expect("/proc is there");
    if most.trim().parse().ok() < Some(MAPPINGS) {
        skip("vm.max_map_count is lower than usual");
        return;
    }
    let target = bulk(&["mappings", "--count", &MAPPINGS.to_string()]);
    target.lines.find_text(&format!("mappings {MAPPINGS}"));
    let measured = Measured::new("65,530 mappings", || Tracer::attach(&[target.pid()]));
    let stopped = Stopped::new(target.pid());
    let picture = stopped.picture();
    let ended = measured.end(BASE + MAPPINGS as u64 * PER_MAPPING);
    drop(stopped);
    ended.account().check_against(&picture);
}

fn children() -> String {
    setting("SCALE_PROCESSES").unwrap_or(500_u32).to_string()
}

/// Reads the line with their ids, waits for it.
fn ids(target: &Target) -> Vec<u32> {
    target.lines.find("line `children N …`", |line| {
        let ids = line.strip_prefix("children ")?.split(' ');
        ids.map(|id| id.parse().ok()).collect()
    })
}

fn check_children(target: &Target, children: &[u32], measured: Measured) {
    let pids = children.iter().copied().chain([target.pid()]);
    let pictures: Vec<(u32, Picture)> = pids
        .map(|pid| (pid, Picture::of(pid).expect("it sleeps")))
        .collect();
    let most = BASE + pictures.len() as u64 * PER_PROCESS;
    let ended = measured.end(most);
    let mut accounts = ended.accounts();
    assert_eq!(accounts.len(), pictures.len());
    accounts.sort_by_key(Account::pid);
    for (pid, picture) in &pictures {
        let account = accounts.binary_search_by_key(pid, Account::pid);
        let account = &accounts[account.expect("it was observed")];
        account.check_against(picture);
    }
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn many_children_are_followed() {
    let count = children();
    let mut target = bulk(&["children", "--wait-start", "--count", &count]);
    target.lines.find_text("start");
    let measured = Measured::new(&format!("{count} children followed"), || {
        Tracer::attach(&[target.pid()])
    });
    target.go();
    let children = ids(&target);
    check_children(&target, &children, measured);
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn many_processes_are_attached_to() {
    let count = children();
    let target = bulk(&["children", "--count", &count]);
    let children = ids(&target);
    let mut pids = children.clone();
    pids.push(target.pid());
    let measured = Measured::new(&format!("{count} processes attached to"), || {
        Tracer::attach(&pids)
    });
    check_children(&target, &children, measured);
}
