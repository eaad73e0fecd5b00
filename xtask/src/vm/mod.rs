//! Other kernels: boots each in an emulated machine, runs the live tests there, prints a table.
//!
//! Kernels are Debian's own packages. Nothing of the guest touches this system, so neither root
//! nor virtualisation is needed, except for the installation of the emulator.

mod archive;
mod guest;
mod kernels;
mod machine;
mod table;
mod verdict;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::build::{self, Profile};
use crate::exec;
use crate::setup::{self, EbpfTools, Scope};
use crate::steps::Steps;
use crate::test::live;
use crate::workspace::Workspace;
use kernels::{Arch, Choice, Kernel, Series};
use table::Row;
use verdict::{Outcome, Verdict};

/// Supported from the oldest on, and the long-lived ones; the newest is found.
const USUAL: [Series; 3] = [Series::new(5, 10), Series::new(6, 1), Series::new(6, 12)];
/// The two that differ most.
const QUICK: [Series; 1] = [Series::new(5, 10)];
/// How often a kernel is booted that crashes before it runs anything.
const BOOTS: u32 = 3;
/// How many lines of a console an error repeats.
const TAIL: usize = 40;

/// What `cargo xtask vm` takes.
#[derive(Debug, Args)]
pub struct VmArgs {
    /// Only these series of kernels, as in 5.10,6.1
    #[arg(long, value_name = "SERIES", value_delimiter = ',', conflicts_with_all = ["all", "quick"])]
    kernel: Vec<Series>,
    /// Every series that Debian has
    #[arg(long, conflicts_with = "quick")]
    all: bool,
    /// Only the oldest and the newest kernel
    #[arg(long)]
    quick: bool,
    /// The architecture of the guests
    #[arg(long, value_enum, default_value_t = Arch::Amd64)]
    arch: Arch,
    /// Test the programs built without optimisation
    #[arg(long)]
    debug: bool,
    /// A Debian mirror, where the system's own apt knows none
    #[arg(long, value_name = "ADDRESS")]
    mirror: Option<String>,
    /// How many minutes a kernel's tests may take
    #[arg(long, value_name = "MINUTES", default_value_t = 45)]
    limit: u64,
    /// Only tests whose names contain one of these
    #[arg(value_name = "FILTER")]
    filters: Vec<String>,
}

impl VmArgs {
    fn choice(&self) -> Choice {
        if !self.kernel.is_empty() {
            Choice::Only(self.kernel.clone())
        } else if self.all {
            Choice::All
        } else if self.quick {
            Choice::AndNewest(QUICK.to_vec())
        } else {
            Choice::AndNewest(USUAL.to_vec())
        }
    }
}

/// Runs it all; fails if the tests of any kernel did.
pub fn run(workspace: &Workspace, args: &VmArgs) -> Result<()> {
    if args.arch.machine() != env::consts::ARCH {
        bail!(
            "guests of {} need the tracer built for it, and this task builds for this machine ({}) only: run it on a machine of that kind",
            args.arch.machine(),
            env::consts::ARCH
        );
    }
    let folder = workspace.target.join("vm");
    let logs = folder.join("logs");
    fs::create_dir_all(&logs).with_context(|| format!("cannot create {}", logs.display()))?;
    let mut steps = Steps::new(4);
    let tools = steps.run("set-up", || setup::run(workspace, Scope::Vm))?;
    let kernels = steps.run("kernels", || {
        kernels::fetch(&folder, args.arch, &args.choice(), args.mirror.as_deref())
    })?;
    let image = folder.join(format!("initramfs-{}", args.arch.debian()));
    steps.run("programs for the guest", || {
        let programs = build_programs(workspace, &tools, args, &folder)?;
        guest::build(&image, &folder.join("programs"), &programs, &args.filters)
    })?;
    let rows = steps.run("tests", || {
        kernels
            .iter()
            .map(|kernel| test_kernel(args, kernel, &image, &logs))
            .collect::<Result<Vec<Row>>>()
    })?;
    println!("\n{}", table::render(&rows));
    let bad = rows
        .iter()
        .filter(|row| row.outcome.verdict != Verdict::Passed);
    match bad.count() {
        0 => Ok(()),
        count => bail!(
            "the tests did not pass on {count} of {} kernels; their consoles are in {}",
            rows.len(),
            logs.display()
        ),
    }
}

/// The same programs as the live tests of this system use.
fn build_programs(
    workspace: &Workspace,
    tools: &EbpfTools,
    args: &VmArgs,
    folder: &Path,
) -> Result<guest::Programs> {
    let profile = if args.debug {
        Profile::Debug
    } else {
        Profile::Release
    };
    let products = build::products(workspace, tools, profile)?;
    let sources = &workspace.root;
    Ok(guest::Programs {
        tracer: products.tracer,
        workload: products.workload,
        live: live::build(workspace, tools)?,
        seed: compile(&sources.join("workload/c/seed.c"), folder.join("seed"), &[])?,
        verifier: compile(
            &sources.join("tracer/tests/live/verifier.c"),
            folder.join("verifier.so"),
            &["-shared", "-fPIC"],
        )?,
    })
}

/// There is no compiler in the guest.
fn compile(source: &Path, program: PathBuf, options: &[&str]) -> Result<PathBuf> {
    let mut compiler = Command::new("gcc");
    compiler.arg("-O2").args(options);
    compiler.arg("-o").arg(&program).arg(source);
    exec::stream(&mut compiler, "gcc")?;
    Ok(program)
}

fn test_kernel(args: &VmArgs, kernel: &Kernel, image: &Path, logs: &Path) -> Result<Row> {
    let limit = Duration::from_secs(args.limit * 60);
    let log = logs.join(format!("{}.log", kernel.release));
    println!("      {}", kernel.release);
    let mut boots = 0;
    loop {
        boots += 1;
        let run = machine::run(args.arch, kernel, image, &log, limit)?;
        let outcome = Outcome::read(&run.console, run.ending);
        if outcome.verdict == Verdict::NoBoot && boots < BOOTS {
            println!("      it did not boot, once more");
            continue;
        }
        explain(&outcome.verdict, &run.console, &log, args.limit);
        return Ok(Row {
            release: kernel.release.clone(),
            took: run.took,
            outcome,
        });
    }
}

/// What to know of a kernel whose tests did not pass.
fn explain(verdict: &Verdict, console: &str, log: &Path, limit: u64) {
    let what = match verdict {
        Verdict::Passed => return,
        Verdict::Failed(names) => format!("failed: {}", names.join(", ")),
        Verdict::Broke => "it broke off in the midst of the tests".to_owned(),
        Verdict::NoBoot => format!("it did not boot in {BOOTS} attempts"),
        Verdict::TimedOut => {
            format!("not over after {limit} minutes: `--limit MINUTES` gives it more")
        }
    };
    println!(
        "      {what}; the end of {}:\n{}",
        log.display(),
        exec::tail(console, TAIL)
    );
}
