use std::collections::{BTreeMap, BTreeSet};

use super::{encode::Kind, families::FAMILIES, *};
use crate::{
    audit::{
        counts::Turnover,
        export::{Bounds, Digest, Exporter},
        flow::Flow,
        judgement::Basis,
    },
    units::{Bytes, Nanos},
    view::audit::tests::{audit, row},
};

const PAGE: &str = include_str!("../../../../docs/serve.md");

fn digest() -> Digest {
    let mut audit = audit();
    audit.processes = vec![row(42, Some(Basis::Events)), row(43, Some(Basis::Snapshot))];
    audit.counting = Some(Turnover::default());
    audit.coverage.max_map_count = Some(65_530);
    let flows = BTreeMap::from([(
        "/system.slice/nginx.service".to_owned(),
        Flow {
            calls: 5,
            ..Flow::default()
        },
    )]);
    let bounds = Bounds {
        processes: 9,
        groups: 1,
    };
    let mut exporter = Exporter::default();
    exporter.digest(
        &audit,
        &flows,
        audit.counting.unwrap_or_default().gone,
        bounds,
    )
}

fn own() -> Own {
    let probe = |name: &str, needed, why_not: Option<&str>| Probe {
        name: name.to_owned(),
        needed,
        attached: why_not.is_none(),
        why_not: why_not.map(str::to_owned),
        runs: why_not.is_none().then_some((3, Nanos(1_500_000_000))),
    };
    Own {
        version: "0.0.0",
        started_seconds: 1.5,
        rss: Bytes(7),
        open_files_limit: Some(1024),
        probes: vec![
            probe("count_exec", true, None),
            probe("count_end", true, Some("no BTF")),
            probe("count_mmap", false, Some("not needed")),
        ],
        requests: Requests {
            answers: BTreeMap::from([(200, 4)]),
            ..Requests::default()
        },
        ..Own::default()
    }
}

/// The names and labels of all samples.
fn samples(text: &str) -> Vec<&str> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.rsplit_once(' ').expect("a value").0)
        .collect()
}

fn name(sample: &str) -> &str {
    sample.split('{').next().unwrap_or_default()
}

#[test]
fn each_metric_is_written_and_no_series_twice() {
    let text = render(&digest(), &own(), Exposition::Text);
    let samples = samples(&text);
    let written: BTreeSet<&str> = samples.iter().map(|sample| name(sample)).collect();
    let listed: BTreeSet<&str> = FAMILIES.iter().map(|family| family.name).collect();
    assert_eq!(written, listed);
    assert_eq!(listed.len(), FAMILIES.len());
    assert_eq!(samples.iter().collect::<BTreeSet<_>>().len(), samples.len());
    for (sample, value) in [
        (
            "tracer_process_virtual_memory_bytes{pid=\"42\",",
            "1677721600",
        ),
        ("tracer_process_retained_bytes{pid=\"42\",", "1048576"),
        ("tracer_cgroup_calls_total{cgroup=\"other\"} ", "5"),
        ("tracer_probe_attached{probe=\"count_end\"} ", "0"),
        (
            "tracer_probe_run_seconds_total{probe=\"count_exec\"} ",
            "1.5",
        ),
        ("tracer_http_answers_total{code=\"200\"} ", "4"),
    ] {
        let line = text.lines().find(|line| line.starts_with(sample));
        assert!(line.is_some_and(|line| line.ends_with(value)), "{line:?}");
    }
    // What is not known is absent, what is not needed is no fault.
    assert!(!text.contains("tracer_process_retained_bytes{pid=\"43\""));
    assert!(!text.contains("count_mmap"));
    assert!(!text.contains('\x1b'));
}

#[test]
fn names_follow_the_conventions() {
    let mut bases = BTreeSet::new();
    for family in FAMILIES {
        let name = family.name;
        assert!(
            name.starts_with("tracer_") || name.starts_with("process_"),
            "{name}"
        );
        let fits = match family.kind {
            Kind::Counter => name.ends_with("_total"),
            Kind::Info => name.ends_with("_info"),
            Kind::Gauge => !name.ends_with("_total") && !name.ends_with("_info"),
        };
        assert!(fits && family.help.ends_with('.'), "{name}");
        let base = name.trim_end_matches("_total").trim_end_matches("_info");
        assert!(bases.insert(base), "{name}: two families of one name");
    }
}

/// The table of `docs/serve.md`.
fn table() -> String {
    let rows = FAMILIES.iter().map(|family| {
        let labels: Vec<String> = family
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        let kind = match family.kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
            Kind::Info => "info",
        };
        let help = family.help.replace('|', "\\|");
        format!(
            "| `{}` | {kind} | {} | {help} |\n",
            family.name,
            labels.join(", ")
        )
    });
    rows.collect()
}

#[test]
fn each_metric_is_documented_and_no_other() {
    let table = table();
    assert!(PAGE.contains(&table), "docs/serve.md should have:\n{table}");
    let mut rest = PAGE.replace(&table, "");
    for family in FAMILIES {
        rest = rest.replace(family.name, "");
    }
    // What is left of names are wildcards and what others export.
    let mut words = rest.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
    let stranger = words.find(|word| word.starts_with("tracer_") && word.len() > 7);
    assert_eq!(stranger, None);
}

#[test]
fn the_status_tells_each_probe() {
    let text = status::render(&digest(), &own());
    let status: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(status["schema"]["name"], "tracer.status");
    assert_eq!(status["probes"][1]["why_not"], "no BTF");
    assert_eq!(status["probes"][0]["attached"], true);
    for field in status.as_object().expect("an object").keys() {
        assert!(
            PAGE.contains(&format!("`{field}`")),
            "{field} is not in docs/serve.md"
        );
    }
}
