use serde_json::{Value, json};

use super::*;
use crate::{attribute::evidence::Trend, report::CallCount, units::Span, view::sample};

const SCHEMA: &str = include_str!("../../../../docs/report.schema.json");
const PAGE: &str = include_str!("../../../../docs/json.md");

fn document(report: &Report) -> Value {
    let mut bytes = Vec::new();
    write(report, Layout::Pretty, &mut bytes).expect("memory takes all");
    assert_eq!(bytes.last(), Some(&b'\n'));
    serde_json::from_slice(&bytes).expect("it is JSON")
}

/// The schema, made to refuse fields that it does not describe.
fn strict(value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.values_mut().for_each(strict);
            if object.contains_key("properties") && !object.contains_key("additionalProperties") {
                object.insert("additionalProperties".into(), json!(false));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(strict),
        _ => {}
    }
}

pub fn check(document: &Value, definition: &str) {
    let mut schema: Value = serde_json::from_str(SCHEMA).expect("the schema is JSON");
    assert!(
        jsonschema::draft202012::meta::is_valid(&schema),
        "the schema is one"
    );
    strict(&mut schema);
    schema["$ref"] = json!(definition);
    for key in ["oneOf", "anyOf"] {
        schema.as_object_mut().expect("it is an object").remove(key);
    }
    let validator = jsonschema::draft202012::new(&schema).expect("the schema compiles");
    let errors: Vec<String> = validator
        .iter_errors(document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

fn check_loosely(document: &Value) -> bool {
    let schema = serde_json::from_str(SCHEMA).expect("the schema is JSON");
    jsonschema::draft202012::is_valid(&schema, document)
}

#[test]
fn one_process_is_the_document_itself() {
    let document = document(&sample::report());
    check(&document, "#/$defs/single");
    assert!(check_loosely(&document));
    assert_eq!(
        document["schema"],
        json!({"name": "tracer.report", "version": 1})
    );
    assert_eq!(
        document["vm_size"],
        json!({
            "at_attach": 2_596_864, "peak": 1_629_487_104u64,
            "at_end": 1_629_487_104u64, "kernel_at_end": 1_629_487_104u64,
        })
    );
    assert_eq!(
        document["events"]["by_call"]["mmap"],
        json!({"calls": 7, "failed": 1, "bytes": 1_627_389_952u64})
    );
    assert_eq!(
        document["mappings"][1],
        json!({
            "start": "0x7f0000000000", "end": "0x7f0061000000", "perms": "rw-p",
            "kind": "anonymous", "owner": "jemalloc", "name": "",
        })
    );
    assert_eq!(document["timeline"][1]["at_ns"], json!(4_000_000_000u64));
    assert_eq!(document["growth"][0]["net"], json!(1_627_389_952u64));
    assert_eq!(document["verdict"]["code"], json!("retained-by-allocator"));
}

#[test]
fn several_processes_stand_in_a_list() {
    let document = document(&sample::two_processes());
    check(&document, "#/$defs/several");
    assert!(check_loosely(&document));
    assert_eq!(document["processes"].as_array().map(Vec::len), Some(2));
    assert_eq!(document["processes"][0].get("schema"), None);
    assert_eq!(document["processes"][1]["vm_size"]["peak"], Value::Null);
    assert_eq!(document["notes"].as_array().map(Vec::len), Some(1));
}

#[test]
fn no_process_is_a_document_too() {
    let report = Report {
        processes: vec![],
        own_cost: None,
        sampling: None,
        notes: vec![],
    };
    check(&document(&report), "#/$defs/several");
}

#[test]
fn what_was_not_asked_for_is_no_field() {
    let mut report = sample::report();
    let process = &mut report.processes[0];
    (process.heap, report.own_cost, report.sampling) = (None, None, None);
    let document = document(&report);
    check(&document, "#/$defs/single");
    for absent in ["heap", "own_cost", "sampling"] {
        assert_eq!(document.get(absent), None);
    }
}

#[test]
fn extremes_and_hostile_names_survive() {
    let mut report = sample::report();
    let process = &mut report.processes[0];
    process.target.ns_pid = Some(crate::units::Pid(u32::MAX));
    let most = Some(Bytes(u64::MAX));
    process.vm_size = Trend {
        at_attach: most,
        peak: most,
        at_end: most,
    };
    process.reconciliation.drift_bytes = i64::MIN;
    process.observed = u64::MAX;
    process.explanation.growth[0].unmapped = Bytes(u64::MAX);
    process.explanation.growth[0].mapped = Bytes(0);
    process.events.by_call.insert(
        Syscall::Brk,
        CallCount {
            calls: u64::MAX,
            failed: 0,
            bytes: Bytes(u64::MAX),
        },
    );
    process.mappings[0].span = Span::between(Addr(0), Addr(u64::MAX));
    process.mappings[0].name = "/a\"b\\c\n\u{1b}[31m\u{202e}测".into();
    let document = document(&report);
    check(&document, "#/$defs/single");
    assert_eq!(document["vm_size"]["peak"], json!(u64::MAX));
    assert_eq!(document["reconciliation"]["drift_bytes"], json!(i64::MIN));
    assert_eq!(document["mappings"][0]["end"], json!("0xffffffffffffffff"));
    assert_eq!(
        document["mappings"][0]["name"],
        json!(report.processes[0].mappings[0].name)
    );
}

#[test]
fn a_line_is_one_line() {
    let mut bytes = Vec::new();
    write(&sample::report(), Layout::Line, &mut bytes).expect("memory takes all");
    assert_eq!(bytes.iter().filter(|&&byte| byte == b'\n').count(), 1);
}

pub fn fields_are_documented(document: &Value) {
    fn keys(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(object) => {
                for (key, value) in object {
                    // Keys of `by_call` are names of calls.
                    if !Syscall::ALL.iter().any(|call| call.name() == key) {
                        found.push(key.clone());
                    }
                    keys(value, found);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| keys(item, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    keys(document, &mut found);
    for key in found {
        assert!(
            PAGE.contains(&format!("`{key}`")),
            "docs/json.md does not name {key}"
        );
    }
}

#[test]
fn every_field_is_documented() {
    fields_are_documented(&document(&sample::two_processes()));
}
