//! The files that come with the daemon: they parse, say the same as each other and as the program,
//! and ask for no metric that is not exported.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde::Deserialize as _;
use serde_json::Value;
use tracer::{cli, view::serve::families::FAMILIES};

const CAPABILITIES: [&str; 4] = ["BPF", "DAC_READ_SEARCH", "PERFMON", "SYS_PTRACE"];

fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().expect("a workspace").to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn documents(yaml: &str) -> Vec<Value> {
    let documents = serde_yaml_ng::Deserializer::from_str(yaml);
    documents
        .map(|document| Value::deserialize(document).expect("YAML"))
        .collect()
}

/// Asserts that a query asks for what there is.
fn check_query(query: &str) {
    let words = query.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
    let metrics: BTreeSet<&str> = words
        .filter(|word| word.starts_with("tracer_") || word.starts_with("process_"))
        .collect();
    for metric in metrics {
        let known = FAMILIES.iter().any(|family| family.name == metric);
        assert!(known, "no {metric}, in {query}");
    }
}

fn program(name: &str) -> Option<Command> {
    let found = Command::new(name).arg("--version").output().is_ok();
    if !found {
        println!("skipped: no {name}");
    }
    found.then(|| Command::new(name))
}

#[track_caller]
fn succeeds(command: &mut Command) {
    let done = command.output().expect("it starts");
    let said = [done.stdout, done.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(done.status.success(), "{command:?}: {said}");
}

#[test]
fn settings_are_complete_and_every_one_is_taken() {
    let text = read("dist/serve.conf");
    let args = ["tracer".into(), "serve".into()];
    let usual = cli::with_file(&args, &text).expect("all are remarks");
    assert_eq!(cli::with_file(&args, "").expect("nothing is set"), usual);
    let set: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix('#'))
        .filter(|line| !line.starts_with(' '))
        .collect();
    for line in &set {
        // The right is not asked for here.
        cli::with_file(&args, line).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
    let named: BTreeSet<&str> = set
        .iter()
        .filter_map(|line| Some(line.split_once('=')?.0.trim()))
        .collect();
    let command = cli::command();
    let serve = command.find_subcommand("serve").expect("it is there");
    let options: BTreeSet<&str> = serve
        .get_arguments()
        .filter_map(clap::Arg::get_long)
        .filter(|name| !["config", "help"].contains(name))
        .collect();
    assert_eq!(named, options);
}

#[test]
fn the_unit_is_one_and_is_hardened() {
    let text = read("dist/systemd/tracer.service");
    let names = CAPABILITIES.map(|name| format!("CAP_{name}"));
    for set in ["CapabilityBoundingSet=", "AmbientCapabilities="] {
        let line = text.lines().find_map(|line| line.strip_prefix(set));
        let mut given: Vec<&str> = line.expect("it is set").split(' ').collect();
        given.sort_unstable();
        assert_eq!(given, names, "{set}");
    }
    for line in [
        "Type=notify",
        "DynamicUser=yes",
        "NoNewPrivileges=yes",
        "ProtectProc=default",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}");
    }
    let Some(mut analyze) = program("systemd-analyze") else {
        return;
    };
    let folder = std::env::temp_dir().join(format!("tracer-unit-{}", std::process::id()));
    fs::create_dir(&folder).expect("it is new");
    let unit = folder.join("tracer.service");
    let text = text.replace("/usr/bin/tracer", env!("CARGO_BIN_EXE_tracer"));
    fs::write(&unit, text).expect("own folder");
    let checked = analyze.args(["verify", "--man=no"]).arg(&unit).output();
    fs::remove_dir_all(&folder).expect("own folder");
    let checked = checked.expect("it starts");
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(
        checked.status.success() && !said.contains("tracer.service"),
        "{said}"
    );
}

