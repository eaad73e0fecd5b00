//! What is inside a guest: built programs and programs of this system in, an initramfs out.
//!
//! The programs are the very ones that the live tests of this system use, with the libraries they
//! ask for; so is their place, so that they find each other.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::archive::Archive;
use crate::exec;

/// The first process.
const INIT: &str = include_str!("init.sh");
/// Mount points.
const FOLDERS: [&str; 7] = ["dev", "proc", "sys", "tmp", "root", "run", "usr/sbin"];
/// Where the kernel, programs and the loader look, and where things are.
const LINKS: [(&str, &str); 4] = [
    ("bin", "usr/bin"),
    ("sbin", "usr/sbin"),
    ("lib", "usr/lib"),
    ("lib64", "usr/lib64"),
];
/// Programs that tests run, where this system has them; tests that miss one say that they skip.
const PROGRAMS: [&str; 10] = [
    "sh", "true", "sleep", "env", "cat", "ls", "head", "touch", "setpriv", "strace",
];
/// Libraries that tests preload, likewise.
const PRELOADED: [&str; 3] = [
    "libjemalloc.so.2",
    "libtcmalloc_minimal.so.4",
    "libmimalloc.so.2",
];
const PROGRAM_FOLDERS: [&str; 3] = ["/usr/bin", "/bin", "/usr/sbin"];

/// The programs under test.
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
    /// What makes the verifier tell how much work it had.
    pub verifier: PathBuf,
}

/// Files of this system by their place in the guest.
#[derive(Default)]
struct Files(BTreeMap<String, PathBuf>);

/// Writes the initramfs; `scratch` is a folder for what is made on the way. Only tests whose names
/// contain one of `filters` will run, or all if there is none.
pub fn build(image: &Path, scratch: &Path, programs: &Programs, filters: &[String]) -> Result<()> {
    let mut files = Files::default();
    for (name, built) in [
        ("tracer", &programs.tracer),
        ("workload", &programs.workload),
        ("live", &programs.live),
        ("seed", &programs.seed),
        ("verifier.so", &programs.verifier),
    ] {
        let slim = scratch.join(name);
        strip(built, &slim)?;
        files.program(&format!("usr/bin/{name}"), &slim)?;
    }
    let busybox = find_program("busybox").context("there is no busybox")?;
    ensure!(
        libraries(&busybox)?.is_empty(),
        "{} needs libraries: install the package busybox-static",
        busybox.display()
    );
    files.program("usr/bin/busybox", &busybox)?;
    for name in PROGRAMS {
        if let Some(path) = find_program(name) {
            files.program(&format!("usr/bin/{name}"), &path)?;
        }
    }
    for name in PRELOADED {
        if let Some(path) = find_library(name) {
            files.program(&place(&path), &path)?;
        }
    }

    let mut archive = Archive::create(image)?;
    for folder in FOLDERS {
        archive.folder(folder)?;
    }
    for (name, target) in LINKS {
        archive.link(name, target)?;
    }
    if let Some(python) = find_program("python3") {
        files.program("usr/bin/python3", &python)?;
        add_python_library(&mut archive, &python)?;
    }
    for (name, path) in &files.0 {
        archive.copy(name, path)?;
    }
    archive.file("init", INIT.as_bytes())?;
    archive.file("etc/passwd", b"root:x:0:0:root:/:/bin/sh\n")?;
    archive.file("etc/vm/environment", environment().as_bytes())?;
    archive.file("etc/vm/filters", filters.join("\n").as_bytes())?;
    archive.finish()?;
    Ok(())
}

/// What the live tests want to know, see the harness of tracer/tests/live.
fn environment() -> String {
    // Emulation makes everything slow, not wrong.
    "TRACER_BIN=/usr/bin/tracer\n\
     WORKLOAD_BIN=/usr/bin/workload\n\
     SEED_BIN=/usr/bin/seed\n\
     VERIFIER_LIB=/usr/bin/verifier.so\n\
     LIVE_PATIENCE=600\n"
        .to_owned()
}

