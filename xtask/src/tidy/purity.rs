//! The pure modules take time, memory and files as arguments: they name no such thing themselves.

use super::Fault;
use super::files::Source;
use super::paths::mentions;
use super::tokens::tokens;

/// The top-level modules of the tracer that are pure.
pub const PURE: &[&str] = &[
    "units",
    "event",
    "heap",
    "space",
    "attribute",
    "audit",
    "cost",
    "report",
    "diagnosis",
    "track",
    "view",
    "session",
];

/// What they do not name, nor anything below it.
#[rustfmt::skip]
const BANNED: &[&[&str]] = &[
    &["std", "fs"], &["std", "net"], &["std", "process"], &["std", "thread"], &["std", "env"],
    &["std", "time", "Instant"], &["std", "time", "SystemTime"],
    &["aya"], &["aya_log"], &["tokio"], &["libc"],
];

/// The mentions of banned names in pure modules.
pub fn check(sources: &[Source]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for source in sources {
        let module = source.tracer_module();
        if !module.is_some_and(|module| PURE.contains(&module[0])) {
            continue;
        }
        for mention in mentions(&tokens(source.code())) {
            let below = |banned: &&&[&str]| mention.names.starts_with(banned);
            let above = |banned: &&&[&str]| mention.imported && banned.starts_with(&mention.names);
            if let Some(banned) = BANNED.iter().find(|b| below(b) || above(b)) {
                faults.push(Fault {
                    file: source.path.clone(),
                    line: Some(mention.line),
                    message: format!(
                        "a pure module names {} (through {}): take it as an argument",
                        banned.join("::"),
                        mention.names.join("::")
                    ),
                });
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(path: &str, text: &str) -> usize {
        check(&[Source {
            path: path.to_owned(),
            text: text.to_owned(),
        }])
        .len()
    }

    #[test]
    fn each_way_to_name_the_world_is_found() {
        for text in [
            "use std::fs;",
            "use std::{fmt, time::{Duration, Instant}};",
            "use std::time;",
            "use std::time::*;",
            "fn f() { std::process::exit(1) }",
            "use aya::Ebpf;",
            "fn f() { libc::getpid(); }",
        ] {
            assert_eq!(faults("tracer/src/space/split.rs", text), 1, "{text}");
        }
    }

    #[test]
    fn pure_code_tests_and_other_modules_pass() {
        let pure = "//! no std::fs\nuse std::time::Duration;\nuse std::collections::BTreeMap;\n";
        assert_eq!(faults("tracer/src/event.rs", pure), 0);
        let tested = "fn f() {}\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n";
        assert_eq!(faults("tracer/src/event.rs", tested), 0);
        assert_eq!(faults("tracer/src/probe/ring.rs", "use std::fs;"), 0);
        assert_eq!(faults("workload/src/main.rs", "use std::fs;"), 0);
    }
}
