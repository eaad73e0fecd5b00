//! What is inside a guest: files and where they go in, an initramfs out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::archive::Archive;

/// What runs the tests, when the system is up.
const TESTS: &str = include_str!("tests.sh");
/// Mount points, and where programs may look.
const FOLDERS: [&str; 7] = ["dev", "proc", "sys", "tmp", "root", "run", "usr/sbin"];
/// Where the kernel, programs and the loader look, and where things are.
const LINKS: [(&str, &str); 4] = [
    ("bin", "usr/bin"),
    ("sbin", "usr/sbin"),
    ("lib", "usr/lib"),
    ("lib64", "usr/lib64"),
];
/// What the live tests want to know, see the harness of tracer/tests/live. They wait longer there:
/// emulation makes everything slow, not wrong.
const ENVIRONMENT: &str = "TRACER_BIN=/usr/bin/tracer\n\
    WORKLOAD_BIN=/usr/bin/workload\n\
    SEED_BIN=/usr/bin/seed\n\
    HEAP_BIN=/usr/bin/heap\n\
    VERIFIER_LIB=/usr/bin/verifier.so\n\
    LIVE_PATIENCE=600\n\
    FUZZ_CALLS=35000\n";

/// The programs under test, and what they work with.
#[derive(Debug)]
pub struct Programs {
    /// The tracer itself.
    pub tracer: PathBuf,
    /// The allocation scenarios.
    pub workload: PathBuf,
    /// The live tests.
    pub live: PathBuf,
    /// The experiment in C.
    pub seed: PathBuf,
    /// The program in C that keeps books of what it holds.
    pub heap: PathBuf,
    /// What makes the verifier tell how much work it had.
    pub verifier: PathBuf,
}

impl Programs {
    /// Each with its name in the guest.
    pub fn named(&self) -> [(&'static str, &Path); 6] {
        [
            ("tracer", &self.tracer),
            ("workload", &self.workload),
            ("live", &self.live),
            ("seed", &self.seed),
            ("heap", &self.heap),
            ("verifier.so", &self.verifier),
        ]
    }
}

/// Something in a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A copy of this file.
    Copy(PathBuf),
    /// A symbolic link to this.
    Link(String),
    /// A file of this text.
    Text(&'static str),
}

/// What is in a guest, by its path from the root, without the first `/`. Its first process is
/// `init`.
pub type Items = BTreeMap<String, Item>;

/// Writes the initramfs. Only tests whose names contain one of `filters` will run, or all if there
/// is none.
pub fn write(image: &Path, items: &Items, filters: &[String]) -> Result<()> {
    let mut archive = Archive::create(image)?;
    for folder in FOLDERS {
        archive.folder(folder)?;
    }
    for (name, target) in LINKS {
        archive.link(name, target)?;
    }
    for (name, item) in items {
        match item {
            Item::Copy(path) => archive.copy(name, path)?,
            Item::Link(target) => archive.link(name, target)?,
            Item::Text(text) => archive.file(name, text.as_bytes())?,
        }
    }
    archive.file("etc/vm/tests", TESTS.as_bytes())?;
    archive.file("etc/passwd", b"root:x:0:0:root:/:/bin/sh\n")?;
    archive.file("etc/vm/environment", ENVIRONMENT.as_bytes())?;
    archive.file("etc/vm/filters", filters.join("\n").as_bytes())?;
    archive.finish()?;
    Ok(())
}

/// Where a file of this system is in the guest, which has everything below `usr`.
pub fn place(path: &Path) -> String {
    let path = path.to_string_lossy();
    let path = path.trim_start_matches('/');
    if path.starts_with("usr/") {
        path.to_owned()
    } else {
        format!("usr/{path}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_below_usr() {
        assert_eq!(place(Path::new("/lib/x/libc.so.6")), "usr/lib/x/libc.so.6");
        assert_eq!(place(Path::new("/usr/lib/libm.so")), "usr/lib/libm.so");
    }
}
