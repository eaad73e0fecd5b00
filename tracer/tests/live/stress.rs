//! stress-ng's memory stressors: programs that do to their address spaces whatever the kernel
//! allows, children included.
//!
//! Attached to at a random moment while they are busy, and observed from their first
//! instruction. In the end all of them are stopped, and each map must be the kernel's, line by
//! line, without the tracer having had anything to correct on the way. Usually some stressors
//! run together for a second; with `STRESS_SECONDS` each runs by itself for as long as that
//! says.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::Path,
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, SystemTime},
};

use crate::harness::{
    Account, Ended, Family, Folder, StoppedFamily, Tracer, command, fact, has_memory, installed,
    setting, skip, wait_for,
};

/// Room for what a busy machine makes the tracer wait for: what is compared here is the model,
/// losses are another test's. A much larger one would keep it busy with what is long past.
const RING: [&str; 2] = ["--ring-size", "32"];

/// A stressor with its bounds, as words of stress-ng's command line.
type Stressor = &'static str;

/// Mappings made, resized, moved and unmapped.
const SIZES: &[Stressor] = &[
    "--mmap 1 --mmap-bytes 32M",
    "--mremap 1 --mremap-bytes 16M",
    "--brk 1 --brk-notouch",
    "--malloc 1 --malloc-bytes 2M --malloc-max 64",
    "--vm 1 --vm-bytes 32M",
];

/// Mappings at chosen places, many of them, taken apart.
const PLACES: &[Stressor] = &[
    "--mmapaddr 1",
    "--mmapfixed 1",
    "--munmap 1",
    "--pagemove 1 --pagemove-bytes 4M",
    "--remap 1",
    "--vm-addr 1",
    "--mmapmany 1",
];

/// What pages may be used for, and where they are.
const STATES: &[Stressor] = &[
    "--madvise 1",
    "--mprotect 1",
    "--mlock 1",
    "--pkey 1",
    "--tlb-shootdown 1",
];

/// Memory that is shared or has a file.
const SHARED: &[Stressor] = &[
    "--shm 1 --shm-bytes 1M",
    "--shm-sysv 1 --shm-sysv-bytes 1M",
    "--memfd 1 --memfd-bytes 8M --memfd-fds 16",
    "--rmap 1",
    "--msync 1 --msync-bytes 4M",
    "--dynlib 1",
];

/// Stacks that grow, overflow and are mapped.
const STACKS: &[Stressor] = &[
    "--stack 1",
    "--stackmmap 1",
    "--bad-altstack 1",
    "--sigsegv 1",
    "--vm-segv 1",
];

