//! The settings that govern how a process keeps memory: files of `/proc` and `/sys` in,
//! [`Settings`] out. What cannot be read stays empty.

use std::{fs, path::Path};

use procfs::process::{LimitValue, Process};

use super::{cgroup, foreign, process};
use crate::{
    attribute::{
        allocators::is_obeyed_variable,
        evidence::{KernelSettings, Settings},
    },
    units::{Bytes, Pid},
};

/// The settings that the allocators of a process obey, and what the kernel allows it.
#[must_use]
pub fn settings(pid: Pid) -> Settings {
    let mut settings = Settings {
        etc_malloc_conf: etc_malloc_conf(pid),
        kernel: kernel(),
        memory_group: cgroup::memory_group(pid),
        ..Settings::default()
    };
    settings.environment = process::texts(pid, "environ")
        .into_iter()
        .filter_map(|variable| {
            let (name, value) = variable.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        })
        .filter(|(name, _)| is_obeyed_variable(name))
        .collect();
    settings.environment.sort();
    let limits = i32::try_from(pid.0).ok().map(Process::new);
    if let Some(limits) = limits.and_then(|process| process.ok()?.limits().ok()) {
        settings.address_space_limit = bounded(limits.max_address_space.soft_limit);
        settings.data_limit = bounded(limits.max_data_size.soft_limit);
        settings.stack_limit = bounded(limits.max_stack_size.soft_limit);
    }
    settings
}

const fn bounded(limit: LimitValue) -> Option<Bytes> {
    match limit {
        LimitValue::Value(bytes) => Some(Bytes(bytes)),
        LimitValue::Unlimited => None,
    }
}

fn etc_malloc_conf(pid: Pid) -> Option<String> {
    let link = foreign::read_link(pid, "/etc", "malloc.conf").ok()?;
    Some(link.to_string_lossy().into_owned())
}

fn kernel() -> KernelSettings {
    let vm = Path::new("/proc/sys/vm");
    let thp = Path::new("/sys/kernel/mm/transparent_hugepage");
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let number = |name: &str| text(&vm.join(name))?.parse::<u64>().ok();
    KernelSettings {
        overcommit_memory: number("overcommit_memory").and_then(|mode| u8::try_from(mode).ok()),
        overcommit_ratio: number("overcommit_ratio"),
        overcommit_kbytes: number("overcommit_kbytes").map(|kib| Bytes(kib << 10)),
        commit_limit: line_of(&meminfo, "CommitLimit:"),
        committed: line_of(&meminfo, "Committed_AS:"),
        max_map_count: number("max_map_count"),
        huge_pages: chosen(&thp.join("enabled")),
        huge_pages_defrag: chosen(&thp.join("defrag")),
        huge_pages_shmem: chosen(&thp.join("shmem_enabled")),
        khugepaged_max_ptes_none: text(&thp.join("khugepaged/max_ptes_none"))
            .and_then(|text| text.parse().ok()),
    }
}

/// A short file's text.
pub fn text(path: &Path) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

/// The word in brackets: `always [madvise] never`.
fn chosen(path: &Path) -> Option<String> {
    in_brackets(&text(path)?)
}

fn in_brackets(text: &str) -> Option<String> {
    let (_, behind) = text.split_once('[')?;
    Some(behind.split_once(']')?.0.to_owned())
}

fn line_of(meminfo: &str, name: &str) -> Option<Bytes> {
    let mut lines = meminfo.lines();
    let value = lines.find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = value.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(Bytes(kib << 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_in_force_stands_in_brackets() {
        let mode = in_brackets("always defer [madvise] never");
        assert_eq!(mode.as_deref(), Some("madvise"));
        assert_eq!(in_brackets("always"), None);
    }

    #[test]
    fn figures_are_found_by_their_whole_name() {
        let meminfo = "MemTotal:       1000 kB\nCommitLimit:     512 kB\n";
        assert_eq!(line_of(meminfo, "CommitLimit:"), Some(Bytes(512 << 10)));
        assert_eq!(line_of(meminfo, "Committed_AS:"), None);
    }

    #[test]
    fn this_process_has_settings_of_its_kernel() {
        let own = settings(Pid(std::process::id()));
        assert!(own.kernel.overcommit_memory.is_some_and(|mode| mode <= 2));
        assert!(own.kernel.max_map_count.is_some_and(|most| most > 0));
    }
}