impl Files {
    /// A program or library with all libraries it asks for.
    fn program(&mut self, name: &str, path: &Path) -> Result<()> {
        self.0.insert(name.to_owned(), path.to_owned());
        for library in libraries(path)? {
            self.0.insert(place(&library), library);
        }
        Ok(())
    }
}

/// The libraries that a program is loaded with, the loader included; none if it is static.
fn libraries(path: &Path) -> Result<Vec<PathBuf>> {
    let mut command = Command::new("ldd");
    let Some(text) = exec::probe(command.arg(path).env("LC_ALL", "C")) else {
        return Ok(Vec::new());
    };
    if let Some(line) = text.lines().find(|line| line.contains("not found")) {
        bail!("{} cannot be taken along: {}", path.display(), line.trim());
    }
    Ok(parse_libraries(&text))
}

/// Lines of `NAME => PATH (ADDRESS)` or `PATH (ADDRESS)`.
fn parse_libraries(text: &str) -> Vec<PathBuf> {
    let words = text.lines().filter_map(|line| {
        let path = line.split_once("=> ").map_or(line, |(_, path)| path);
        path.split_whitespace().next()
    });
    words
        .filter(|word| word.starts_with('/'))
        .map(PathBuf::from)
        .collect()
}

/// Where a file of this system is in the guest, which has everything below `usr`.
fn place(path: &Path) -> String {
    let path = path.to_string_lossy();
    let path = path.trim_start_matches('/');
    if path.starts_with("usr/") {
        path.to_owned()
    } else {
        format!("usr/{path}")
    }
}

fn find_program(name: &str) -> Option<PathBuf> {
    let mut places = PROGRAM_FOLDERS
        .iter()
        .map(|folder| Path::new(folder).join(name));
    places.find(|path| path.is_file())
}

fn find_library(name: &str) -> Option<PathBuf> {
    let multiarch = format!("{}-linux-gnu", std::env::consts::ARCH);
    let folders = ["/usr/lib".to_owned(), format!("/usr/lib/{multiarch}")];
    let mut places = folders.iter().map(|folder| Path::new(folder).join(name));
    places.find(|path| path.is_file())
}

/// Python's own modules, without its tests and what it compiled.
fn add_python_library<W: std::io::Write>(archive: &mut Archive<W>, python: &Path) -> Result<()> {
    let mut command = Command::new(python);
    command.args([
        "-c",
        "import sysconfig; print(sysconfig.get_path('stdlib'))",
    ]);
    let Some(folder) = exec::probe(&mut command) else {
        return Ok(());
    };
    let folder = Path::new(folder.trim());
    const UNWANTED: [&str; 9] = [
        "__pycache__",
        "test",
        "idlelib",
        "tkinter",
        "ensurepip",
        "lib2to3",
        "pydoc_data",
        "dist-packages",
        "site-packages",
    ];
    let wanted = |path: &Path| {
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        !UNWANTED.contains(&name) && !name.starts_with("config-")
    };
    archive.tree(&place(folder), folder, &wanted)
}

/// Copies a program without the part of it that only debuggers read; symbols stay.
fn strip(from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
    }
    let mut command = Command::new("strip");
    command.arg("--strip-debug").arg("-o").arg(to).arg(from);
    exec::stream(&mut command, "strip")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_those_with_a_path() {
        let text = "\tlinux-vdso.so.1 (0x7f)\n\tlibc.so.6 => /lib/x/libc.so.6 (0x7f)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x7f)\n";
        let expected = ["/lib/x/libc.so.6", "/lib64/ld-linux-x86-64.so.2"];
        assert_eq!(parse_libraries(text), expected.map(PathBuf::from));
        assert!(parse_libraries("\tstatically linked\n").is_empty());
    }

    #[test]
    fn everything_is_below_usr() {
        assert_eq!(place(Path::new("/lib/x/libc.so.6")), "usr/lib/x/libc.so.6");
        assert_eq!(place(Path::new("/usr/lib/libm.so")), "usr/lib/libm.so");
    }
}
