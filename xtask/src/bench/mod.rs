//! What tracing costs, measured side by side: sections in, docs/performance.md out.
//!
//! Programs are built and criterion runs as the caller. What needs root (attaching to processes)
//! runs in this same program once more, elevated, which tells its results on standard output.
//! Nothing here asserts a time: figures are written down, with whether a goal was reached.

mod attached;
mod audit;
mod calls;
mod growth;
mod machine;
mod once;
mod pacer;
mod page;
mod rates;
mod section;
mod spread;
mod user;
mod variant;

use std::env;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::build::{self, Products, Profile};
use crate::elevate::Elevation;
use crate::exec;
use crate::setup::{self, Scope};
use crate::steps::elapsed;
use crate::workspace::Workspace;
use section::{NAMES, Section, Where};

/// What to measure, and how long.
#[derive(Debug, Clone, clap::Args)]
pub struct Settings {
    /// Only these sections: calls, host, audit, rates, once, growth, user
    #[arg(value_name = "SECTION", value_parser = NAMES)]
    sections: Vec<String>,
    /// Only variants (of calls and host) whose name contains this
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// One round of each, to see that it works; docs/performance.md stays as it is
    #[arg(long)]
    quick: bool,
    /// Minutes that the measurements may take; rounds and steps that do not fit are left out
    #[arg(long, value_name = "MINUTES", default_value = "20", value_parser = clap::value_parser!(u64).range(1..=600))]
    minutes: u64,
    /// Install the other tracers that are compared with (apt: bpftrace, strace, linux-perf,
    /// bpfcc-tools)
    #[arg(long)]
    peers: bool,
}

/// One section, measured as root, its results as JSON on standard output.
#[derive(Debug, Clone, clap::Args)]
pub struct Live {
    section: String,
    #[arg(long)]
    tracer: PathBuf,
    #[arg(long)]
    workload: PathBuf,
    #[arg(long)]
    quick: bool,
    #[arg(long)]
    only: Option<String>,
    #[arg(long)]
    seconds: u64,
}

/// What every measurement has at hand.
pub struct Bench {
    products: Products,
    quick: bool,
    only: Option<String>,
    deadline: Instant,
}

impl Bench {
    /// How many rounds there are to be.
    const fn rounds(&self, usual: usize) -> usize {
        if self.quick { 1 } else { usual }
    }

    /// Whether the time is over.
    fn is_over(&self) -> bool {
        Instant::now() >= self.deadline
    }

    /// Whether a variant is to be measured.
    fn wants(&self, name: &str) -> bool {
        self.only
            .as_ref()
            .is_none_or(|only| name.contains(only.as_str()))
    }
}

/// Measures, prints, and writes the document.
pub fn run(workspace: &Workspace, elevation: Elevation, settings: &Settings) -> Result<()> {
    let scope = if settings.peers {
        Scope::Bench
    } else {
        Scope::Build
    };
    let tools = setup::run(workspace, scope)?;
    let products = build::products(workspace, &tools, Profile::Release)?;
    let whole = settings.sections.is_empty();
    let wanted = |name: &str| whole || settings.sections.iter().any(|section| section == name);
    let names: Vec<&str> = NAMES.into_iter().filter(|name| wanted(name)).collect();
    // What compiling takes is no part of the time given.
    let benches = names
        .contains(&"user")
        .then(|| user::build(workspace, &tools))
        .transpose()?;
    elevation.prepare()?;
    let begun = Instant::now();
    let end = begun + Duration::from_secs(60 * settings.minutes);
    let folder = workspace.target.join("bench");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for (index, name) in names.iter().enumerate() {
        let share = section::share(&names, index, end.saturating_duration_since(Instant::now()));
        println!(
            "[{}/{}] {name}, at most {}; {} so far",
            index + 1,
            names.len(),
            elapsed(share),
            elapsed(begun.elapsed())
        );
        let section = match (section::place(name), &benches) {
            (Where::Here, Some(benches)) => {
                user::measure(workspace, benches, settings.quick, share)
            }
            _ => live(elevation, &products, settings, name, share),
        };
        let section = section.unwrap_or_else(|error| Section::failed(name, &error));
        println!("{}", page::text(&section));
        if !settings.quick && settings.only.is_none() {
            section.save(&folder)?;
        }
    }
    if settings.quick || settings.only.is_some() {
        println!("docs/performance.md stays as it is: this was no full measurement");
        return Ok(());
    }
    let document = workspace.root.join("docs/performance.md");
    page::write(&document, &folder, &machine::Machine::look(workspace))?;
    println!("wrote {}", document.display());
    Ok(())
}

/// Runs one section elevated.
fn live(
    elevation: Elevation,
    products: &Products,
    settings: &Settings,
    name: &str,
    share: Duration,
) -> Result<Section> {
    let own = env::current_exe().context("cannot find this program")?;
    let mut command = elevation.command(own.as_os_str(), &[])?;
    command.args(["bench-live", name]);
    command.arg("--tracer").arg(&products.tracer);
    command.arg("--workload").arg(&products.workload);
    command.args(["--seconds", &share.as_secs().max(1).to_string()]);
    command.args(settings.quick.then_some("--quick"));
    if let Some(only) = &settings.only {
        command.args(["--only", only]);
    }
    let said = exec::capture(&mut command, name)?;
    serde_json::from_str(&said).with_context(|| format!("cannot understand the results of {name}"))
}

/// Measures one section and prints its results for the caller above.
pub fn run_live(live: &Live) -> Result<()> {
    ensure!(
        Elevation::find() == Elevation::Root,
        "run `cargo xtask bench`, which elevates what needs it"
    );
    let bench = Bench {
        products: Products {
            tracer: live.tracer.clone(),
            workload: live.workload.clone(),
        },
        quick: live.quick,
        only: live.only.clone(),
        deadline: Instant::now() + Duration::from_secs(live.seconds),
    };
    let section = match live.section.as_str() {
        "calls" => calls::measure(&bench),
        "host" => calls::measure_host(&bench),
        "audit" => audit::measure(&bench),
        "rates" => rates::measure(&bench),
        "once" => once::measure(&bench),
        _ => growth::measure(&bench),
    }?;
    println!("{}", serde_json::to_string(&section)?);
    Ok(())
}
