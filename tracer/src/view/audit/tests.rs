use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::{
    attribute::explanation::{AllocatorFound, Confidence},
    audit::{
        counts::{Sizes, Turnover},
        group::Group,
        judgement::Basis,
        reason,
        row::{AllocatorTotal, Audit, CallCount, Coverage, GroupTotal, Row, Sums, Totals, Tracing},
    },
    cost::{OwnCost, ProbeCost},
    units::{Bytes, Pid},
    view::Style,
};

const SCHEMA: &str = include_str!("../../../../docs/audit.schema.json");
const PAGE: &str = include_str!("../../../../docs/audit.md");
const MIB: u64 = 1 << 20;

pub(in crate::view) fn row(pid: u32, basis: Option<Basis>) -> Row {
    Row {
        pid: Pid(pid),
        ns_pid: Some(Pid(7)),
        comm: "a \x1b[2J very long name of a thread".to_owned(),
        uid: Some(33),
        user: Some("www-data".to_owned()),
        vm_size: Bytes(1600 * MIB),
        rss: Bytes(40 * MIB),
        gap: Bytes(1560 * MIB),
        growth: -4096,
        retained: basis
            .filter(|basis| *basis == Basis::Events)
            .map(|_| Bytes(MIB)),
        purged: Bytes(2 * MIB),
        lazy_free: Some(Bytes(0)),
        reserved: Some(Bytes(960 * MIB)),
        calls: 12,
        calls_per_second: 2.4,
        failed_calls: 1,
        by_call: BTreeMap::from([(
            "mmap",
            CallCount {
                calls: 12,
                failed: 1,
            },
        )]),
        asked: Sizes {
            mapped: Bytes(8 * MIB),
            ..Sizes::default()
        },
        counts_incomplete: false,
        vmas: Some(123),
        allocators: vec![AllocatorFound {
            name: "jemalloc".to_owned(),
            confidence: Confidence::Medium,
            evidence: vec!["libjemalloc.so.2 is mapped".to_owned()],
        }],
        reason: reason::ARENA_RESERVE,
        reason_bytes: Bytes(960 * MIB),
        confidence: Confidence::Medium,
        summary: "64 MiB windows reserved by glibc arenas: 960.0 MiB".to_owned(),
        advice: "costs no memory",
        cgroup: Some("/system.slice/nginx.service".to_owned()),
        group: Some(Group::of_path("/system.slice/nginx.service")),
        basis,
        snapshot_age_ns: Some(5),
    }
}

pub(in crate::view) fn audit() -> Audit {
    let sums = Sums {
        processes: 3,
        vm_size: Bytes(3 << 30),
        growth: 1 << 20,
        calls_per_second: 0.4,
        ..Sums::default()
    };
    let group = |path: &str| GroupTotal {
        cgroup: path.to_owned(),
        group: Group::of_path(path),
        sums,
    };
    Audit {
        elapsed_ns: 5_000_000_000,
        processes: vec![
            row(42, Some(Basis::Events)),
            row(4_194_304, Some(Basis::Snapshot)),
            row(43, None),
        ],
        totals: Totals {
            all: sums,
            by_cgroup: vec![group("/"), group("/docker/x")],
            by_allocator: vec![AllocatorTotal {
                allocator: "jemalloc".to_owned(),
                processes: 2,
                bytes: Bytes(3 << 30),
                reserved: Bytes(0),
                retained: Bytes(MIB),
            }],
        },
        coverage: Coverage {
            judged: 2,
            waiting: 1,
            kernel_threads: 60,
            unreadable: 1,
            max_map_count: Some(65_530),
            ..Coverage::default()
        },
        counting: Some(Turnover {
            room: 64,
            present: 3,
            evicted: 2,
            ..Turnover::default()
        }),
        tracing: Some(Tracing {
            processes: 1,
            events: 70,
            lost: 0,
            pauses: 2,
            paused_ns: 3_000_000_000,
        }),
        own_cost: Some(OwnCost {
            cpu_ns: 5,
            elapsed_ns: 10,
            rss: Bytes(MIB),
            peak_rss: Bytes(MIB),
            probes: Some(ProbeCost::default()),
        }),
        notes: vec!["something could not be seen".to_owned()],
    }
}

#[test]
fn a_process_is_a_line_and_lines_fit() {
    for width in [80, 100, 160] {
        let text = render(&audit(), Style::wide(false, width));
        for line in text.lines() {
            assert!(line.chars().count() <= width, "{width}: {line}");
        }
        let rows = text
            .lines()
            .filter(|line| line.contains("very long") || line.contains("…"));
        assert!(rows.count() >= 3, "{text}");
        assert!(!text.contains('\x1b'), "{text}");
        for said in [
            "4194304",
            "1.56G",
            "arena-",
            "2 processes let go of",
            "60 threads of the kernel",
            "3.0 s in 2 pauses",
        ] {
            assert!(text.contains(said), "{width}: {said} in {text}");
        }
    }
}

#[test]
fn a_page_tells_all_of_a_process() {
    let text = explain(&audit(), Style::new(false, 80));
    for said in [
        "process 42, user www-data",
        "unit nginx.service",
        "64 MiB windows reserved by glibc arenas: 960.0 MiB",
        "Judged from: events.",
        "of at most 65,530",
        "libjemalloc.so.2 is mapped",
        "8.00 MiB mapped",
    ] {
        assert!(text.contains(said), "{said} in {text}");
    }
}

fn document(layout: Layout) -> Value {
    let mut bytes = Vec::new();
    write_json(&audit(), layout, &mut bytes).expect("memory takes all");
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
    assert_eq!(lines == 1, layout == Layout::Line);
    serde_json::from_slice(&bytes).expect("it is JSON")
}

#[test]
fn the_document_fits_its_schema() {
    let document = document(Layout::Line);
    let mut schema: Value = serde_json::from_str(SCHEMA).expect("the schema is JSON");
    assert!(jsonschema::draft202012::meta::is_valid(&schema));
    strict(&mut schema);
    let validator = jsonschema::draft202012::new(&schema).expect("the schema compiles");
    let errors: Vec<String> = validator
        .iter_errors(&document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
    assert_eq!(
        document["schema"],
        json!({"name": "tracer.audit", "version": 1})
    );
    assert_eq!(document["processes"][0]["basis"], "events");
    assert_eq!(document["processes"][1]["retained"], Value::Null);
}

#[test]
fn every_field_is_described() {
    fn names(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => fields.iter().for_each(|(name, value)| {
                found.push(name.clone());
                names(value, found);
            }),
            Value::Array(items) => items.iter().for_each(|item| names(item, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    names(&document(Layout::Pretty), &mut found);
    for name in found {
        assert!(
            PAGE.contains(&format!("`{name}`")),
            "{name} in docs/audit.md"
        );
    }
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
