//! The papers of a release: asks the built tracer for its man page and completions, writes them.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use crate::build::{self, Profile};
use crate::exec;
use crate::setup::{self, Scope};
use crate::workspace::Workspace;

/// What `tracer --generate` can print, and where distributions expect it.
const PAPERS: [(&str, &str); 4] = [
    ("man", "man/tracer.1"),
    ("bash", "bash-completion/tracer"),
    ("zsh", "zsh/_tracer"),
    ("fish", "fish/tracer.fish"),
];

/// Builds, then writes each paper under `dist` in the target directory.
pub fn run(workspace: &Workspace) -> Result<()> {
    let tools = setup::run(workspace, Scope::Build)?;
    let products = build::products(workspace, &tools, Profile::Release)?;
    for (kind, name) in PAPERS {
        let what = format!("tracer --generate {kind}");
        let mut command = Command::new(&products.tracer);
        let text = exec::capture(command.args(["--generate", kind]), &what)?;
        let path = workspace.target.join("dist").join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot create {}", folder.display()))?;
        }
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        println!("{}", path.display());
    }
    Ok(())
}
