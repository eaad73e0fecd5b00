//! The live tests: built as the user, run as root, because only the run loads probes.

use std::env;
use std::ffi::OsStr;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::build::Products;
use crate::elevate::Elevation;
use crate::exec;
use crate::setup::EbpfTools;
use crate::workspace::Workspace;

/// The test target of package tracer that holds them, every test in it ignored by default.
pub const TARGET: &str = "live";

/// Settings that tests take from the environment, which sudo would clear.
const SETTINGS: [&str; 4] = [
    "LIVE_PATIENCE",
    "SCALE_PROCESSES",
    "SCALE_SECONDS",
    "STRESS_SECONDS",
];

/// One line of cargo's `--message-format=json`, as far as it matters here.
#[derive(Deserialize)]
struct Message {
    reason: String,
    target: Option<Target>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// Builds and runs the tests whose names contain `filter`.
pub fn run(
    workspace: &Workspace,
    tools: &EbpfTools,
    products: &Products,
    elevation: Elevation,
    filter: &str,
) -> Result<()> {
    let package = workspace.root.join("tracer");
    let files = [format!("{TARGET}.rs"), format!("{TARGET}/main.rs")];
    if !files
        .iter()
        .any(|file| package.join("tests").join(file).exists())
    {
        println!("      tracer/tests has no {TARGET} tests yet");
        return Ok(());
    }
    let executable = build(workspace, tools)?;
    let settings = SETTINGS.map(|name| (name, env::var_os(name)));
    let settings = settings
        .iter()
        .filter_map(|(name, value)| Some((*name, value.as_deref()?)));
    let variables: Vec<(&str, &OsStr)> = [
        ("TRACER_BIN", products.tracer.as_os_str()),
        ("WORKLOAD_BIN", products.workload.as_os_str()),
        ("CARGO_MANIFEST_DIR", package.as_os_str()),
    ]
    .into_iter()
    .chain(settings)
    .collect();
    elevation.prepare()?;
    let mut command = elevation.command(executable.as_os_str(), &variables)?;
    command
        .current_dir(&package)
        .args(["--ignored", "--test-threads=1"])
        .args(Some(filter).filter(|filter| !filter.is_empty()));
    exec::stream(&mut command, "the live tests")
}

/// Over the whole workspace and unoptimised, as in the step before: nothing is compiled twice. The
/// programs under test are the release ones all the same.
pub fn build(workspace: &Workspace, tools: &EbpfTools) -> Result<PathBuf> {
    let mut command = workspace.cargo();
    command
        .args(["test", "--workspace", "--exclude", "workload-tcmalloc"])
        .args(["--test", TARGET, "--no-run"])
        .arg("--message-format=json-render-diagnostics");
    tools.apply(&mut command)?;
    let messages = exec::capture(&mut command, "building the live tests")?;
    find_executable(&messages)
        .with_context(|| format!("cargo built no test executable named {TARGET}: is it enabled?"))
}

/// The test executable that cargo's messages name.
pub fn find_executable(messages: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok())
        .filter(|message| message.reason == "compiler-artifact")
        .filter(|message| {
            let target = message.target.as_ref();
            target.is_some_and(|target| target.name == TARGET)
        })
        .find_map(|message| message.executable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_is_the_live_artifacts() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"tracer"},"executable":"/t/tracer"}
{"reason":"compiler-artifact","target":{"name":"live"},"executable":"/t/live-1f"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(find_executable(messages), Some(PathBuf::from("/t/live-1f")));
        assert_eq!(find_executable("not json\n"), None);
    }
}
