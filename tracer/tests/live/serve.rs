//! The daemon: what a real Prometheus makes of it, what abuse does to it, and how it is told to read
//! its settings again and to end.

mod picks;
mod unit;

use std::{
    fs,
    io::Write as _,
    net::{SocketAddr, TcpListener, TcpStream},
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr as UnixAddr, UnixDatagram},
    },
    process::Stdio,
};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::harness::{
    Folder, MIB, Running, Target, Tracer, bpf_memory_of, command, fact, http, installed, skip,
    tracer_program, wait_for, workload_program,
};

const PAGE: &str = include_str!("../../../docs/serve.md");
const DASHBOARD: &str = include_str!("../../../dist/grafana/tracer.json");
const RULES: &str = include_str!("../../../dist/prometheus/tracer.rules.yml");

/// A daemon that answers.
struct Daemon {
    tracer: Tracer,
    address: SocketAddr,
}

impl Daemon {
    fn start(arguments: &[&str]) -> Self {
        let usual = ["serve", "--listen", "127.0.0.1:0", "--interval", "300ms"];
        let mut command = command(tracer_program());
        command.args(usual).args(arguments);
        Self::of(Tracer::run(command))
    }

    fn of(tracer: Tracer) -> Self {
        let address = wait_for("the daemon to listen", || {
            let said = tracer.said();
            assert!(said.is_empty() || said.contains("http://"), "{said}");
            let (_, rest) = said.split_once("http://")?;
            rest.split_once("/metrics")?.0.parse().ok()
        });
        let daemon = Self { tracer, address };
        wait_for("it to be ready", || {
            (daemon.get("/readyz").code == 200).then_some(())
        });
        daemon
    }

    fn get(&self, path: &str) -> http::Answer {
        http::get(self.address, path, "")
    }

    fn metrics(&self) -> String {
        let answer = self.get("/metrics");
        assert_eq!(answer.code, 200, "{}", answer.head);
        answer.body
    }

    fn json(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!(answer.code, 200, "{}", answer.head);
        serde_json::from_str(&answer.body).expect("JSON")
    }

    /// A sample, by its name and labels.
    fn sample(&self, sample: &str) -> f64 {
        value(&self.metrics(), sample).unwrap_or_else(|| panic!("no {sample}"))
    }

    /// Waits until figures were put together after this was called.
    fn wait_for_news(&self) {
        let published = || self.sample("tracer_published_timestamp_seconds");
        let before = published();
        wait_for("new figures", || (published() > before).then_some(()));
    }

    fn memory(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.tracer.pid()));
        let status = status.expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let kib = line.expect("every kernel tells").trim_start_matches(':');
        let kib: u64 = kib.trim().trim_end_matches(" kB").parse().expect("a size");
        kib << 10
    }

    /// Ends it as a service manager does.
    fn end(self) -> String {
        self.tracer.signal(Signal::SIGTERM);
        let ended = self.tracer.finish();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        ended.stderr
    }
}

fn value(text: &str, sample: &str) -> Option<f64> {
    let mut lines = text.lines();
    let value = lines.find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '))?;
    Some(value.parse().expect("a number"))
}

/// A program with jemalloc in it that mapped and freed, and stays.
fn seed() -> Target {
    let mut program = command(workload_program());
    program.args(["seed", "--allocator", "jemalloc", "--size-mib", "256"]);
    program.args(["--format", "json", "--wait-start", "--hold"]);
    let mut target = Target::start(&mut program);
    target.go();
    target.lines.find_text("\"end\"");
    target
}

