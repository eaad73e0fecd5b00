use super::*;
use crate::{
    diagnosis::{Answer, Diagnosis, Fact, LoadedProgram, Topic},
    view::{
        Style,
        json::tests::{check, fields_are_documented},
    },
};

fn sample() -> Diagnosis {
    let refusal = "it does not permit loading the program `fexit_mmap`, \x1b[31mand says so";
    let facts = vec![
        Fact::yes(Topic::KernelRelease, "5.15.0-91-generic"),
        Fact::yes(Topic::Capture, "by raw tracepoints"),
        Fact::no(Topic::Trampolines, refusal),
        Fact::unknown(Topic::Lockdown, "securityfs is not mounted"),
    ];
    let program = |name: &str, verified_instructions| LoadedProgram {
        name: name.to_owned(),
        verified_instructions,
    };
    let programs = vec![
        program("sys_enter", Some(1_234)),
        program("sys_exit", Some(56_789)),
        program("fork", None),
    ];
    Diagnosis::new("5.15.0-91-generic".into(), "x86_64", facts, programs)
}

#[test]
fn text_tells_each_answer_and_its_reason_within_its_width() {
    for width in [Style::NARROWEST, 80, Style::WIDEST] {
        let text = render(&sample(), Style::new(false, width));
        assert!(
            text.lines().all(|line| line.chars().count() <= width),
            "{text}"
        );
        assert!(!text.contains('\x1b'), "{text}");
    }
    let text = render(&sample(), Style::new(false, 100));
    assert!(
        text.starts_with(
            "Tracing is possible, by raw tracepoints (Linux 5.15.0-91-generic, x86_64)"
        ),
        "{text}"
    );
    for part in [
        "yes (5.15.0-91-generic)",
        "trampolines (fentry, fexit): no: it does not permit",
        "kernel memory not locked down: could not tell: securityfs",
        "sys_exit         56,789         5.7 %",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn the_document_fits_its_schema() {
    let mut bytes = Vec::new();
    json::write(&sample(), &mut bytes).expect("memory takes all");
    let document: serde_json::Value = serde_json::from_slice(&bytes).expect("it is JSON");
    check(&document, "#/$defs/doctor");
    fields_are_documented(&document);
    assert_eq!(document["outlook"], "possible");
    let features = document["features"].as_array().expect("an array");
    assert_eq!(features.len(), Topic::ALL.len());
    let trampolines = features
        .iter()
        .find(|feature| feature["id"] == "trampolines");
    assert_eq!(
        trampolines.map(|feature| &feature["answer"]),
        Some(&serde_json::to_value(Answer::No).expect("a word"))
    );
}
