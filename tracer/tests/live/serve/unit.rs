//! The unit for systemd, as it is installed and under the real one. Only in machines whose services
//! may be started and stopped at will: `cargo xtask vm --systemd`.

use std::{env, fs, net::SocketAddr, process::Command, thread, time::Duration};

use nix::sys::signal::{Signal, kill};
use serde_json::Value;

use super::{seed, value};
use crate::harness::{
    MIB, Target, bpf_programs, bpf_programs_of, command, fact, http, raw, skip, wait_for,
    workload_program,
};
use crate::privilege::for_maps;

const SETTINGS: &str = include_str!("../../../../dist/serve.conf");
const SETTINGS_FILE: &str = "/etc/tracer/serve.conf";
/// Where it answers unless the settings say otherwise.
const ADDRESS: ([u8; 4], u16) = ([127, 0, 0, 1], 9435);
/// Between two pages of figures.
const INTERVAL: Duration = Duration::from_millis(500);
/// `cap_dac_read_search` and `cap_sys_ptrace`.
const READING: u64 = 1 << 2 | 1 << 19;
/// `cap_perfmon` and `cap_bpf`.
const LOADING: u64 = 1 << 38 | 1 << 39;

/// The unit, running with the settings that come with it and some more; stopped when this is
/// dropped.
struct Unit {
    name: String,
    address: SocketAddr,
}

impl Unit {
    fn start(more: &str) -> Option<Self> {
        let Ok(name) = env::var("UNIT") else {
            skip("no unit is installed to be tested");
            return None;
        };
        let address = ADDRESS.into();
        let unit = Self { name, address };
        unit.set(more);
        let started = unit.systemctl("start").status().expect("it starts");
        assert!(started.success(), "{}", unit.journal());
        wait_for("figures", || {
            assert_eq!(unit.property("ActiveState"), "active", "{}", unit.journal());
            (http::get(address, "/readyz", "").code == 200).then_some(())
        });
        Some(unit)
    }

    /// Puts these settings in place, besides those that come with the unit.
    fn set(&self, more: &str) {
        let interval = INTERVAL.as_millis();
        let usual = format!("interval = {interval}ms\nmax-cpu = 100\ncomm = workload\n");
        fs::write(SETTINGS_FILE, format!("{SETTINGS}{usual}{more}")).expect("it is installed");
    }

    fn systemctl(&self, verb: &str) -> Command {
        let mut command = command("systemctl");
        command.args([verb, &self.name]);
        command
    }

    fn property(&self, name: &str) -> String {
        let mut show = self.systemctl("show");
        let output = show.args(["--value", "--property", name]).output();
        let text = String::from_utf8(output.expect("it starts").stdout);
        text.expect("it is text").trim().to_owned()
    }

    fn pid(&self) -> u32 {
        self.property("MainPID").parse().expect("a process id")
    }

    /// All that was said of it and by it.
    fn journal(&self) -> String {
        let mut journalctl = command("journalctl");
        journalctl.args(["--no-pager", "--output=cat", "--unit", &self.name]);
        let output = journalctl.output().expect("it starts");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn metrics(&self) -> String {
        let answer = http::get(self.address, "/metrics", "");
        assert_eq!(answer.code, 200, "{}", answer.head);
        answer.body
    }

    /// Waits until a page of figures has something. Each page costs the daemon time, of which it
    /// has so much: it is not asked more often than there is a new one.
    fn wait_for_figures<T>(&self, what: &str, look: impl Fn(&str) -> Option<T>) -> T {
        wait_for(what, || {
            thread::sleep(INTERVAL);
            look(&self.metrics())
        })
    }

    fn status(&self) -> Value {
        let answer = http::get(self.address, "/status", "");
        serde_json::from_str(&answer.body).expect("JSON")
    }

    /// A field of the kernel's account of its main process.
    fn field(&self, name: &str) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()));
        let status = status.expect("it runs");
        let mut lines = status.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.expect("every kernel tells").trim().to_owned()
    }

    fn capabilities(&self, set: &str) -> u64 {
        u64::from_str_radix(&self.field(set), 16).expect("a number")
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        if thread::panicking() {
            println!("{}", self.journal());
            if self.property("ActiveState") == "active" {
                println!("{:#}", self.status());
            }
        }
        let _ = self.systemctl("stop").status();
        // A test may have made it fail.
        let _ = self.systemctl("reset-failed").status();
    }
}

