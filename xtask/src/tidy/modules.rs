//! The tracer's module graph: each top-level module names only the modules the table allows.
//!
//! The table is the architecture: change it in the same commit as the layout.

use std::collections::BTreeSet;

use super::Fault;
use super::files::Source;
use super::paths::mentions;
use super::purity::PURE;
use super::tokens::tokens;

/// In place of a list: it may name every module.
const ALL: &[&str] = &["*"];

/// Each module, and the modules it may name. No row may lead back to itself.
#[rustfmt::skip]
const ALLOWED: &[(&str, &[&str])] = &[
    ("units",     &[]),
    ("event",     &["units"]),
    ("heap",      &["units"]),
    ("space",     &["event", "units"]),
    ("attribute", &["heap", "space", "event", "units"]),
    ("report",    &["attribute", "cost", "heap", "space", "event", "units"]),
    ("cost",      &["units"]),
    ("audit",     &["attribute", "cost", "units"]),
    ("diagnosis", &[]),
    ("view",      &["cost", "audit", "report", "diagnosis", "attribute", "heap", "space", "event", "units"]),
    ("track",     &["report", "attribute", "space", "event", "units"]),
    ("host",      &["cost", "audit", "report", "diagnosis", "attribute", "heap", "space", "event", "units"]),
    ("probe",     &["cost", "audit", "host", "diagnosis", "heap", "event", "units"]),
    ("world",     &["cost", "probe", "host", "report", "attribute", "heap", "space", "event", "units"]),
    ("session",   &["world", "track", "view", "report", "attribute", "heap", "space", "event", "units"]),
    ("recording", &["cost", "world", "report", "attribute", "heap", "space", "event", "units"]),
    ("auditor",   &["cost", "audit", "session", "world", "probe", "host", "report", "attribute", "space", "units"]),
    ("daemon",    &["audit", "view", "host", "units"]),
    ("cli",       &["heap", "units"]),
    ("app",       ALL),
    ("lib",       ALL),
    ("main",      ALL),
];

/// Edges the table does not allow, modules it does not know, rows without a module.
pub fn check(sources: &[Source]) -> Vec<Fault> {
    let present: BTreeSet<&str> = sources
        .iter()
        .filter_map(|source| Some(source.tracer_module()?[0]))
        .collect();
    let mut faults = stale(&present);
    for module in &present {
        if allowed(module).is_none() {
            let place = format!("tracer/src/{module}");
            let message = "has no row in xtask/src/tidy/modules.rs: say what it may use";
            faults.push(fault(&place, None, message.to_owned()));
        }
    }
    for source in sources {
        faults.extend(check_file(source, &present));
    }
    faults
}

fn check_file(source: &Source, present: &BTreeSet<&str>) -> Vec<Fault> {
    let Some(module) = source.tracer_module() else {
        return Vec::new();
    };
    let Some(allowed) = allowed(module[0]).filter(|allowed| *allowed != ALL) else {
        return Vec::new();
    };
    let depth = depth(source, &module);
    mentions(&tokens(source.code()))
        .into_iter()
        .filter_map(|mention| {
            let used = top_level(&mention.names, depth)?;
            let fine = used == module[0] || allowed.contains(&used) || !present.contains(used);
            (!fine).then(|| {
                let message = format!(
                    "{} may not use {used}: move the code, or allow the edge in xtask/src/tidy/modules.rs",
                    module[0]
                );
                fault(&source.path, Some(mention.line), message)
            })
        })
        .collect()
}

/// How many `super` lead from the file's own module to the crate.
fn depth(source: &Source, module: &[&str]) -> usize {
    match (module, source.path.ends_with("/mod.rs")) {
        (["main" | "lib"], false) => 0,
        _ => module.len(),
    }
}

/// The top-level module a path names, through `crate` or through as many `super` as it takes.
fn top_level<'a>(names: &[&'a str], depth: usize) -> Option<&'a str> {
    let supers = names.iter().take_while(|name| **name == "super").count();
    match names {
        ["crate", rest @ ..] => rest.first().copied(),
        _ if supers > 0 && supers == depth => names.get(supers).copied(),
        _ => None,
    }
}

fn allowed(module: &str) -> Option<&'static [&'static str]> {
    let row = ALLOWED.iter().find(|(name, _)| *name == module)?;
    Some(row.1)
}

fn stale(present: &BTreeSet<&str>) -> Vec<Fault> {
    let rows = ALLOWED.iter().map(|(name, _)| name).chain(PURE);
    let gone: BTreeSet<&str> = rows
        .copied()
        .filter(|name| !present.contains(name))
        .collect();
    gone.into_iter()
        .map(|name| {
            let message = format!("tracer has no module {name}: take it out of this table");
            fault("xtask/src/tidy", None, message)
        })
        .collect()
}

fn fault(file: &str, line: Option<usize>, message: String) -> Fault {
    Fault {
        file: file.to_owned(),
        line,
        message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A workspace with every module of the table and one file more.
    fn faults(path: &str, text: &str) -> Vec<String> {
        let known = ALLOWED
            .iter()
            .map(|(name, _)| (format!("tracer/src/{name}.rs"), String::new()));
        let mut sources: Vec<Source> = known.map(|(path, text)| Source { path, text }).collect();
        sources.push(Source {
            path: path.to_owned(),
            text: text.to_owned(),
        });
        check(&sources).iter().map(Fault::to_string).collect()
    }

    #[test]
    fn an_edge_against_the_table_is_found() {
        let found = faults(
            "tracer/src/event/decode.rs",
            "\nuse crate::{units, view::Text};",
        );
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("tracer/src/event/decode.rs:2: event may not use view"));
        let found = faults(
            "tracer/src/space/split.rs",
            "fn f() { super::super::probe::x() }",
        );
        assert_eq!(found.len(), 1, "{found:?}");
    }

    #[test]
    fn allowed_edges_and_own_items_pass() {
        let text = "use crate::event::Event; use super::merge; use crate::space::x; use crate::Y;";
        assert_eq!(faults("tracer/src/space/split.rs", text), [""; 0]);
        assert_eq!(
            faults("tracer/src/main.rs", "use crate::probe::x;"),
            [""; 0]
        );
    }

    #[test]
    fn a_module_without_a_row_is_found() {
        let found = faults("tracer/src/helpers.rs", "");
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("has no row"));
    }

    #[test]
    fn a_row_without_a_module_is_found() {
        assert_eq!(stale(&BTreeSet::new()).len(), ALLOWED.len());
    }

    #[test]
    fn the_table_has_no_cycle() {
        fn reaches(from: &str, to: &str, left: usize) -> bool {
            let row = allowed(from).unwrap_or_default();
            left > 0
                && row
                    .iter()
                    .any(|next| *next == to || reaches(next, to, left - 1))
        }
        for (name, _) in ALLOWED {
            assert!(!reaches(name, name, ALLOWED.len()), "{name} reaches itself");
        }
    }
}
