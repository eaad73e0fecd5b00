//! The memory control group of a process: `/proc/<pid>/cgroup` and its files in, limits out.
//!
//! A limit holds for all groups below, so the lowest on the way to the root counts.

use std::path::{Path, PathBuf};

use super::settings::text;
use crate::{
    attribute::evidence::MemoryGroup,
    units::{Bytes, Pid},
};

/// Where hierarchies are mounted by convention (`Documentation/admin-guide/cgroup-v2.rst`,
/// systemd). The second is version 2 beside version 1.
const UNIFIED: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
const MEMORY_V1: &str = "/sys/fs/cgroup/memory";
/// Version 1 writes "no limit" as the highest multiple of a page below 2^63.
const UNLIMITED_V1: u64 = 1 << 62;

/// Names of the files of a version.
struct Files {
    version: u8,
    max: &'static str,
    high: &'static str,
    current: &'static str,
}

const V2: Files = Files {
    version: 2,
    max: "memory.max",
    high: "memory.high",
    current: "memory.current",
};
const V1: Files = Files {
    version: 1,
    max: "memory.limit_in_bytes",
    high: "memory.soft_limit_in_bytes",
    current: "memory.usage_in_bytes",
};

/// The limits of a process' memory control group; `None` if it has none or they cannot be read.
#[must_use]
pub fn memory_group(pid: Pid) -> Option<MemoryGroup> {
    let lines = text(Path::new(&format!("/proc/{pid}/cgroup")))?;
    let of_v1 = path_of(&lines, |controllers| {
        controllers.split(',').any(|one| one == "memory")
    });
    let of_v2 = path_of(&lines, str::is_empty);
    let v1 = of_v1.and_then(|path| read(Path::new(MEMORY_V1), path, &V1));
    v1.or_else(|| {
        let path = of_v2?;
        let mut roots = UNIFIED.iter();
        roots.find_map(|root| read(Path::new(root), path, &V2))
    })
}

/// The path in the line `id:controllers:path` whose controllers are wanted.
fn path_of(lines: &str, wanted: impl Fn(&str) -> bool) -> Option<&str> {
    lines.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let controllers = fields.next()?;
        fields.next().filter(|_| wanted(controllers))
    })
}

fn read(root: &Path, path: &str, files: &Files) -> Option<MemoryGroup> {
    let inside = path.trim_start_matches('/');
    // A group outside of this process' cgroup namespace has no path here.
    if inside.split('/').any(|part| part == "..") {
        return None;
    }
    let own = root.join(inside);
    let current = figure(&own.join(files.current));
    let mut groups: Vec<PathBuf> = own.ancestors().map(Path::to_owned).collect();
    groups.retain(|group| group.starts_with(root));
    let lowest = |file: &str| {
        groups
            .iter()
            .filter_map(|group| figure(&group.join(file)))
            .min()
    };
    let (max, high) = (lowest(files.max), lowest(files.high));
    // The root has no limits and no figure.
    if current.is_none() && max.is_none() {
        return None;
    }
    Some(MemoryGroup {
        path: path.to_owned(),
        version: files.version,
        max,
        high,
        current,
    })
}

/// A size; `None` also for `max`.
fn figure(path: &Path) -> Option<Bytes> {
    let bytes = text(path)?.parse::<u64>().ok()?;
    (bytes < UNLIMITED_V1).then_some(Bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_is_that_of_the_memory_controller() {
        let hybrid = "12:memory:/a b:c\n3:cpu,cpuacct:/x\n0::/user.slice\n";
        let memory = |controllers: &str| controllers.split(',').any(|one| one == "memory");
        assert_eq!(path_of(hybrid, memory), Some("/a b:c"));
        assert_eq!(path_of(hybrid, str::is_empty), Some("/user.slice"));
        assert_eq!(path_of("0::/\n", memory), None);
    }

    #[test]
    fn the_lowest_limit_on_the_way_to_the_root_counts() {
        let root = std::env::temp_dir().join(format!("tracer-cgroup-{}", std::process::id()));
        let own = root.join("outer/inner");
        std::fs::create_dir_all(&own).expect("a folder");
        let write = |path: PathBuf, text: &str| std::fs::write(path, text).expect("a file");
        write(root.join("outer/memory.max"), "4096\n");
        write(own.join("memory.max"), "max\n");
        write(own.join("memory.high"), "8192\n");
        write(own.join("memory.current"), "100\n");
        let group = read(&root, "/outer/inner", &V2).expect("it is there");
        assert_eq!(group.max, Some(Bytes(4096)));
        assert_eq!(group.high, Some(Bytes(8192)));
        assert_eq!(group.current, Some(Bytes(100)));
        assert_eq!(read(&root, "/../outer", &V2), None);
        assert_eq!(read(&root, "/gone", &V2), None);
        std::fs::remove_dir_all(root).expect("own folder");
    }
}
