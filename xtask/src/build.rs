//! Builds the products: set-up tools in, the paths of the two programs out.

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

/// Builds the tracer and the workload as the user.
pub fn products(workspace: &Workspace, tools: &EbpfTools, profile: Profile) -> Result<Products> {
    let mut command = workspace.cargo();
    command.args(["build", "--package", "tracer", "--package", "workload"]);
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
