//! One run: the workload under the tracer; its own words and the tracer's report out.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context, Result};

use super::report::{self, Process};
use super::witness::{self, Step};
use crate::build::Products;
use crate::elevate::Elevation;
use crate::exec;

/// An allocator the workload can use.
#[derive(Debug, Clone, Copy)]
pub struct Allocator {
    /// The workload's argument.
    pub argument: &'static str,
    /// What it is called on the page.
    pub label: &'static str,
}

/// The two that are compared.
pub const ALLOCATORS: [Allocator; 2] = [
    Allocator {
        argument: "system",
        label: "glibc's ptmalloc",
    },
    Allocator {
        argument: "jemalloc",
        label: "jemalloc",
    },
];

/// What both witnesses said.
#[derive(Debug)]
pub struct Run {
    /// The allocator's name on the page.
    pub label: &'static str,
    /// The workload's own steps, read from its own `/proc/self/status`.
    pub steps: Vec<Step>,
    /// The tracer's report of that process.
    pub process: Process,
}

/// Runs the experiment and reads what both sides wrote.
pub fn run(
    products: &Products,
    elevation: Elevation,
    folder: &Path,
    allocator: Allocator,
) -> Result<Run> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let file = folder.join(format!("{}.json", allocator.argument));
    // Created here, it stays the user's when the elevated tracer writes it.
    File::create(&file).with_context(|| format!("cannot create {}", file.display()))?;
    let mut command = elevation.command(products.tracer.as_os_str(), &[])?;
    command
        .args(["-q", "--format", "json", "-o"])
        .arg(&file)
        .args([OsStr::new("--"), products.workload.as_os_str()])
        .args(["seed", "--format", "json", "--allocator"])
        .arg(allocator.argument);
    let what = format!("tracing the workload on {}", allocator.label);
    let said = exec::capture(&mut command, &what)?;
    let json = fs::read_to_string(&file)
        .with_context(|| format!("cannot read the report {}", file.display()))?;
    let process = report::parse(&json)
        .with_context(|| format!("cannot understand the report {}", file.display()))?;
    Ok(Run {
        label: allocator.label,
        steps: witness::parse(&said)?,
        process,
    })
}
