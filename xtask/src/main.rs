//! The project's tasks, run as `cargo xtask TASK`: typed arguments in, one task run.
//!
//! Each task lives in its own module; nothing here knows how a task works.

mod bench;
mod build;
mod demo;
mod dist;
mod elevate;
mod exec;
mod fuzz;
mod setup;
mod steps;
mod test;
mod tidy;
mod vm;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use crate::build::Profile;
use crate::elevate::Elevation;
use crate::setup::Scope;
use crate::vm::VmArgs;
use crate::workspace::Workspace;

/// The project's tasks
#[derive(Parser)]
#[command(name = "xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Find or install what building the probes needs; only package installation is elevated
    Setup {
        /// Also what the tests need: allocator libraries, strace, python3, a C compiler
        #[arg(long)]
        tests: bool,
    },
    /// Set up, then build the tracer and the workload
    Build(BuildArgs),
    /// Run the same program under two allocators and explain, side by side, what VmSize did
    Demo,
    /// Set up, then run every check and test, stopping at the first failure
    Test(TestArgs),
    /// Run the live tests on other kernels, in emulated machines, and print a table
    Vm(VmArgs),
    /// Make random memory calls under the tracer, and compare its maps with the kernel's
    FuzzLive(fuzz::Settings),
    /// Measure what tracing costs beside other tracers, and write docs/performance.md
    Bench(bench::Settings),
    /// One section of that, as root
    #[command(hide = true)]
    BenchLive(bench::Live),
    /// Check the architecture: purity, module edges, file sizes, reasons for lint exceptions
    Tidy,
    /// Write the man page and the shell completions into the target directory's dist folder
    DistDocs,
}

#[derive(Args)]
struct BuildArgs {
    /// Build optimised (this is the default)
    #[arg(long, conflicts_with = "debug")]
    release: bool,
    /// Build without optimisation
    #[arg(long)]
    debug: bool,
}

#[derive(Args)]
struct TestArgs {
    /// Leave out the live tests, the only ones that need root
    #[arg(long)]
    quick: bool,
    /// Run only the live tests, or only those whose name contains FILTER
    #[arg(long, value_name = "FILTER", num_args = 0..=1, default_missing_value = "", conflicts_with = "quick")]
    live: Option<String>,
}

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    // Elevated by the task itself: it writes no file.
    if let Task::BenchLive(live) = &task {
        return bench::run_live(live);
    }
    elevate::refuse_under_sudo()?;
    let workspace = Workspace::find()?;
    match task {
        Task::Setup { tests } => {
            let scope = if tests { Scope::Tests } else { Scope::Build };
            setup::run(&workspace, scope).map(drop)
        }
        Task::Build(args) => {
            let profile = if args.debug {
                Profile::Debug
            } else {
                Profile::Release
            };
            let tools = setup::run(&workspace, Scope::Build)?;
            build::products(&workspace, &tools, profile).map(drop)
        }
        Task::Demo => demo::run(&workspace, Elevation::find()),
        Task::Test(args) => {
            let extent = match args.live {
                Some(filter) => test::Extent::OnlyLive { filter },
                None if args.quick => test::Extent::Quick,
                None => test::Extent::Everything,
            };
            test::run(&workspace, Elevation::find(), &extent)
        }
        Task::Vm(args) => vm::run(&workspace, &args),
        Task::FuzzLive(settings) => fuzz::run(&workspace, Elevation::find(), &settings),
        Task::Bench(settings) => bench::run(&workspace, Elevation::find(), &settings),
        Task::BenchLive(live) => bench::run_live(&live),
        Task::Tidy => tidy::run(&workspace),
        Task::DistDocs => dist::run(&workspace),
    }
}