#[test]
fn the_manifest_gives_what_is_needed_and_no_more() {
    let manifest = documents(&read("dist/kubernetes/tracer.yaml"));
    let of = |kind: &str| {
        let found = manifest.iter().find(|document| document["kind"] == kind);
        found.unwrap_or_else(|| panic!("no {kind}"))
    };
    let set = &of("DaemonSet")["spec"]["template"];
    assert_eq!(
        set["metadata"]["labels"],
        of("DaemonSet")["spec"]["selector"]["matchLabels"]
    );
    let pod = &set["spec"];
    assert_eq!(pod["hostPID"], true);
    assert!(pod["hostNetwork"].is_null());
    let container = &pod["containers"][0];
    let context = &container["securityContext"];
    assert_eq!(context["privileged"], false);
    assert_eq!(context["readOnlyRootFilesystem"], true);
    assert_eq!(context["capabilities"]["drop"][0], "ALL");
    let mut added: Vec<&str> = context["capabilities"]["add"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    added.sort_unstable();
    assert_eq!(added, CAPABILITIES);
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        let path = &container[probe]["httpGet"]["path"];
        assert!(path == "/readyz" || path == "/healthz", "{probe}");
    }
    assert!(container["resources"]["limits"]["memory"].is_string());
    // Its settings and arguments are such as the program takes.
    let settings = of("ConfigMap")["data"]["serve.conf"]
        .as_str()
        .expect("text");
    let args = container["args"].as_array().expect("a list").iter();
    let args = std::iter::once("tracer").chain(args.filter_map(Value::as_str));
    let args: Vec<_> = args.map(Into::into).collect();
    let meant = cli::with_file(&args, settings).expect("they make sense");
    assert_eq!(meant.listen.port(), container["ports"][0]["containerPort"]);
    // Python's package of that name has the schemas of Kubernetes' own interface.
    if let Some(mut validate) = program("kubernetes-validate") {
        let path = root().join("dist/kubernetes/tracer.yaml");
        succeeds(validate.arg("--strict").arg(path));
    }
}

#[test]
fn the_image_is_made_and_run_as_it_says() {
    let text = read("dist/container/Containerfile");
    let listed = text.lines().find_map(|line| {
        line.trim_start_matches(['#', ' '])
            .strip_prefix("--cap-add=")
    });
    let mut given: Vec<&str> = listed
        .expect("it is there")
        .split([',', ' '])
        .take(4)
        .collect();
    given.sort_unstable();
    assert_eq!(given, CAPABILITIES);
    for file in text
        .lines()
        .filter_map(|line| line.strip_prefix("COPY dist/"))
    {
        let file = file.split(' ').next().unwrap_or_default();
        assert!(root().join("dist").join(file).exists(), "{file}");
    }
}

#[test]
fn rules_and_documented_queries_ask_for_what_there_is() {
    let rules = documents(&read("dist/prometheus/tracer.rules.yml"));
    let groups = rules[0]["groups"].as_array().expect("a list").iter();
    let cases = read("tracer/tests/alerts.yml");
    let mut alerts = 0;
    for rule in groups.flat_map(|group| group["rules"].as_array().expect("a list")) {
        check_query(rule["expr"].as_str().expect("a query"));
        let case = format!("alertname: {}\n", rule["alert"].as_str().expect("a name"));
        assert!(cases.contains(&case), "no case for {case}");
        alerts += 1;
    }
    assert!(alerts > 5);
    for block in read("docs/serve.md").split("```promql\n").skip(1) {
        check_query(block.split("```").next().unwrap_or_default());
    }
    if let Some(mut promtool) = program("promtool") {
        let folder = root().join("dist/prometheus");
        succeeds(
            promtool
                .args(["check", "config", "prometheus.yml"])
                .current_dir(folder),
        );
    }
}

#[test]
fn each_alert_fires_when_it_must_and_then_only() {
    if let Some(mut promtool) = program("promtool") {
        let cases = root().join("tracer/tests/alerts.yml");
        succeeds(promtool.args(["test", "rules"]).arg(cases));
    }
}

#[test]
fn the_dashboard_asks_for_what_there_is() {
    let dashboard: Value = serde_json::from_str(&read("dist/grafana/tracer.json")).expect("JSON");
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().expect("a list") {
        assert!(ids.insert(panel["id"].as_u64()), "{}", panel["title"]);
        let targets = panel["targets"].as_array().expect("a list");
        assert!(!targets.is_empty());
        for target in targets {
            check_query(target["expr"].as_str().expect("a query"));
        }
    }
    for variable in dashboard["templating"]["list"].as_array().expect("a list") {
        check_query(variable["definition"].as_str().unwrap_or_default());
    }
}
