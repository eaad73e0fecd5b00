//! A guest of this machine's kind: the very programs that the live tests of this system use, with
//! the libraries they ask for, at the same places.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::image::{Item, Items, Programs, place};
use crate::build::{self, Profile};
use crate::exec;
use crate::setup::EbpfTools;
use crate::test::live;
use crate::workspace::Workspace;

/// Programs that tests run, where this system has them; tests that miss one say that they skip.
const PROGRAMS: [&str; 13] = [
    "sh", "true", "sleep", "env", "cat", "ls", "head", "touch", "setpriv", "setcap", "unshare",
    "strace", "python3",
];
/// Libraries that tests preload, likewise.
const PRELOADED: [&str; 3] = [
    "libjemalloc.so.2",
    "libtcmalloc_minimal.so.4",
    "libmimalloc.so.2",
];
/// The first process.
pub const INIT: &str = include_str!("init.sh");
const PROGRAM_FOLDERS: [&str; 3] = ["/usr/bin", "/bin", "/usr/sbin"];
/// Folders and files of Python's library that no test needs.
const NOT_OF_PYTHON: [&str; 9] = [
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

/// Builds the programs under test; `folder` is for those in C.
pub fn build(
    workspace: &Workspace,
    tools: &EbpfTools,
    profile: Profile,
    folder: &Path,
) -> Result<Programs> {
    let products = build::products_for_tests(workspace, tools, profile)?;
    let live = live::build(workspace, tools)?;
    compile(
        workspace,
        "gcc",
        "strip",
        folder,
        &[
            ("tracer", &products.tracer),
            ("workload", &products.workload),
            ("live", &live),
        ],
    )
}

/// Compiles what is in C, as there is no compiler in a guest, and takes from the other programs
/// the part that only debuggers read; symbols stay.
pub fn compile(
    workspace: &Workspace,
    compiler: &str,
    strip: &str,
    folder: &Path,
    built: &[(&str, &Path)],
) -> Result<Programs> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for (name, path) in built {
        let mut command = Command::new(strip);
        command.args(["--strip-debug", "-o"]);
        command.arg(folder.join(name)).arg(path);
        exec::stream(&mut command, strip)?;
    }
    let compile = |source: &str, name: &str, options: &[&str]| {
        let mut command = Command::new(compiler);
        command.arg("-O2").args(options).arg("-o");
        command.arg(folder.join(name));
        exec::stream(command.arg(workspace.root.join(source)), compiler)
    };
    compile("workload/c/seed.c", "seed", &[])?;
    compile("workload/c/heap.c", "heap", &["-pthread"])?;
    compile(
        "tracer/tests/live/verifier.c",
        "verifier.so",
        &["-shared", "-fPIC"],
    )?;
    Ok(Programs {
        tracer: folder.join("tracer"),
        workload: folder.join("workload"),
        live: folder.join("live"),
        seed: folder.join("seed"),
        heap: folder.join("heap"),
        verifier: folder.join("verifier.so"),
    })
}

/// All that is in the guest, with `busybox` as its first process.
pub fn items(programs: &Programs, busybox: &Path) -> Result<Items> {
    let mut items = Items::from([("init".to_owned(), Item::Text(INIT))]);
    for (name, path) in programs.named() {
        add(&mut items, format!("usr/bin/{name}"), path)?;
    }
    add(&mut items, "usr/bin/busybox".to_owned(), busybox)?;
    for name in PROGRAMS {
        if let Some(path) = find_program(name) {
            add(&mut items, format!("usr/bin/{name}"), &path)?;
        }
    }
    for name in PRELOADED {
        if let Some(path) = find_library(name) {
            add(&mut items, place(&path), &path)?;
        }
    }
    if let Some(folder) = python_library() {
        add_folder(&mut items, &folder)?;
    }
    Ok(items)
}

/// A program or library with all libraries it asks for.
fn add(items: &mut Items, name: String, path: &Path) -> Result<()> {
    items.insert(name, Item::Copy(path.to_owned()));
    for library in libraries(path)? {
        items.insert(place(&library), Item::Copy(library));
    }
    Ok(())
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

/// Where Python's own modules are, if there is a Python.
fn python_library() -> Option<PathBuf> {
    let mut command = Command::new(find_program("python3")?);
    command.args([
        "-c",
        "import sysconfig; print(sysconfig.get_path('stdlib'))",
    ]);
    Some(PathBuf::from(exec::probe(&mut command)?.trim()))
}

fn add_folder(items: &mut Items, folder: &Path) -> Result<()> {
    let cannot_read = || format!("cannot read {}", folder.display());
    for entry in fs::read_dir(folder).with_context(cannot_read)? {
        let path = entry.with_context(cannot_read)?.path();
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        if NOT_OF_PYTHON.contains(&name) || name.starts_with("config-") {
            continue;
        }
        if path.is_dir() {
            add_folder(items, &path)?;
        } else if path.is_file() {
            items.insert(place(&path), Item::Copy(path));
        }
    }
    Ok(())
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
}
