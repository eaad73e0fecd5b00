//! A guest of another kind: the programs under test cross-compiled, with the libraries of the
//! cross compiler; busybox for everything else.
//!
//! Only from `x86_64` to `aarch64`, so far. Rust's standard library for the guest is built from
//! its sources, which the compiler of the probes has.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::image::{Item, Items, Programs};
use super::native;
use crate::exec;
use crate::setup::EbpfTools;
use crate::test::live;
use crate::workspace::Workspace;

const TARGET: &str = "aarch64-unknown-linux-gnu";
const COMPILER: &str = "aarch64-linux-gnu-gcc";
const CXX_COMPILER: &str = "aarch64-linux-gnu-g++";
const STRIP: &str = "aarch64-linux-gnu-strip";
/// Where the cross compiler's libraries are.
const LIBRARIES: &str = "/usr/aarch64-linux-gnu/lib";
/// The loader, where programs name it, and what the programs under test are linked with.
const LOADER: &str = "ld-linux-aarch64.so.1";
const LINKED: [&str; 3] = ["libc.so.6", "libm.so.6", "libgcc_s.so.1"];
/// Programs that tests run and busybox can be.
const APPLETS: [&str; 8] = ["sh", "true", "sleep", "env", "cat", "ls", "head", "touch"];
/// Tests that need no other programs than those under test.
pub const FILTERS: [&str; 3] = ["probes::", "scenarios::", "fuzz::"];

/// Builds the programs under test, optimised, in `folder`.
pub fn build(workspace: &Workspace, tools: &EbpfTools, folder: &Path) -> Result<Programs> {
    let target = folder.join("target");
    let mut command = cargo(workspace, tools, &target, "build")?;
    command.args(["--package", "tracer", "--package", "workload"]);
    exec::stream(&mut command, "cargo build")?;
    let mut command = cargo(workspace, tools, &target, "test")?;
    command.args(["--package", "tracer", "--test", live::TARGET, "--no-run"]);
    command.arg("--message-format=json-render-diagnostics");
    let messages = exec::capture(&mut command, "building the live tests")?;
    let tests = live::find_executable(&messages).context("cargo built no live tests")?;
    let built = target.join(TARGET).join("release");
    native::compile(
        workspace,
        COMPILER,
        STRIP,
        folder,
        &[
            ("tracer", &built.join("tracer")),
            ("workload", &built.join("workload")),
            ("live", &tests),
        ],
    )
}

/// The cargo of the probes' compiler, as building a standard library is not for stable ones.
fn cargo(workspace: &Workspace, tools: &EbpfTools, target: &Path, task: &str) -> Result<Command> {
    let Some(toolchain) = &tools.toolchain else {
        bail!("building for {TARGET} needs rustup, to reach the compiler of the probes");
    };
    let mut command = Command::new("rustup");
    command
        .current_dir(&workspace.root)
        .args(["run", toolchain, "cargo", task, "--release"])
        .args(["--target", TARGET])
        .arg("--target-dir")
        .arg(target)
        .args(["-Z", "build-std=std,panic_unwind,test"])
        .env("RUSTC_BOOTSTRAP", "1")
        .env_remove("RUSTC")
        .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", COMPILER)
        .env("CC_aarch64_unknown_linux_gnu", COMPILER)
        .env("CXX_aarch64_unknown_linux_gnu", CXX_COMPILER);
    tools.apply(&mut command)?;
    Ok(command)
}

/// All that is in the guest.
pub fn items(programs: &Programs, busybox: &Path) -> Items {
    let copy = |name: String, path: &Path| (name, Item::Copy(path.to_owned()));
    let library = |name: &str| Path::new(LIBRARIES).join(name);
    let mut items = Items::from([("init".to_owned(), Item::Text(native::INIT))]);
    items.extend(
        programs
            .named()
            .map(|(name, path)| copy(format!("usr/bin/{name}"), path)),
    );
    items.extend([
        copy("usr/bin/busybox".to_owned(), busybox),
        copy(format!("usr/lib/{LOADER}"), &library(LOADER)),
    ]);
    items.extend(
        LINKED.map(|name| copy(format!("usr/lib/aarch64-linux-gnu/{name}"), &library(name))),
    );
    items.extend(APPLETS.map(|name| (format!("usr/bin/{name}"), Item::Link("busybox".to_owned()))));
    items
}
