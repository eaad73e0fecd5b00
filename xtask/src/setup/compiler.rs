//! Compilers that can build the probes: rustup's list and `/usr` in, candidates out.
//!
//! A candidate has core's sources, because the BPF target has no prebuilt core.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

use super::versions::{OLDEST_RUSTC, RustcVersions};
use crate::exec;

/// The name under which the distribution's compiler is linked into rustup.
pub const LINKED_NAME: &str = "tracer-ebpf";

/// Names the toolchain for the tracer's build script; set by the user, it overrides the search.
pub const TOOLCHAIN_VARIABLE: &str = "TRACER_EBPF_TOOLCHAIN";

/// Where Debian's packages put their compiler.
pub const SYSTEM_SYSROOT: &str = "/usr";

const CORE_SOURCES: &str = "lib/rustlib/src/rust/library/core/src/lib.rs";

/// How cargo reaches a compiler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handle {
    /// By its rustup name.
    Rustup(String),
    /// Not yet: rustup must be given this folder first.
    Unlinked(PathBuf),
    /// It is the one in use; there is no rustup to ask for another.
    Current,
}

/// A compiler with core's sources.
#[derive(Debug, Clone)]
pub struct Compiler {
    /// How to call it.
    pub handle: Handle,
    /// The folder above its `bin`.
    pub sysroot: PathBuf,
    /// Its release and its LLVM.
    pub versions: RustcVersions,
}

impl Compiler {
    /// Whether cargo can be told to use it as things are.
    pub fn is_usable(&self) -> bool {
        !matches!(self.handle, Handle::Unlinked(_))
    }

    fn look(handle: Handle, sysroot: &Path) -> Option<Self> {
        if !sysroot.join(CORE_SOURCES).is_file() {
            return None;
        }
        let rustc = sysroot.join("bin/rustc");
        let text = exec::probe(Command::new(rustc).arg("-vV"))?;
        let versions = RustcVersions::parse(&text)?;
        (versions.release >= OLDEST_RUSTC).then(|| Self {
            handle,
            sysroot: sysroot.to_owned(),
            versions,
        })
    }
}

/// Every candidate, the preferred one first.
pub fn find() -> Result<Vec<Compiler>> {
    let Some(list) = exec::probe(Command::new("rustup").args(["toolchain", "list", "-v"])) else {
        return Ok(current().into_iter().collect());
    };
    let mut toolchains = parse_list(&list);
    if let Ok(wanted) = env::var(TOOLCHAIN_VARIABLE) {
        let chosen = toolchains
            .iter()
            .filter(|(name, _)| *name == wanted || name.starts_with(&format!("{wanted}-")))
            .find_map(|(_, path)| Compiler::look(Handle::Rustup(wanted.clone()), path));
        ensure!(
            chosen.is_some(),
            "{TOOLCHAIN_VARIABLE} is {wanted}, which is no rustup toolchain of {OLDEST_RUSTC} or newer with core's sources: unset it, or run `rustup component add rust-src --toolchain {wanted}`"
        );
        return Ok(chosen.into_iter().collect());
    }
    toolchains.sort_by_key(|(name, _)| preference(name));
    let mut found: Vec<Compiler> = toolchains
        .into_iter()
        .filter_map(|(name, path)| Compiler::look(Handle::Rustup(name), &path))
        .collect();
    let system = Path::new(SYSTEM_SYSROOT);
    if !found.iter().any(|compiler| compiler.sysroot == system) {
        let handle = Handle::Unlinked(system.to_owned());
        found.extend(Compiler::look(handle, system));
    }
    Ok(found)
}

/// Gives rustup a name for the compiler in `folder`.
pub fn link(folder: &Path) -> Result<()> {
    let mut command = Command::new("rustup");
    command.args(["toolchain", "link", LINKED_NAME]).arg(folder);
    exec::stream(&mut command, "rustup toolchain link")
}

/// Whether the user's own toolchain has clippy and rustfmt.
pub fn has_lint_tools() -> bool {
    let Some(folder) = env::var_os("CARGO")
        .map(PathBuf::from)
        .and_then(|cargo| cargo.parent().map(Path::to_owned))
    else {
        return true;
    };
    ["cargo-clippy", "cargo-fmt"]
        .iter()
        .all(|program| folder.join(program).exists())
}

fn current() -> Option<Compiler> {
    let sysroot = exec::probe(Command::new("rustc").args(["--print", "sysroot"]))?;
    Compiler::look(Handle::Current, Path::new(sysroot.trim()))
}

/// The linked one, then pinned releases, then nightlies, which float.
fn preference(name: &str) -> u8 {
    match name {
        LINKED_NAME => 0,
        _ if name.starts_with("nightly") => 2,
        _ => 1,
    }
}

/// The names and folders of `rustup toolchain list -v`.
fn parse_list(text: &str) -> Vec<(String, PathBuf)> {
    text.lines()
        .filter_map(|line| {
            let name = line.split_whitespace().next()?;
            let path = &line[line.find(" /")? + 1..];
            Some((name.to_owned(), PathBuf::from(path.trim_end())))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rustups_list_is_read_with_and_without_remarks() {
        let text = "stable-x86_64-unknown-linux-gnu (active, default) /h/.rustup/toolchains/stable\n\
            tracer-ebpf /usr\n";
        let expected = [
            (
                "stable-x86_64-unknown-linux-gnu".to_owned(),
                PathBuf::from("/h/.rustup/toolchains/stable"),
            ),
            ("tracer-ebpf".to_owned(), PathBuf::from("/usr")),
        ];
        assert_eq!(parse_list(text), expected);
        assert_eq!(parse_list("no installed toolchains\n"), []);
    }

    #[test]
    fn the_linked_toolchain_comes_first_and_nightly_last() {
        let mut names = ["nightly-x", "1.96.0-x", LINKED_NAME];
        names.sort_by_key(|name| preference(name));
        assert_eq!(names, [LINKED_NAME, "1.96.0-x", "nightly-x"]);
    }

    #[test]
    fn a_folder_without_core_is_no_candidate() {
        assert!(Compiler::look(Handle::Current, Path::new("/nonexistent")).is_none());
    }
}
