//! Settings in force: those of the kernel, of the process and of its allocators, with where
//! each is set and what it does here.

use super::{allocators::pattern, case::Case, evidence::Settings, explanation::InForce};
use crate::units::Bytes;

/// Every setting that bears on the process.
pub fn rows(case: &Case<'_>) -> Vec<InForce> {
    let settings = case.evidence.settings;
    let mut rows = Vec::new();
    for (allocator, _) in case.owning_allocators() {
        let options = (allocator.options)(case.evidence);
        // What it obeys and no option says more of.
        let rest = settings
            .environment
            .iter()
            .filter(|(name, _)| options.is_empty() && pattern::any(allocator.variables, name));
        rows.extend(rest.map(|(name, value)| {
            row(
                name,
                value,
                "environment",
                &format!("obeyed by {}", allocator.title),
            )
        }));
        rows.extend(options);
    }
    limits(settings, &mut rows);
    kernel(settings, &mut rows);
    rows
}

fn row(name: &str, value: &str, source: &str, effect: &str) -> InForce {
    InForce {
        name: name.to_owned(),
        value: value.to_owned(),
        source: source.to_owned(),
        effect: effect.to_owned(),
    }
}

fn limits(settings: &Settings, rows: &mut Vec<InForce>) {
    let limits = [
        ("RLIMIT_AS", settings.address_space_limit, "bounds VmSize"),
        (
            "RLIMIT_DATA",
            settings.data_limit,
            "bounds private writable memory, with pages or without",
        ),
        (
            "RLIMIT_STACK",
            settings.stack_limit,
            "bounds the main stack; a thread's stack has this size by default",
        ),
    ];
    for (name, limit, effect) in limits {
        if let Some(limit) = limit {
            rows.push(row(
                name,
                &limit.0.to_string(),
                "/proc/<pid>/limits",
                effect,
            ));
        }
    }
    let Some(group) = &settings.memory_group else {
        return;
    };
    let source = format!("cgroup v{} {}", group.version, group.path);
    let figures: [(&str, Option<Bytes>, &str); 3] = [
        (
            "memory.max",
            group.max,
            "bounds what the group has in memory; address space is not bounded",
        ),
        (
            "memory.high",
            group.high,
            "from here on the group is slowed down and its memory reclaimed",
        ),
        (
            "memory.current",
            group.current,
            "what the group had in memory at the beginning, file cache included",
        ),
    ];
    for (name, bytes, effect) in figures {
        if let Some(bytes) = bytes {
            rows.push(row(name, &bytes.0.to_string(), &source, effect));
        }
    }
}

fn kernel(settings: &Settings, rows: &mut Vec<InForce>) {
    let kernel = &settings.kernel;
    if let Some(mode) = kernel.overcommit_memory {
        let effect = match mode {
            0 => "address space is refused only where a single request is obviously too large",
            1 => "address space is never refused",
            _ => "private writable memory of all processes is bounded by CommitLimit",
        };
        let source = "/proc/sys/vm/overcommit_memory";
        rows.push(row(
            "vm.overcommit_memory",
            &mode.to_string(),
            source,
            effect,
        ));
        if mode == 2 {
            commit(settings, rows);
        }
    }
    if let Some(most) = kernel.max_map_count {
        rows.push(row(
            "vm.max_map_count",
            &most.to_string(),
            "/proc/sys/vm/max_map_count",
            "bounds the mappings of a process; beyond, mmap, mprotect and munmap fail",
        ));
    }
    let modes = [
        (
            "enabled",
            &kernel.huge_pages,
            "who gets transparent huge pages",
        ),
        (
            "defrag",
            &kernel.huge_pages_defrag,
            "who waits for the kernel to make room for one",
        ),
        (
            "shmem_enabled",
            &kernel.huge_pages_shmem,
            "whether shared memory gets them",
        ),
    ];
    for (file, mode, effect) in modes {
        if let Some(mode) = mode {
            let source = format!("/sys/kernel/mm/transparent_hugepage/{file}");
            rows.push(row(
                &format!("transparent_hugepage/{file}"),
                mode,
                &source,
                effect,
            ));
        }
    }
    if let Some(most) = kernel.khugepaged_max_ptes_none {
        rows.push(row(
            "khugepaged/max_ptes_none",
            &most.to_string(),
            "/sys/kernel/mm/transparent_hugepage/khugepaged/max_ptes_none",
            "so many of 512 pages may have been given back where khugepaged makes a huge page of \
             the rest, which brings them back",
        ));
    }
}

fn commit(settings: &Settings, rows: &mut Vec<InForce>) {
    let kernel = &settings.kernel;
    let mut add = |name: &str, value: Option<u64>, source: &str, effect: &str| {
        if let Some(value) = value {
            rows.push(row(name, &value.to_string(), source, effect));
        }
    };
    let bytes = |bytes: Option<Bytes>| bytes.map(|bytes| bytes.0);
    add(
        "vm.overcommit_ratio",
        kernel.overcommit_ratio,
        "/proc/sys/vm/overcommit_ratio",
        "percent of memory that makes CommitLimit, with swap",
    );
    add(
        "vm.overcommit_kbytes",
        bytes(kernel.overcommit_kbytes).filter(|set| *set > 0),
        "/proc/sys/vm/overcommit_kbytes",
        "takes the place of the ratio",
    );
    add(
        "CommitLimit",
        bytes(kernel.commit_limit),
        "/proc/meminfo",
        "what all processes together may have",
    );
    add(
        "Committed_AS",
        bytes(kernel.committed),
        "/proc/meminfo",
        "what they had at the beginning",
    );
}
