//! bpf-linker: folders in, the linkers there with the LLVM inside each out; builds one.

use std::env;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::prepend_path;
use super::versions::LlvmMajor;
use crate::exec;
use crate::workspace::Workspace;

/// The release that is known good.
pub const VERSION: &str = "0.13.0";

/// The LLVM that set-up builds it with.
pub const LLVM: LlvmMajor = LlvmMajor(22);

/// Where Debian's package puts that LLVM.
pub const LLVM_PREFIX: &str = "/usr/lib/llvm-22";

const PROGRAM: &str = "bpf-linker";

/// A linker that starts, and the LLVM it reads bitcode with.
#[derive(Debug, Clone)]
pub struct Linker {
    /// The program.
    pub path: PathBuf,
    /// The newest LLVM whose bitcode it reads.
    pub llvm: LlvmMajor,
}

/// The project's own linker first, then those on the path.
pub fn find(tools: &Path) -> Vec<Linker> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = [tools.join("bin")]
        .into_iter()
        .chain(env::split_paths(&path));
    folders.filter_map(|folder| look(&folder)).collect()
}

/// The arguments after `cargo install`; also what users elsewhere are told to type.
pub fn install_arguments() -> Vec<String> {
    let feature = format!("llvm-{LLVM}");
    [PROGRAM, "--version", VERSION, "--locked"]
        .into_iter()
        .chain(["--no-default-features", "--features", &feature])
        .map(str::to_owned)
        .collect()
}

/// Builds the pinned release as the user, into the project's own tools folder.
pub fn install(workspace: &Workspace) -> Result<()> {
    let tools = workspace.tools();
    let scratch = tools.join("build");
    let mut command = workspace.cargo();
    command
        .arg("install")
        .args(install_arguments())
        .arg("--force")
        .arg("--root")
        .arg(&tools)
        .arg("--target-dir")
        .arg(&scratch)
        // Its build script reads this one; without it the wrong LLVM or none is found.
        .env("LLVM_PREFIX", LLVM_PREFIX);
    // On the path already, cargo does not ask the user to put it there.
    prepend_path(&mut command, &tools.join("bin"))?;
    exec::stream(&mut command, "cargo install bpf-linker")?;
    // Only space is lost where it stays.
    let _ = std::fs::remove_dir_all(scratch);
    Ok(())
}

fn look(folder: &Path) -> Option<Linker> {
    let path = folder.join(PROGRAM);
    if !path.is_file() {
        return None;
    }
    let version = exec::probe(Command::new(&path).arg("--version"))?;
    if version.split_whitespace().nth(1) != Some(VERSION) {
        return None;
    }
    let file = File::open(&path).ok()?;
    let llvm = llvm_inside(BufReader::with_capacity(1 << 20, file))?;
    Some(Linker { path, llvm })
}

/// `bpf-linker --version` does not tell its LLVM, but the program carries it: as the name of the
/// library it loads (`libLLVM.so.22.1`), or as the mark it writes into bitcode (`LLVM22.1.8`).
fn llvm_inside(mut program: impl BufRead) -> Option<LlvmMajor> {
    let mut chunk = Vec::new();
    let mut after_name = false;
    while program.read_until(b'M', &mut chunk).ok()? > 0 {
        if after_name && let Some(major) = version_after_name(&chunk) {
            return Some(major);
        }
        after_name = chunk.ends_with(b"LLVM");
        chunk.clear();
    }
    None
}

/// The version in the bytes that follow `LLVM`.
fn version_after_name(bytes: &[u8]) -> Option<LlvmMajor> {
    let library = bytes.strip_prefix(b".so.").or(bytes.strip_prefix(b"-"));
    let digits = |bytes: &[u8]| bytes.iter().take_while(|b| b.is_ascii_digit()).count();
    let text = library.unwrap_or(bytes);
    let length = digits(text);
    let number = std::str::from_utf8(text.get(..length)?).ok()?;
    let major = LlvmMajor(number.parse().ok()?);
    // The mark has three numbers; fewer may be anything.
    let minor = text.get(length..)?.strip_prefix(b".");
    let patch = minor.and_then(|rest| rest.get(digits(rest)..)?.strip_prefix(b"."));
    let is_mark = patch.is_some_and(|rest| digits(rest) > 0);
    (library.is_some() || is_mark).then_some(major)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_llvm_is_found_in_either_form() {
        let dynamic = b"\x7fELFMM\0libLLVM.so.22.1\0rest" as &[u8];
        assert_eq!(llvm_inside(dynamic), Some(LlvmMajor(22)));
        let older = b"libLLVM-18.so\0" as &[u8];
        assert_eq!(llvm_inside(older), Some(LlvmMajor(18)));
        let fixed = b"clang LLVM (rustc) LLVMContext LLVM23.0.1\0" as &[u8];
        assert_eq!(llvm_inside(fixed), Some(LlvmMajor(23)));
    }

    #[test]
    fn other_mentions_of_llvm_tell_nothing() {
        let text = b"LLVM LLVMBuild LLVM3 LLVM_22.1 LLVM" as &[u8];
        assert_eq!(llvm_inside(text), None);
    }

    #[test]
    fn the_instructions_name_the_feature_of_that_llvm() {
        assert!(install_arguments().contains(&format!("llvm-{}", LLVM.0)));
        assert!(LLVM_PREFIX.ends_with(&LLVM.to_string()));
    }
}
