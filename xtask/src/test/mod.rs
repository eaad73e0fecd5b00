//! Every check and test, in order, each with its time; the first failure ends the run.

mod ebpf;
pub mod live;

use anyhow::{Result, bail};

use crate::build::{self, Profile};
use crate::elevate::Elevation;
use crate::exec;
use crate::setup::{self, EbpfTools, Scope};
use crate::steps::Steps;
use crate::tidy;
use crate::vm;
use crate::workspace::Workspace;

/// How much of it runs.
#[derive(Debug)]
pub enum Extent {
    /// All of it.
    Everything,
    /// All but the live tests.
    Quick,
    /// Only the live tests whose name contains the filter.
    OnlyLive {
        /// Empty for all of them.
        filter: String,
    },
}

/// A cargo step that needs no root: its name, its arguments, and a variable it runs under.
struct CargoStep {
    name: &'static str,
    arguments: &'static [&'static str],
    variable: Option<(&'static str, &'static str)>,
}

const fn step(name: &'static str, arguments: &'static [&'static str]) -> CargoStep {
    CargoStep {
        name,
        arguments,
        variable: None,
    }
}

#[rustfmt::skip]
const FORMAT: CargoStep = step("formatting", &["fmt", "--all", "--check"]);

/// The steps between the formatting and the probes' own lint run.
#[rustfmt::skip]
const LINTS: [CargoStep; 3] = [
    step("clippy, user side", &["clippy", "--workspace", "--exclude", "tracer-ebpf", "--exclude", "workload-tcmalloc", "--all-targets", "--", "-D", "warnings"]),
    // Optimised and among those that it is built with later: what it has in C++ is compiled once.
    step("clippy, tcmalloc", &["clippy", "--release", "--package", "tracer", "--package", "workload", "--package", "workload-hardened", "--package", "workload-tcmalloc", "--bin", "workload-tcmalloc", "--", "-D", "warnings"]),
    step("clippy, wire types", &["clippy", "--package", "tracer-ebpf", "--lib", "--", "-D", "warnings"]),
];

/// The steps after it.
#[rustfmt::skip]
const REST: [CargoStep; 3] = [
    CargoStep { variable: DOC_FLAGS, ..step("documentation", &["doc", "--no-deps"]) },
    CargoStep { variable: DOC_FLAGS, ..step("documentation, wire types", &["doc", "--no-deps", "--package", "tracer-ebpf", "--lib"]) },
    step("tests without root", &["test", "--workspace", "--exclude", "workload-tcmalloc"]),
];

const DOC_FLAGS: Option<(&str, &str)> = Some(("RUSTDOCFLAGS", "-Dwarnings"));

/// Runs the steps and prints their times, also when one fails.
pub fn run(workspace: &Workspace, elevation: Elevation, extent: &Extent) -> Result<()> {
    let dry = 3 + LINTS.len() + 1 + REST.len();
    let live = 2;
    let other_kernels = 1;
    let mut steps = Steps::new(match extent {
        Extent::Everything => dry + live + other_kernels,
        Extent::Quick => dry,
        Extent::OnlyLive { .. } => 1 + live,
    });
    let result = run_steps(workspace, elevation, extent, &mut steps);
    println!("\n{}", steps.summary(result.is_err()));
    match result {
        Ok(()) => Ok(()),
        Err(error) => bail!("{error:#}"),
    }
}

fn run_steps(
    workspace: &Workspace,
    elevation: Elevation,
    extent: &Extent,
    steps: &mut Steps,
) -> Result<()> {
    let tools = steps.run("set-up", || setup::run(workspace, Scope::Tests))?;
    if !matches!(extent, Extent::OnlyLive { .. }) {
        dry_steps(workspace, &tools, steps)?;
    }
    let filter = match extent {
        Extent::Quick => return Ok(()),
        Extent::Everything => "",
        Extent::OnlyLive { filter } => filter,
    };
    let products = steps.run("release build", || {
        build::products_for_tests(workspace, &tools, Profile::Release)
    })?;
    steps.run("live tests", || {
        live::run(workspace, &tools, &products, elevation, filter)
    })?;
    if matches!(extent, Extent::Everything) {
        steps.run("other kernels", || vm::sample(workspace))?;
    }
    Ok(())
}

fn dry_steps(workspace: &Workspace, tools: &EbpfTools, steps: &mut Steps) -> Result<()> {
    cargo_step(workspace, tools, steps, &FORMAT)?;
    steps.run("architecture", || tidy::run(workspace))?;
    for step in &LINTS {
        cargo_step(workspace, tools, steps, step)?;
    }
    steps.run("clippy, probes", || ebpf::lint(workspace, tools))?;
    for step in &REST {
        cargo_step(workspace, tools, steps, step)?;
    }
    Ok(())
}

fn cargo_step(
    workspace: &Workspace,
    tools: &EbpfTools,
    steps: &mut Steps,
    step: &CargoStep,
) -> Result<()> {
    steps.run(step.name, || {
        let mut command = workspace.cargo();
        command.args(step.arguments).envs(step.variable);
        tools.apply(&mut command)?;
        exec::stream(&mut command, &format!("cargo {}", step.arguments.join(" ")))
    })
}
