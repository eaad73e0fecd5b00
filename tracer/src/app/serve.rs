//! A host audited all the time, and whoever asks answered.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::File,
    io::{self, Read as _},
    net::TcpListener,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow};

use super::{
    Failure,
    audit::{confine, watching, wishes},
    check_capabilities,
    clock::{Clock, Woken},
    exit_of, failed,
};
use crate::{
    audit::{
        export::{Bounds, Exporter},
        rank,
    },
    auditor::Auditor,
    cli::{Exit, LONGEST_FILE, intent::Serve, with_file},
    daemon::{self, Board, Edition, Notifier},
    host::{clock, kernel, own, privilege},
    probe::{Measuring, host_measures},
    view::serve::{Own, Probe, Reload},
    world::Outcome,
};

/// The first figures come as soon as this, or after the interval.
const FIRST: Duration = Duration::from_secs(2);
/// Rows of `/audit` at most: the largest.
const ROWS: usize = 1000;
/// Between two signs of life, at most.
const BEAT: Duration = Duration::from_secs(10);

/// Watches and answers.
pub fn serve(args: &[OsString], typed: Serve) -> Result<(), Failure> {
    let settings = match &typed.config {
        Some(file) => read(args, file).map_err(|error| (Exit::Usage, error))?,
        None => typed,
    };
    check_capabilities()?;
    // Before the probes: what is in the way is said at once.
    let listener = listen(&settings).map_err(failed)?;
    let address = listener.local_addr().unwrap_or(settings.listen);
    let notifier = Notifier::from_environment()
        .context("cannot use the socket that NOTIFY_SOCKET names")
        .map_err(failed)?;
    let clock = Clock::start(true).map_err(failed)?;
    let asked = wishes(&settings.watch, rank::Sort::Gap, None, settings.picks);
    let mut auditor = Auditor::open(watching(&settings.watch, asked)).map_err(exit_of)?;
    let measuring = settings.measure_probes.then(Measuring::begin).transpose();
    let measuring = measuring.map_err(|error| exit_of(Outcome::NoProbes(error)))?;
    confine(&mut auditor, settings.picks, false);
    let board = Arc::new(Board::default());
    board.beat();
    // Who talks to strangers may do nothing.
    let server = daemon::start(listener, Arc::clone(&board), privilege::renounce);
    let server = server.map_err(failed)?;
    let greeting = format!("http://{address}/metrics; {}", auditor.describe());
    if !settings.quiet {
        eprintln!("tracer: {greeting}");
    }
    let now = own::unix_time();
    let mut daemon = Daemon {
        settings,
        auditor,
        exporter: Exporter::default(),
        board,
        notifier,
        clock,
        measuring,
        started: now,
        reload: Reload {
            success_seconds: now,
            ..Reload::default()
        },
    };
    daemon.notifier.ready(&greeting);
    daemon.run(args, || !server.is_finished())?;
    daemon.notifier.stopping();
    if server.is_finished() {
        let ended = server
            .join()
            .unwrap_or_else(|_| Err(anyhow!("a thread ended")));
        let why = ended.err().unwrap_or_else(|| anyhow!("a thread ended"));
        return Err(failed(why.context("clients cannot be answered any more")));
    }
    Ok(())
}

fn listen(settings: &Serve) -> anyhow::Result<TcpListener> {
    let address = settings.listen;
    TcpListener::bind(address).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => anyhow!(
            "cannot listen at {address}: somebody does already, perhaps another tracer; --listen \
             names another address"
        ),
        _ => anyhow::Error::new(error).context(format!("cannot listen at {address}")),
    })
}

/// The settings that are typed and those of a file.
fn read(args: &[OsString], path: &Path) -> anyhow::Result<Serve> {
    let name = path.display();
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(LONGEST_FILE).read_to_string(&mut text))
        .with_context(|| format!("cannot read the settings in {name}"))?;
    with_file(args, &text).map_err(|error| {
        let text = error.to_string();
        let text = text.strip_prefix("error: ").unwrap_or(&text);
        let sentence: Vec<&str> = text.lines().take_while(|line| !line.is_empty()).collect();
        anyhow!("{name}: {}", sentence.join(" "))
    })
}

struct Daemon {
    settings: Serve,
    auditor: Auditor,
    exporter: Exporter,
    board: Arc<Board>,
    notifier: Notifier,
    clock: Clock,
    measuring: Option<Measuring>,
    started: f64,
    reload: Reload,
}

impl Daemon {
    /// Until a signal ends it, or nobody is answered any more.
    fn run(&mut self, args: &[OsString], answers: impl Fn() -> bool) -> Result<(), Failure> {
        let mut next = Instant::now() + self.settings.interval.min(FIRST);
        while answers() {
            self.board.beat();
            self.notifier.beat();
            let mut rest = self.auditor.turn().min(BEAT);
            let now = Instant::now();
            if next <= now {
                self.publish();
                next = (next + self.settings.interval).max(now);
            }
            rest = rest.min(next.saturating_duration_since(now));
            rest = self.notifier.rest().map_or(rest, |due| due.min(rest));
            match self.clock.wait(rest) {
                Woken::Time => {}
                Woken::End => break,
                Woken::Reload => {
                    self.read_again(args);
                    next = Instant::now();
                }
            }
        }
        Ok(())
    }

