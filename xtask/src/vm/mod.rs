//! Other kernels: boots each in an emulated machine, runs the live tests there, prints a table.
//!
//! Kernels are Debian's own packages. Nothing of the guest touches this system, so neither root
//! nor virtualisation is needed, except for the installation of the emulator.

mod apt;
mod arch;
mod archive;
mod cross;
mod emulator;
mod image;
mod kernels;
mod machine;
mod mirror;
mod native;
mod packages;
mod systemd;
mod table;
mod verdict;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::build::Profile;
use crate::exec;
use crate::setup::{self, EbpfTools};
use crate::steps::Steps;
use crate::workspace::Workspace;
use apt::Apt;
use arch::Arch;
use emulator::Emulator;
use image::Items;
use kernels::{Choice, Kernel, Series};
use table::Row;
use verdict::{Outcome, Verdict};

/// Supported from the oldest on, and the long-lived ones; the newest is found.
const USUAL: [Series; 3] = [Series::new(5, 10), Series::new(6, 1), Series::new(6, 12)];
/// The two that differ most.
const QUICK: [Series; 1] = [Series::new(5, 10)];
/// Tests that show at once whether a kernel's verifier takes the probes, whether they see
/// what they should, and whether the model holds.
const SAMPLE: [&str; 3] = ["probes", "short", "seed::glibc"];
/// Minutes that they may take.
const SAMPLE_LIMIT: u64 = 15;
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
    /// Boot Debian's systemd of this suite, and test the unit under it
    #[arg(long, value_name = "SUITE", num_args = 0..=1, require_equals = true, default_missing_value = "stable", conflicts_with = "arch")]
    systemd: Option<String>,
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
    const fn profile(&self) -> Profile {
        if self.debug {
            Profile::Debug
        } else {
            Profile::Release
        }
    }

    fn filters(&self) -> Vec<String> {
        if !self.filters.is_empty() {
            self.filters.clone()
        } else if self.systemd.is_some() {
            vec![systemd::FILTER.to_owned()]
        } else if !self.arch.is_native() {
            cross::FILTERS.map(str::to_owned).to_vec()
        } else {
            Vec::new()
        }
    }

    /// What tells guests of this kind from others, in names of files.
    fn guest(&self) -> String {
        let arch = self.arch.debian();
        match &self.systemd {
            Some(suite) => format!("{arch}-systemd-{suite}"),
            None => arch.to_owned(),
        }
    }

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

/// Runs it all; fails if the tests of any kernel did not pass.
pub fn run(workspace: &Workspace, args: &VmArgs) -> Result<()> {
    let rows = test(workspace, args)?;
    let bad = rows
        .iter()
        .filter(|row| row.outcome.verdict != Verdict::Passed);
    match bad.count() {
        0 => Ok(()),
        count => bail!(
            "the tests did not pass on {count} of {} kernels; their consoles are in the target \
             directory's vm/logs",
            rows.len(),
        ),
    }
}

/// Runs a few tests on the oldest kernel, for every run of the tests. Fails if one of them
/// does; where there is no such machine to be had, that is said and no failure.
pub fn sample(workspace: &Workspace) -> Result<()> {
    let args = VmArgs {
        kernel: QUICK.to_vec(),
        all: false,
        quick: false,
        arch: Arch::Amd64,
        systemd: None,
        debug: false,
        mirror: None,
        limit: SAMPLE_LIMIT,
        filters: SAMPLE.map(str::to_owned).to_vec(),
    };
    let rows = match test(workspace, &args) {
        Ok(rows) => rows,
        Err(error) => {
            println!("      skipped, no other kernel could be run: {error:#}");
            return Ok(());
        }
    };
    for row in &rows {
        match &row.outcome.verdict {
            Verdict::Passed => {}
            Verdict::Failed(names) => {
                bail!(
                    "on {} these tests failed: {}",
                    row.release,
                    names.join(", ")
                )
            }
            _ => println!(
                "      {}: could not tell, the emulated machine did not come to an end",
                row.release
            ),
        }
    }
    Ok(())
}

fn test(workspace: &Workspace, args: &VmArgs) -> Result<Vec<Row>> {
    if args.arch == Arch::Amd64 && !args.arch.is_native() {
        bail!(
            "guests of amd64 need the tracer built for it, and this task crosses only from there to arm64: run it on such a machine, or with --arch arm64"
        );
    }
    let folder = workspace.target.join("vm");
    let mut logs = folder.join("logs");
    if args.systemd.is_some() {
        logs.push(args.guest());
    }
    fs::create_dir_all(&logs).with_context(|| format!("cannot create {}", logs.display()))?;
    let mut steps = Steps::new(5);
    let tools = steps.run("set-up", || setup::run(workspace, args.arch.scope()))?;
    let emulator = steps.run("emulator", || {
        Emulator::find(args.arch, &folder.join("emulator"))
    })?;
    let name = args.arch.debian();
    let (apt, kernels) = steps.run("kernels", || {
        let apt = Apt::open(
            folder.join("apt").join(name),
            args.arch,
            args.mirror.as_deref(),
        )?;
        let kernels = kernels::fetch(&apt, &folder, args.arch, &args.choice())?;
        Ok((apt, kernels))
    })?;
    let image = folder.join(format!("initramfs-{}", args.guest()));
    steps.run("programs for the guest", || {
        let items = contents(workspace, args, &tools, &apt, &folder)?;
        image::write(&image, &items, &args.filters())
    })?;
    let rows = steps.run("tests", || {
        kernels
            .iter()
            .map(|kernel| test_kernel(args, &emulator, kernel, &image, &logs))
            .collect::<Result<Vec<Row>>>()
    })?;
    println!("\n{}", table::render(&rows));
    Ok(rows)
}

/// All that is in the guests.
fn contents(
    workspace: &Workspace,
    args: &VmArgs,
    tools: &EbpfTools,
    apt: &Apt,
    folder: &Path,
) -> Result<Items> {
    let name = args.arch.debian();
    let own = folder.join("programs").join(name);
    let busybox = busybox(apt, &own)?;
    if !args.arch.is_native() {
        let programs = cross::build(workspace, tools, &own)?;
        return Ok(cross::items(&programs, &busybox));
    }
    let programs = native::build(workspace, tools, args.profile(), &own)?;
    let Some(suite) = &args.systemd else {
        return native::items(&programs, &busybox);
    };
    let root = systemd::unpack(apt, suite, &folder.join("systemd").join(name))?;
    systemd::items(workspace, &programs, &busybox, &root)
}

/// The first process of a guest, or what it needs: a program that needs no library.
fn busybox(apt: &Apt, folder: &Path) -> Result<PathBuf> {
    let root = folder.join("busybox");
    if !root.exists() {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        apt.unpack("busybox-static", &root)?;
    }
    ["usr/bin/busybox", "bin/busybox"]
        .iter()
        .map(|name| root.join(name))
        .find(|path| path.is_file())
        .context("the package busybox-static has no busybox in it")
}

fn test_kernel(
    args: &VmArgs,
    emulator: &Emulator,
    kernel: &Kernel,
    image: &Path,
    logs: &Path,
) -> Result<Row> {
    let limit = Duration::from_secs(args.limit * 60);
    let log = logs.join(format!("{}.log", kernel.release));
    println!("      {}", kernel.release);
    let mut boots = 0;
    loop {
        boots += 1;
        let run = machine::run(emulator, (args.arch, kernel, image), &log, limit)?;
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
