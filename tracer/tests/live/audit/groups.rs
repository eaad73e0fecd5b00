//! Processes in a control group of the test's own.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use super::{calls, once, row};
use crate::harness::skip;

/// A group of one's own is told by its path.
#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn totals_by_control_group() {
    let id = "0123456789abcdef".repeat(4);
    let Some(group) = OwnGroup::new(&format!("docker-{id}.scope")) else {
        return skip("control groups cannot be made here");
    };
    let target = calls(1, &[]);
    target.lines.find_text("ready");
    if !group.take(target.pid()) {
        return skip("processes cannot be moved to a control group here");
    }
    let audit = once(&["--duration", "1s", "--cgroup", &id, "--min-size", "0"]);
    let row = row(&audit, target.pid()).expect("it is in the group");
    assert_eq!(row["group"]["container"]["runtime"], "docker", "{row}");
    assert_eq!(row["group"]["container"]["id"], id.as_str(), "{row}");
    let totals = audit["totals"]["by_cgroup"].as_array().expect("a list");
    assert_eq!(totals.len(), 1, "{audit}");
    assert_eq!(totals[0]["vm_size"], row["vm_size"], "{audit}");
    assert_eq!(totals[0]["processes"], 1, "{audit}");
}

/// A control group of this test's own, in whichever hierarchy decides.
struct OwnGroup(PathBuf);

impl OwnGroup {
    fn new(name: &str) -> Option<Self> {
        let places = [
            "/sys/fs/cgroup/unified",
            "/sys/fs/cgroup",
            "/sys/fs/cgroup/memory",
        ];
        places.iter().find_map(|place| {
            let parent = Path::new(place);
            if !parent.join("cgroup.procs").exists() {
                return None;
            }
            let path = parent.join(name);
            fs::create_dir(&path).ok()?;
            Some(Self(path))
        })
    }

    fn take(&self, pid: u32) -> bool {
        fs::write(self.0.join("cgroup.procs"), pid.to_string()).is_ok()
            && fs::read_to_string(format!("/proc/{pid}/cgroup")).is_ok_and(|text| {
                let name = self.0.file_name().expect("a name").to_string_lossy();
                text.contains(&*name)
            })
    }
}

impl Drop for OwnGroup {
    fn drop(&mut self) {
        // When its last process has ended.
        for _ in 0..200 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}
