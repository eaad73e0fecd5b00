//! Lints of the kernel side, for its own target and with its own compiler.

use std::process::Command;

use anyhow::Result;

use crate::exec;
use crate::setup::EbpfTools;
use crate::workspace::Workspace;

const TARGET: &str = "bpfel-unknown-none";

/// Runs clippy, or the compiler with warnings denied where that compiler has no clippy.
pub fn lint(workspace: &Workspace, tools: &EbpfTools) -> Result<()> {
    let has_clippy = tools.sysroot.join("bin/cargo-clippy").exists();
    let name = tools.toolchain.as_deref().unwrap_or("the current one");
    if !has_clippy {
        println!("      the probes' toolchain ({name}) has no clippy: denying rustc's warnings");
    }
    let mut command = cargo(tools);
    command
        .current_dir(&workspace.root)
        .arg(if has_clippy { "clippy" } else { "check" })
        .args(["--package", "tracer-ebpf", "--bins", "--release"])
        .args(["--target", TARGET, "-Z", "build-std=core"])
        // Two compilers in one target directory would undo each other's work.
        .arg("--target-dir")
        .arg(workspace.target.join("xtask-ebpf"))
        .env("CARGO_ENCODED_RUSTFLAGS", flags())
        // The compiler is a stable one; build-std is not.
        .env("RUSTC_BOOTSTRAP", "1")
        .env_remove("RUSTC");
    tools.apply(&mut command)?;
    exec::stream(&mut command, "the lint run of tracer-ebpf")
}

/// The flags of the real build that the code can see, and no warning allowed.
fn flags() -> String {
    let arch = format!("--cfg=bpf_target_arch=\"{}\"", std::env::consts::ARCH);
    [&arch, "-Cdebuginfo=2", "-Dwarnings"].join("\x1f")
}

fn cargo(tools: &EbpfTools) -> Command {
    match &tools.toolchain {
        Some(name) => {
            let mut command = Command::new("rustup");
            command.args(["run", name, "cargo"]);
            command
        }
        None => Command::new("cargo"),
    }
}
