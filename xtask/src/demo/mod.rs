//! The seed experiment under two allocators: runs it twice under the tracer, prints both side by
//! side.
//!
//! The tracer and the workload say what happened, each by itself; this only lays it out.

mod amount;
mod calls;
mod experiment;
mod explain;
mod ledger;
mod page;
mod report;
mod steps_table;
mod table;
mod witness;

use std::io::{IsTerminal, Write, stdout};

use anyhow::{Context, Result};

use crate::build::{self, Profile};
use crate::elevate::Elevation;
use crate::setup::{self, Scope};
use crate::steps::Steps;
use crate::workspace::Workspace;
use experiment::{ALLOCATORS, Allocator};

/// Set-up, build, two runs, one page.
pub fn run(workspace: &Workspace, elevation: Elevation) -> Result<()> {
    let mut steps = Steps::new(2 + ALLOCATORS.len());
    let tools = steps.run("set-up", || setup::run(workspace, Scope::Build))?;
    let products = steps.run("release build", || {
        build::products(workspace, &tools, Profile::Release)
    })?;
    elevation.prepare()?;
    let folder = workspace.target.join("demo");
    let mut observe = |allocator: Allocator| {
        let name = format!("the seed experiment on {}", allocator.label);
        steps.run(&name, || {
            experiment::run(&products, elevation, &folder, allocator)
        })
    };
    let [one, two] = ALLOCATORS;
    let runs = [observe(one)?, observe(two)?];
    let mut text = page::render(&runs, page::Paint::new(stdout().is_terminal()));
    text.push_str(&format!("Both reports in full: {}\n", folder.display()));
    stdout()
        .write_all(text.as_bytes())
        .context("cannot print the comparison")
}
