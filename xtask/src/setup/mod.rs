//! Set-up: what is on this system in, a compiler and a linker for the probes out.
//!
//! It looks first and installs only what is missing, so a second run does nothing. The user's
//! own toolchains and `~/.cargo` are left as they are; only apt runs as root.

mod apt;
mod compiler;
mod distribution;
mod linker;
mod needs;
mod plan;
mod versions;

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::elevate::Elevation;
use crate::exec;
use crate::steps::Steps;
use crate::workspace::Workspace;
use compiler::Handle;
use needs::Need;
use plan::Plan;

/// How much is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// What building and the demo need.
    Build,
    /// Also what the tests need.
    Tests,
    /// Also the tracers that are compared with.
    Bench,
    /// What building and emulated machines of this one's kind need.
    Vm,
    /// What building for arm64 machines and emulating them need.
    VmArm64,
}

/// What the build of the probes is given.
#[derive(Debug)]
pub struct EbpfTools {
    /// The rustup name of the compiler; nothing where rustup does not manage it.
    pub toolchain: Option<String>,
    /// The folder that holds that compiler's `bin`.
    pub sysroot: PathBuf,
    /// The linker program.
    pub linker: PathBuf,
}

impl EbpfTools {
    /// Hands the tools to a cargo command: the toolchain by name, the linker through `PATH`.
    pub fn apply(&self, command: &mut Command) -> Result<()> {
        // Without rustup any name will do: the build script then uses the compiler in use.
        let name = self.toolchain.as_deref().unwrap_or("current");
        command.env(compiler::TOOLCHAIN_VARIABLE, name);
        let folder = self.linker.parent().unwrap_or(Path::new("."));
        prepend_path(command, folder)
    }
}

/// Finds what `scope` needs, installs what is missing, says what it found.
pub fn run(workspace: &Workspace, scope: Scope) -> Result<EbpfTools> {
    let plan = survey(workspace)?;
    let missing = needs::missing(scope, &plan);
    let parts = scope == Scope::Tests && !compiler::has_lint_tools();
    if missing.is_empty() && !parts && plan.is_ready() {
        return finish(plan);
    }
    let linker_missing = plan.linker.is_none();
    let link_missing = !plan.compiler.as_ref().is_some_and(|c| c.is_usable());
    let count = [!missing.is_empty(), parts, linker_missing, link_missing];
    let mut steps = Steps::new(count.into_iter().filter(|wanted| *wanted).count());

    if !missing.is_empty() {
        install_packages(workspace, &missing, &plan, &mut steps)?;
    }
    if parts {
        steps.run("adding clippy and rustfmt to your toolchain", || {
            let mut command = Command::new("rustup");
            command.args(["component", "add", "clippy", "rustfmt"]);
            exec::stream(&mut command, "rustup component add")
        })?;
    }
    if linker_missing {
        let name = format!("building bpf-linker {} (a minute or two)", linker::VERSION);
        steps.run(&name, || linker::install(workspace))?;
    }
    let plan = survey(workspace)?;
    if let Some(found) = &plan.compiler
        && let Handle::Unlinked(folder) = &found.handle
    {
        let name = format!("naming it for rustup: {}", compiler::LINKED_NAME);
        steps.run(&name, || compiler::link(folder))?;
    }
    finish(survey(workspace)?)
}

fn survey(workspace: &Workspace) -> Result<Plan> {
    let compilers = compiler::find()?;
    let linkers = linker::find(&workspace.tools());
    Ok(plan::choose(&compilers, &linkers))
}

fn install_packages(
    workspace: &Workspace,
    missing: &[Need],
    plan: &Plan,
    steps: &mut Steps,
) -> Result<()> {
    let wanted = needs::describe(missing);
    println!("not on this system yet:\n{wanted}");
    if !apt::available() {
        bail!(
            "{} has no apt to install them with:\n{}",
            distribution::name(),
            needs::instructions(missing, plan)
        );
    }
    let tools = workspace.tools();
    std::fs::create_dir_all(&tools)
        .with_context(|| format!("cannot create {}", tools.display()))?;
    steps.run("installing packages", || {
        let unavailable = apt::install(missing, Elevation::find(), &tools.join("apt.log"))?;
        if unavailable.is_empty() {
            return Ok(());
        }
        bail!(
            "{} has no suitable package for some of them:\n{}",
            distribution::name(),
            needs::instructions(&unavailable, plan)
        )
    })
}

/// Puts `folder` before everything else a command finds programs in.
fn prepend_path(command: &mut Command, folder: &Path) -> Result<()> {
    let old = env::var_os("PATH").unwrap_or_default();
    let folders = [folder.to_owned()]
        .into_iter()
        .chain(env::split_paths(&old));
    let path = env::join_paths(folders).with_context(|| {
        format!(
            "cannot put {} on PATH: move the target directory to a name without colons",
            folder.display()
        )
    })?;
    command.env("PATH", path);
    Ok(())
}

fn finish(plan: Plan) -> Result<EbpfTools> {
    let Plan {
        compiler: Some(compiler),
        linker: Some(linker),
    } = plan
    else {
        bail!(
            "set-up ended without a matching compiler and linker:\n{}",
            needs::instructions(&[], &plan)
        );
    };
    let toolchain = match compiler.handle {
        Handle::Rustup(name) => Some(name),
        Handle::Current => None,
        Handle::Unlinked(folder) => bail!(
            "rustup did not take {} as a toolchain: run `rustup toolchain link {} {}` and look at its answer",
            folder.display(),
            compiler::LINKED_NAME,
            folder.display()
        ),
    };
    println!(
        "set-up: rustc {} (LLVM {}) as {} and bpf-linker (LLVM {}) for the probes",
        compiler.versions.release,
        compiler.versions.llvm,
        toolchain.as_deref().unwrap_or("the current toolchain"),
        linker.llvm,
    );
    Ok(EbpfTools {
        toolchain,
        sysroot: compiler.sysroot,
        linker: linker.path,
    })
}
