//! Builds the products: set-up tools in, the paths of the two programs out. For tests there are more.

use std::path::PathBuf;

use anyhow::{Result, ensure};

use crate::exec;
use crate::setup::EbpfTools;
use crate::workspace::Workspace;

/// Cargo's two profiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Optimised.
    Release,
    /// For a debugger.
    Debug,
}

/// The programs a build leaves behind.
#[derive(Debug)]
pub struct Products {
    /// The tracer itself.
    pub tracer: PathBuf,
    /// The allocation scenarios.
    pub workload: PathBuf,
}

/// The workload where another malloc has taken the place of the C library's. Only tests run them,
/// and look for them where the workload is.
pub const WORKLOADS_ON_OTHERS: [&str; 2] = ["workload-hardened", "workload-tcmalloc"];

/// Builds the tracer and the workload as the user.
pub fn products(workspace: &Workspace, tools: &EbpfTools, profile: Profile) -> Result<Products> {
    build(workspace, tools, profile, &[])
}

/// The same for all tests: with the workloads that take minutes to compile the first time, for a
/// debugger without them. What is built along with what decides how Cargo builds what both need, so
/// tests that do not run them build them too, lest everything is built twice.
pub fn products_for_tests(
    workspace: &Workspace,
    tools: &EbpfTools,
    profile: Profile,
) -> Result<Products> {
    match profile {
        Profile::Release => build(workspace, tools, profile, &WORKLOADS_ON_OTHERS),
        Profile::Debug => products(workspace, tools, profile),
    }
}

fn build(
    workspace: &Workspace,
    tools: &EbpfTools,
    profile: Profile,
    more: &[&str],
) -> Result<Products> {
    let mut command = workspace.cargo();
    command.args(["build", "--package", "tracer", "--package", "workload"]);
    command.args(more.iter().flat_map(|package| ["--package", package]));
    let folder = match profile {
        Profile::Release => {
            command.arg("--release");
            "release"
        }
        Profile::Debug => "debug",
    };
    tools.apply(&mut command)?;
    exec::stream(&mut command, "cargo build")?;
    let folder = workspace.target.join(folder);
    let products = Products {
        tracer: folder.join("tracer"),
        workload: folder.join("workload"),
    };
    for path in [&products.tracer, &products.workload] {
        ensure!(
            path.is_file(),
            "cargo build left no {}: unset build.target in cargo's configuration",
            path.display()
        );
    }
    Ok(products)
}