fn wait_until_judged(unit: &Unit, target: &Target) {
    let info = format!("tracer_process_info{{pid=\"{}\"", target.pid());
    unit.wait_for_figures("a process to be judged", |text| {
        let line = text.lines().find(|line| line.starts_with(&info))?;
        line.contains("jemalloc").then_some(())
    });
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn it_sees_all_processes_and_has_no_other_rights() {
    let target = seed();
    let Some(unit) = Unit::start("") else { return };
    // Another user's: its map and its program are read.
    wait_until_judged(&unit, &target);
    assert!(value(&unit.metrics(), "tracer_calls_total{call=\"mmap\"}") > Some(0.0));
    assert_eq!(http::get(unit.address, "/healthz", "").code, 200);

    let users: Vec<String> = unit.field("Uid").split('\t').map(str::to_owned).collect();
    assert!(users.iter().all(|user| user != "0"), "{users:?}");
    assert_eq!(unit.capabilities("CapBnd"), READING | LOADING);
    // Nothing is left to load: that right was given up, but for what the kernel asks of readers.
    assert_eq!(unit.capabilities("CapPrm"), READING | for_maps());
    assert_eq!(unit.capabilities("CapAmb"), 0);
    assert_eq!(unit.field("NoNewPrivs"), "1");
    // Its system calls are filtered.
    assert_eq!(unit.field("Seccomp"), "2");

    let status = unit.status();
    let probes = status["probes"].as_array().expect("a list");
    for probe in probes.iter().filter(|probe| probe["needed"] == true) {
        assert_eq!(probe["attached"], true, "{probe}");
    }
    let taken: u64 = unit.property("MemoryCurrent").parse().expect("a size");
    let bound: u64 = unit.property("MemoryHigh").parse().expect("a size");
    assert!(taken < bound / 2, "{taken} of {bound} bytes");
    fact("a unit's memory", format!("{} MiB", taken / MIB));
    fact("capture under systemd", &status["capture"]);
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn it_traces_those_it_picks() {
    let mut program = command(workload_program());
    program.args(["seed", "--allocator", "jemalloc", "--size-mib", "256"]);
    program.args(["--format", "json", "--wait-start", "--hold"]);
    let mut target = Target::start(&mut program);
    target.lines.find_text("\"start\"");
    let Some(unit) = Unit::start("min-size = 0\npicks = 1\n") else {
        return;
    };
    let traced = "tracer_coverage_processes{state=\"traced\"}";
    unit.wait_for_figures("it to be traced", |text| {
        (value(text, traced)? > 0.0).then_some(())
    });
    target.go();
    target.lines.find_text("\"end\"");
    let retained = format!(
        "tracer_process_retained_bytes{{pid=\"{}\",comm=\"workload\"}}",
        target.pid()
    );
    unit.wait_for_figures("what it keeps", |text| {
        (value(text, &retained)? >= (256 * MIB) as f64).then_some(())
    });
    // The right to load programs is kept for the next.
    assert_eq!(unit.capabilities("CapPrm"), READING | LOADING);
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn it_takes_settings_over_and_gives_signs_of_life() {
    let Some(unit) = Unit::start("") else { return };
    let pid = unit.pid();
    unit.set("top = 7\n");
    let reloaded = unit.systemctl("reload").status().expect("it starts");
    assert!(reloaded.success(), "{}", unit.journal());
    // It is told as done when it is done.
    assert_eq!(unit.status()["settings"]["top"], "7");

    let fed = || -> u64 {
        let time = unit.property("WatchdogTimestampMonotonic");
        time.parse().expect("a time")
    };
    let before = fed();
    wait_for("a sign of life", || (fed() > before).then_some(()));
    assert_ne!(unit.property("WatchdogUSec"), "infinity");
    assert_eq!(unit.pid(), pid);
    assert_eq!(unit.property("NRestarts"), "0");
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn it_ends_cleanly_and_comes_again_when_it_was_killed() {
    let Some(unit) = Unit::start("") else { return };
    kill(raw(unit.pid()), Signal::SIGKILL).expect("it runs");
    wait_for("it to be started anew", || {
        let state = unit.property("ActiveState");
        (unit.property("NRestarts") == "1" && state == "active").then_some(())
    });
    let programs = bpf_programs_of(unit.pid());
    assert!(!programs.is_empty());
    let stopped = unit.systemctl("stop").status().expect("it starts");
    assert!(stopped.success());
    // Its own exit, with this code: it did not take a second signal.
    let end = ["Result", "ExecMainCode", "ExecMainStatus"].map(|name| unit.property(name));
    assert_eq!(end, ["success", "1", "0"], "{}", unit.journal());
    wait_for("its programs to leave the kernel", || {
        bpf_programs().is_disjoint(&programs).then_some(())
    });
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn it_is_little_exposed() {
    let Ok(name) = env::var("UNIT") else {
        skip("no unit is installed to be tested");
        return;
    };
    let mut analyze = command("systemd-analyze");
    // The threshold is in tenths of what is printed.
    analyze.args(["security", "--no-pager", "--threshold=25", &name]);
    let analyzed = analyze.output().expect("it starts");
    let said = String::from_utf8_lossy(&analyzed.stdout);
    assert!(analyzed.status.success(), "{said}");
    let level = said.rsplit_once(&format!("{name}: ")).expect("a level").1;
    let level = level.split(' ').next().unwrap_or_default();
    fact("exposure of 10", level);
    let version = command("systemctl").arg("--version").output();
    let version = String::from_utf8_lossy(&version.expect("it starts").stdout).into_owned();
    fact("systemd", version.split(' ').nth(1).unwrap_or_default());
}