/// Children and threads.
const CHILDREN: &[Stressor] = &[
    "--fork 1",
    "--vfork 1",
    "--mmapfork 1",
    "--clone 1 --clone-max 16",
    "--pthread 1 --pthread-max 16",
];

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn mappings_made_resized_and_moved() {
    check(SIZES);
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn mappings_at_chosen_places() {
    check(PLACES);
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn advice_protection_and_locks() {
    check(STATES);
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn shared_memory_and_files() {
    check(SHARED);
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn stacks() {
    check(STACKS);
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn children_and_threads() {
    check(CHILDREN);
}

fn check(stressors: &[Stressor]) {
    let Some(program) = installed("stress-ng") else {
        skip("no stress-ng");
        return;
    };
    let Some(seconds) = setting("STRESS_SECONDS") else {
        let run = Run::new(&program, stressors, Duration::from_secs(1));
        let faults = run.attached();
        assert!(faults.is_empty(), "{faults}");
        return;
    };
    let faults: Vec<String> = stressors
        .iter()
        .map(|stressor| Run::new(&program, &[*stressor], Duration::from_secs(seconds)))
        .flat_map(|run| [run.attached(), run.launched()])
        .filter(|faults| !faults.is_empty())
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// stress-ng at work, and how long it is looked at.
struct Run {
    words: Vec<String>,
    what: String,
    stressors: usize,
    lasts: Duration,
    /// Where stressors make the files that they map.
    _folder: Folder,
}

impl Run {
    fn new(program: &Path, stressors: &[Stressor], lasts: Duration) -> Self {
        let folder = Folder::new();
        let mut words = vec![program.display().to_string()];
        words.extend(["--quiet", "--timeout", "600", "--temp-path"].map(str::to_owned));
        words.push(folder.path().display().to_string());
        let own = stressors.iter().flat_map(|words| words.split(' '));
        words.extend(own.map(str::to_owned));
        Self {
            words,
            what: stressors.join(" "),
            stressors: stressors.len(),
            lasts,
            _folder: folder,
        }
    }

    fn command(&self) -> Command {
        let mut command = command(&self.words[0]);
        command.args(&self.words[1..]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Waits until it is at work; some stressors stress-ng does not run everywhere.
    fn works(&self, family: &Family) -> bool {
        let works = wait_for("stress-ng to be at work", || {
            let ended = !family.pids().into_iter().any(has_memory);
            (ended || family.pids().len() > self.stressors).then_some(!ended)
        });
        if !works {
            skip(&format!("stress-ng does not run {} here", self.what));
        }
        works
    }

    /// Attaches to all of it that stays, at a random moment.
    fn attached(&self) -> String {
        let family = Family::start(&mut self.command());
        if !self.works(&family) {
            return String::new();
        }
        let mut elders = family.pids();
        let tracer = wait_for("processes that stay", || {
            sleep(moment());
            // Those that outlived an attempt are the likelier to outlive the next.
            elders = family.elders(&elders);
            Tracer::attach_amid_all(&elders, &RING)
        });
        sleep(self.lasts);
        let stopped = family.stop();
        let ended = tracer.interrupt();
        self.judge("attached", &ended, &stopped, &elders)
    }

    /// Sees all of it from the first instruction on.
    fn launched(&self) -> String {
        // In a session of its own: a group that loses its parent is let go on by the kernel.
        // And with nothing of the tracer's open, whose end is waited for.
        let shell = ["--", "sh", "-c", r#"exec setsid "$@" >/dev/null"#, "sh"];
        let mut arguments = [&RING[..], &shell].concat();
        arguments.extend(self.words.iter().map(String::as_str));
        let tracer = Tracer::report(&arguments, &[]);
        let family = Family::of_child(tracer.pid());
        if !self.works(&family) {
            return String::new();
        }
        sleep(self.lasts);
        let stopped = family.stop();
        let all: Vec<u32> = stopped.pictures.keys().copied().collect();
        let ended = tracer.interrupt();
        self.judge("launched", &ended, &stopped, &all)
    }

    /// The faults, none if there are none. `known`: who was certainly observed, if it is still
    /// there.
    fn judge(&self, how: &str, ended: &Ended, stopped: &StoppedFamily, known: &[u32]) -> String {
        stopped.check_still();
        let accounts = ended.accounts();
        let accounts: BTreeMap<u32, &Account> = accounts
            .iter()
            .map(|account| (account.pid(), account))
            .collect();
        let mut faults = String::new();
        let mut fault = |pid: u32, what: &str| {
            let _ = writeln!(faults, "{how} {}: process {pid}: {what}", self.what);
        };
        let mut compared = 0;
        for (pid, picture) in &stopped.pictures {
            match accounts.get(pid) {
                Some(account) => {
                    compared += 1;
                    let difference = account.differs_from(picture);
                    difference.iter().for_each(|what| fault(*pid, what));
                }
                None if known.contains(pid) => fault(*pid, "is not in the report"),
                // Forked by one who was not attached to.
                None => {}
            }
        }
        for (pid, account) in &accounts {
            if account.number("/reconciliation/mismatches") > 0 {
                fault(*pid, &format!("the model was not the kernel's{account}"));
            }
        }
        let sum = |pointer: &str| -> u64 {
            let numbers = accounts.values().map(|account| account.number(pointer));
            numbers.sum()
        };
        let most = |pointer: &str| {
            accounts
                .values()
                .map(|account| account.number(pointer))
                .max()
        };
        // There are stressors that rarely make a call once they are at work.
        if sum("/events/received") == 0 && (how == "launched" || self.stressors > 1) {
            let _ = writeln!(faults, "{how} {}: there were no events", self.what);
        }
        fact(
            &format!("stress, {how}, {}", self.what),
            format!(
                "{} processes, {compared} compared line by line, {} events, {} lost, {} checks, \
                 {} maps read anew, {} mismatches",
                accounts.len(),
                sum("/events/received"),
                most("/events/lost").unwrap_or(0),
                sum("/reconciliation/checks"),
                sum("/reconciliation/resyncs"),
                sum("/reconciliation/mismatches"),
            ),
        );
        faults
    }
}

/// A tenth to half of a second, another one each time.
fn moment() -> Duration {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let nanos = now.map_or(0, |now| now.subsec_nanos());
    Duration::from_millis(100 + u64::from(nanos / 1000 % 400))
}