/// The queries of the documentation.
fn queries() -> Vec<String> {
    let blocks = PAGE.split("```promql\n").skip(1);
    blocks
        .map(|block| {
            block
                .split("```")
                .next()
                .unwrap_or_default()
                .replace('\n', " ")
        })
        .collect()
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn metrics_tell_of_processes_and_of_the_daemon_itself() {
    let target = seed();
    let daemon = Daemon::start(&["--max-cpu", "100", "--comm", "workload"]);
    let info = format!(
        "tracer_process_info{{pid=\"{}\",comm=\"workload\"",
        target.pid()
    );
    wait_for("the process to be judged", || {
        let text = daemon.metrics();
        let line = text.lines().find(|line| line.starts_with(&info))?;
        (line.contains("jemalloc") && !line.contains("not-looked-at")).then_some(())
    });
    let vm_size = format!(
        "tracer_process_virtual_memory_bytes{{pid=\"{}\",comm=\"workload\"}}",
        target.pid()
    );
    assert!(daemon.sample(&vm_size) >= 256.0 * 1024.0 * 1024.0);
    for probe in ["count_exec", "count_end"] {
        daemon.sample(&format!("tracer_probe_attached{{probe=\"{probe}\"}}"));
    }
    let open = http::get(
        daemon.address,
        "/metrics",
        "Accept: application/openmetrics-text\r\n",
    );
    assert!(open.head.contains("application/openmetrics-text") && open.body.ends_with("# EOF\n"));

    let audit = daemon.json("/audit");
    assert_eq!(audit["schema"]["name"], "tracer.audit");
    let rows = audit["processes"].as_array().expect("a list");
    assert!(rows.iter().any(|row| row["pid"] == target.pid()));
    let status = daemon.json("/status");
    assert_eq!(status["schema"]["name"], "tracer.status");
    assert_eq!(status["settings"]["comm"], "workload");
    assert!(
        status["probes"]
            .as_array()
            .is_some_and(|probes| !probes.is_empty())
    );
    assert!(status["rss"].as_u64().is_some_and(|rss| rss > MIB));
    fact(
        "a daemon's RSS",
        format!("{} MiB", daemon.memory("VmRSS") / MIB),
    );
    // Only what it counts in has room.
    let in_kernel = bpf_memory_of(daemon.tracer.pid());
    assert!(in_kernel < 16 * MIB, "{in_kernel} bytes");
    // Its command line is nowhere.
    assert!(!daemon.metrics().contains("--hold") && !daemon.get("/audit").body.contains("--hold"));

    match installed("promtool") {
        None => skip("no promtool"),
        Some(promtool) => {
            let mut check = command(promtool);
            check.args(["check", "metrics"]).stdin(Stdio::piped());
            check.stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = check.spawn().expect("it starts");
            let mut stdin = child.stdin.take().expect("a pipe");
            stdin
                .write_all(daemon.metrics().as_bytes())
                .expect("it reads");
            drop(stdin);
            let done = child.wait_with_output().expect("it ends");
            let said = String::from_utf8_lossy(&done.stderr).into_owned()
                + &String::from_utf8_lossy(&done.stdout);
            assert!(done.status.success() && said.is_empty(), "{said}");
        }
    }
    daemon.end();
}

/// A server of metrics that scrapes a daemon each second.
struct Prometheus {
    server: Running,
    address: SocketAddr,
    _folder: Folder,
}

impl Prometheus {
    fn start(target: SocketAddr) -> Option<Self> {
        let Some(program) = installed("prometheus") else {
            skip("no prometheus");
            return None;
        };
        let folder = Folder::new();
        let rules = folder.join("rules.yml");
        fs::write(&rules, RULES).expect("own folder");
        let config = folder.join("prometheus.yml");
        let text = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: ['{}']\n\
             scrape_configs:\n- job_name: tracer\n  static_configs: [{{targets: ['{target}']}}]\n",
            rules.display()
        );
        fs::write(&config, text).expect("own folder");
        // A port that was free a moment ago.
        let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = address.expect("a port");
        let mut server = command(program);
        server.arg(format!("--config.file={}", config.display()));
        server.arg(format!(
            "--storage.tsdb.path={}",
            folder.join("data").display()
        ));
        server.arg(format!("--web.listen-address={address}"));
        server.stdout(Stdio::null()).stderr(Stdio::null());
        let server = Running::start(&mut server);
        wait_for("the server to be ready", || {
            TcpStream::connect(address).is_ok().then_some(())?;
            (http::get(address, "/-/ready", "").code == 200).then_some(())
        });
        Some(Self {
            server,
            address,
            _folder: folder,
        })
    }

    fn ask(&self, path: &str) -> Value {
        // Its answers may come in chunks unless the old protocol is spoken; they are small.
        let answer = http::get(self.address, path, "");
        let body = &answer.body;
        let json = &body[body.find('{').expect("JSON")..=body.rfind('}').expect("JSON")];
        serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {body}"))
    }

    /// What a query gives.
    fn query(&self, query: &str) -> Vec<Value> {
        let answer = self.ask(&format!("/api/v1/query?query={}", http::encoded(query)));
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        answer["data"]["result"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    }
}

/// The queries of the dashboard, with its variables filled in as Grafana does.
fn panels() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("a list");
    let targets = panels
        .iter()
        .filter_map(|panel| panel["targets"].as_array());
    let queries = targets.flatten().map(|target| {
        let query = target["expr"].as_str().expect("a query");
        let query = query.replace("$job", ".*").replace("$instance", ".*");
        query.replace("$__rate_interval", "1m")
    });
    queries.collect()
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn a_real_server_scrapes_it_and_all_queries_answer() {
    let _target = seed();
    // There is a panel for what only this measures.
    let daemon = Daemon::start(&["--max-cpu", "100", "--measure-probes"]);
    let Some(server) = Prometheus::start(daemon.address) else {
        return;
    };
    for query in queries().into_iter().chain(panels()) {
        assert!(!query.contains('$'), "an unknown variable: {query}");
        if query.contains("> ") {
            // Nothing needs to be so large here: that it is understood is enough.
            server.query(&query);
            continue;
        }
        wait_for(&query, || (!server.query(&query).is_empty()).then_some(()));
    }
    let targets = server.ask("/api/v1/targets");
    let target = &targets["data"]["activeTargets"][0];
    assert_eq!(
        (&target["health"], &target["lastError"]),
        (&"up".into(), &"".into())
    );
    let rules = wait_for("the rules to be evaluated", || {
        let answer = server.ask("/api/v1/rules");
        let groups = answer["data"]["groups"].as_array()?.clone();
        let rules: Vec<Value> = groups
            .iter()
            .flat_map(|group| group["rules"].as_array().cloned().unwrap_or_default())
            .collect();
        let done = |rule: &Value| rule["health"] != "unknown";
        (!rules.is_empty() && rules.iter().all(done)).then_some(rules)
    });
    assert!(
        rules.iter().all(|rule| rule["health"] == "ok"),
        "{rules:#?}"
    );
    drop(server.server);
    daemon.end();
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn abuse_costs_neither_answers_nor_memory() {
    const MANY: usize = 200;
    let daemon = Daemon::start(&[]);
    daemon.wait_for_news();
    for page in ["/metrics", "/audit", "/status"] {
        daemon.get(page);
    }
    let before = daemon.memory("VmHWM");
    let mut silent = Vec::new();
    for at in 0..MANY {
        let mut stream = http::connect(daemon.address);
        // They may have been cut off already.
        let _ = match at % 5 {
            // Nothing at all, then a byte now and then.
            0 | 1 => Ok(()),
            2 => stream.write_all(b"GET /metrics HTTP/1.1\r\nX: "),
            3 => stream.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 255]),
            // Asks, and never reads.
            _ => stream.write_all(b"GET /audit HTTP/1.1\r\n\r\n"),
        };
        silent.push(stream);
        if at % 20 == 0 {
            assert_eq!(daemon.get("/healthz").code, 200);
        }
    }
    for stream in &mut silent {
        let _ = stream.write_all(b"a");
    }
    assert_eq!(daemon.get("/metrics").code, 200);
    for request in [
        format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(1 << 20)),
        format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(1 << 20)),
        format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(20_000)),
    ] {
        let mut stream = http::connect(daemon.address);
        // It answers, and closes, before it has read all of it.
        let _ = stream.write_all(request.as_bytes());
        if let Ok(answer) = http::answer(&mut stream) {
            assert_eq!(answer.code, 431);
        }
    }
    let mut pipelined = http::connect(daemon.address);
    let request = b"GET /metrics HTTP/1.1\r\n\r\n".repeat(1000);
    let _ = pipelined.write_all(&request);
    drop(pipelined);
    // The audit goes on all the while.
    daemon.wait_for_news();
    let grown = daemon.memory("VmHWM").saturating_sub(before);
    assert!(grown < 16 * MIB, "it grew by {grown} bytes");
    assert!(daemon.sample("tracer_http_connections_refused_total") > 0.0);
    drop(silent);
    assert_eq!(daemon.end().lines().count(), 1);
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn settings_are_read_again_and_counters_go_on() {
    let folder = Folder::new();
    let file = folder.join("serve.conf");
    let set = |text: &str| fs::write(&file, text).expect("own folder");
    set("top = 3\n# a remark\nmax-processes = 1000\n");
    let path = file.display().to_string();
    let daemon = Daemon::start(&["--config", &path]);
    let calls = || daemon.sample("tracer_calls_total{call=\"mmap\"}");
    let setting = |name: &str| daemon.json("/status")["settings"][name].clone();
    assert_eq!(
        (setting("top"), setting("max-processes")),
        ("3".into(), "1000".into())
    );
    wait_for("calls", || (calls() > 0.0).then_some(()));
    let before = calls();

    set("top = 7\ncomm = workload\nmax-processes = 2000\n");
    daemon.tracer.signal(Signal::SIGHUP);
    wait_for("the settings", || (setting("top") == "7").then_some(()));
    assert_eq!(
        (setting("comm"), setting("max-processes")),
        ("workload".into(), "1000".into())
    );
    assert_eq!(
        daemon.json("/status")["reload"]["waiting"][0],
        "max-processes"
    );
    assert!(calls() >= before);

    set("top = many\n");
    daemon.tracer.signal(Signal::SIGHUP);
    let successful = || daemon.sample("tracer_config_last_reload_successful");
    wait_for("the refusal", || (successful() == 0.0).then_some(()));
    assert_eq!(setting("top"), "7");
    assert!(calls() >= before);
    let said = daemon.end();
    assert!(
        said.contains("the settings stay as they are") && said.contains("--top"),
        "{said}"
    );
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn a_service_manager_is_told() {
    let name = format!("tracer-live-{}", std::process::id());
    let address = UnixAddr::from_abstract_name(&name).expect("a name");
    let manager = UnixDatagram::bind_addr(&address).expect("nobody has it");
    let mut command = command(tracer_program());
    command.args(["serve", "--listen", "127.0.0.1:0"]);
    command.env("NOTIFY_SOCKET", format!("@{name}"));
    command.env("WATCHDOG_USEC", "400000");
    let daemon = Daemon::of(Tracer::run(command));
    let wait_until_told = |what: &str| {
        wait_for(what, || {
            let mut text = [0; 1000];
            let length = manager.recv(&mut text).ok()?;
            String::from_utf8_lossy(&text[..length])
                .starts_with(what)
                .then_some(())
        });
    };
    wait_until_told("READY=1\nSTATUS=http://");
    wait_until_told("WATCHDOG=1");
    daemon.tracer.signal(Signal::SIGHUP);
    wait_until_told("RELOADING=1\nMONOTONIC_USEC=");
    wait_until_told("READY=1");
    daemon.end();
    wait_until_told("STOPPING=1");
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn what_cannot_be_is_said_in_a_line() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("it is bound").to_string();
    let ended = Tracer::plain(&["serve", "--listen", &address]).finish();
    let said = ended.failed_with(1);
    assert!(
        said.contains(&address) && said.contains("--listen names another"),
        "{said}"
    );

    let folder = Folder::new();
    let file = folder.join("serve.conf");
    fs::write(&file, "\ntpo = 3\n").expect("own folder");
    let path = file.display().to_string();
    let ended = Tracer::plain(&["serve", "--config", &path]).finish();
    let said = ended.failed_with(2);
    assert!(said.contains("line 2: there is no setting `tpo`"), "{said}");
    let ended = Tracer::plain(&["serve", "--config", "/no/such/file"]).finish();
    assert!(ended.failed_with(2).contains("/no/such/file"));

    let ended = Tracer::plain(&["serve", "--listen", "0.0.0.0:0"]).finish();
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("--allow-remote"), "{}", ended.stderr);
}
