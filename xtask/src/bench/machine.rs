//! Where and with what it was measured.

use std::fs;
use std::process::Command;

use crate::exec;
use crate::workspace::Workspace;

/// Name and value of each fact.
pub struct Machine(pub Vec<(&'static str, String)>);

impl Machine {
    /// Looks.
    pub fn look(workspace: &Workspace) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let said = |program: &str, arguments: &[&str]| {
            let mut command = Command::new(program);
            command.args(arguments).current_dir(&workspace.root);
            let text = exec::probe(&mut command).unwrap_or_default();
            text.lines()
                .next()
                .unwrap_or("not installed")
                .trim()
                .to_owned()
        };
        let processors = read("/proc/cpuinfo");
        let count = processors
            .lines()
            .filter(|line| line.starts_with("processor"))
            .count();
        let model = processors
            .lines()
            .find_map(|line| line.strip_prefix("model name"));
        let model = model.map_or("unknown", |model| {
            model.trim_start_matches([' ', '\t', ':'])
        });
        let is_virtual = processors.contains(" hypervisor");
        let memory = read("/proc/meminfo");
        let memory = memory
            .lines()
            .find_map(|line| line.strip_prefix("MemTotal:"));
        let kib: u64 = memory
            .and_then(|memory| memory.split_whitespace().next()?.parse().ok())
            .unwrap_or_default();
        let load = read("/proc/loadavg");
        let load = load.split(' ').take(3).collect::<Vec<_>>().join(" ");
        Self(vec![
            ("date", said("date", &["-u", "+%Y-%m-%d %H:%M UTC"])),
            ("commit", said("git", &["describe", "--always", "--dirty"])),
            (
                "processor",
                format!(
                    "{count} × {model}{}",
                    if is_virtual { ", virtual machine" } else { "" }
                ),
            ),
            (
                "memory",
                format!("{:.1} GiB", kib as f64 / f64::from(1 << 20)),
            ),
            ("kernel", said("uname", &["-srm"])),
            (
                "clock",
                read("/sys/devices/system/clocksource/clocksource0/current_clocksource")
                    .trim()
                    .to_owned(),
            ),
            ("load average at the end (1, 5, 15 minutes)", load),
            ("rustc", said("rustc", &["--version"])),
            ("bpftrace", said("bpftrace", &["--version"])),
            ("perf", said("perf", &["--version"])),
            ("strace", said("strace", &["--version"])),
            (
                "bcc",
                said("dpkg-query", &["-W", "-f", "${Version}", "bpfcc-tools"]),
            ),
        ])
    }
}
