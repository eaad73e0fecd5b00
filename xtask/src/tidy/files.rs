//! Source files: a folder in, every Rust file below it out, with its place in its crate.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// The folder of the modules that purity and module edges are about.
const TRACER: &str = "tracer/src/";

/// One Rust file.
#[derive(Debug)]
pub struct Source {
    /// Its path from the workspace root.
    pub path: String,
    /// Its text.
    pub text: String,
}

impl Source {
    /// The text before a trailing `#[cfg(test)] mod tests { … }`.
    pub fn code(&self) -> &str {
        let mut start = 0;
        for line in self.text.split_inclusive('\n') {
            let next = start + line.len();
            if line.trim_end() == "#[cfg(test)]" {
                let module = self.text[next..]
                    .lines()
                    .find(|line| !line.starts_with("#["));
                if module.is_some_and(|line| line.starts_with("mod ") && line.ends_with('{')) {
                    return &self.text[..start];
                }
            }
            start = next;
        }
        &self.text
    }

    /// Where it stands among the tracer's modules, `view/table.rs` as `[view, table]`; nothing for
    /// other crates' files and for modules of tests.
    pub fn tracer_module(&self) -> Option<Vec<&str>> {
        let path = self.path.strip_prefix(TRACER)?.strip_suffix(".rs")?;
        let mut parts: Vec<&str> = path.split('/').collect();
        if parts.last() == Some(&"mod") {
            parts.pop();
        }
        (!self.is_test_module()).then_some(parts)
    }

    /// Whether it is a `mod tests;` of its own, or a part of one.
    pub fn is_test_module(&self) -> bool {
        let inside = self.path.split_once("/src/").map(|(_, inside)| inside);
        inside.is_some_and(|path| {
            path.split('/')
                .any(|part| part == "tests" || part == "tests.rs")
        })
    }
}

/// Every Rust file of the workspace, in a stable order.
pub fn read(root: &Path) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    walk(root, root, &mut sources)?;
    sources.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(sources)
}

fn walk(root: &Path, folder: &Path, sources: &mut Vec<Source>) -> Result<()> {
    let cannot_read = |path: &Path| format!("cannot read {}", path.display());
    let entries = fs::read_dir(folder).with_context(|| cannot_read(folder))?;
    for entry in entries {
        let entry = entry.with_context(|| cannot_read(folder))?;
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let kind = entry.file_type().with_context(|| cannot_read(&path))?;
        if kind.is_dir() && !name.starts_with('.') && name != "target" {
            walk(root, &path, sources)?;
        } else if kind.is_file() && name.ends_with(".rs") {
            let relative = path.strip_prefix(root).unwrap_or(&path);
            sources.push(Source {
                path: relative.to_string_lossy().into_owned(),
                text: fs::read_to_string(&path).with_context(|| cannot_read(&path))?,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn trailing_tests_are_no_code() {
        let text = "fn a() {}\n#[cfg(test)]\n#[expect(x)]\nmod tests {\n    fn b() {}\n}\n";
        assert_eq!(source("x.rs", text).code(), "fn a() {}\n");
        let text = "#[cfg(test)]\nmod tests;\nfn a() {}\n";
        assert_eq!(source("x.rs", text).code(), text);
        assert_eq!(source("x.rs", "fn a() {}").code(), "fn a() {}");
    }

    #[test]
    fn modules_are_named_by_their_place() {
        let module = |path| source(path, "").tracer_module().map(|m| m.join("::"));
        assert_eq!(
            module("tracer/src/view/table.rs").as_deref(),
            Some("view::table")
        );
        assert_eq!(module("tracer/src/view/mod.rs").as_deref(), Some("view"));
        assert_eq!(module("tracer/src/event.rs").as_deref(), Some("event"));
        assert_eq!(module("tracer/src/space/tests.rs"), None);
        assert_eq!(module("tracer/src/space/tests/kernel.rs"), None);
        assert_eq!(module("xtask/src/main.rs"), None);
    }
}