    fn publish(&mut self) {
        let before = clock::cpu();
        let mut audit = self.auditor.audit(true);
        let (flows, host) = self.auditor.flows();
        let bounds = Bounds {
            processes: self.settings.top,
            groups: self.settings.cgroups,
        };
        let digest = self.exporter.digest(&audit, &flows, host, bounds);
        audit.processes.truncate(ROWS);
        audit.processes.shrink_to_fit();
        let mut own = self.own();
        own.notes.clone_from(&audit.notes);
        own.publishing_ns = clock::cpu().since(before);
        self.board.publish(Edition::new(digest, audit, own));
    }

    fn own(&self) -> Own {
        let figures = own::holdings();
        let measures_probes = self.measuring.is_some() || host_measures();
        let probes = self.auditor.programs(measures_probes).into_iter();
        Own {
            version: env!("CARGO_PKG_VERSION"),
            kernel: kernel::release_name(),
            started_seconds: self.started,
            published_seconds: own::unix_time(),
            publishing_ns: 0,
            settings: told(&self.settings),
            probes: probes
                .map(|program| Probe {
                    name: program.name,
                    needed: program.is_needed,
                    attached: program.why_not.is_none(),
                    why_not: program.why_not,
                    runs: program.runs,
                })
                .collect(),
            capture: self.auditor.describe(),
            cpu_ns: clock::cpu().0,
            rss: figures.rss,
            vm_size: figures.vm_size,
            open_files: figures.open_files,
            open_files_limit: figures.open_files_limit,
            measures_probes,
            reload: self.reload.clone(),
            requests: self.board.requests(),
            notes: Vec::new(),
        }
    }

    /// Reads the settings again and takes over what can be; if they make no sense, all stays.
    fn read_again(&mut self, args: &[OsString]) {
        self.notifier.reloading(clock::now());
        self.reload.reloads += 1;
        let read = match self.settings.config.clone() {
            Some(file) => read(args, &file),
            None => Ok(self.settings.clone()),
        };
        let status = match read {
            Ok(settings) => self.take_over(settings),
            Err(error) => {
                let why = format!("{error:#}");
                eprintln!("tracer: the settings stay as they are: {why}");
                self.reload.error = Some(why.clone());
                format!("the settings could not be read again: {why}")
            }
        };
        self.notifier.ready(&status);
    }

    fn take_over(&mut self, wanted: Serve) -> String {
        let now = &mut self.settings;
        let differs = [
            ("listen", now.listen != wanted.listen),
            ("capture", now.watch.capture != wanted.watch.capture),
            (
                "max-processes",
                now.watch.max_processes != wanted.watch.max_processes,
            ),
            (
                "measure-probes",
                now.measure_probes != wanted.measure_probes,
            ),
            // The rights that it takes were given up.
            ("picks", now.picks == 0 && wanted.picks > 0),
        ];
        let waiting = differs.into_iter().filter(|(_, differs)| *differs);
        self.reload.waiting = waiting.map(|(name, _)| name.to_owned()).collect();
        let fixed = now.clone();
        *now = Serve {
            listen: fixed.listen,
            picks: if fixed.picks == 0 { 0 } else { wanted.picks },
            measure_probes: fixed.measure_probes,
            config: fixed.config,
            ..wanted
        };
        now.watch.capture = fixed.watch.capture;
        now.watch.max_processes = fixed.watch.max_processes;
        let asked = wishes(&now.watch, rank::Sort::Gap, None, now.picks);
        self.auditor.wish(asked, Some(now.watch.max_cpu));
        self.reload.error = None;
        self.reload.success_seconds = own::unix_time();
        let mut status = "the settings were read again".to_owned();
        if !self.reload.waiting.is_empty() {
            let names = self.reload.waiting.join(", ");
            status += &format!("; from the next start on: {names}");
        }
        if !self.settings.quiet {
            eprintln!("tracer: {status}");
        }
        status
    }
}

/// Settings as they are told, by the names of their options.
fn told(settings: &Serve) -> BTreeMap<&'static str, String> {
    let watch = &settings.watch;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    BTreeMap::from([
        ("listen", settings.listen.to_string()),
        ("interval", format!("{:?}", settings.interval)),
        ("top", settings.top.to_string()),
        ("top-cgroups", settings.cgroups.to_string()),
        ("comm", text(&watch.comm)),
        ("user", text(&watch.user)),
        ("cgroup", text(&watch.cgroup)),
        ("min-size", watch.min_size.0.to_string()),
        ("max-cpu", watch.max_cpu.to_string()),
        ("max-processes", watch.max_processes.to_string()),
        ("picks", settings.picks.to_string()),
        ("pick-growth", watch.pick_growth.0.to_string()),
        ("measure-probes", settings.measure_probes.to_string()),
        (
            "config",
            settings
                .config
                .as_ref()
                .map_or_else(String::new, |file| file.display().to_string()),
        ),
    ])
}
