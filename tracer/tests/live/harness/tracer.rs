//! A run of the tracer: arguments in; an exit code, what it said and its report out.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    path::PathBuf,
    process::{ChildStdin, ChildStdout, Command, Stdio},
};

use nix::sys::signal::Signal;

use super::{
    Account, Folder, Lines, Running,
    account::Report,
    command,
    kernel::{is_target, sleeps},
    tracer_program, wait_for,
};

const REPORT: &str = "report.json";

/// A tracer at work.
pub struct Tracer {
    running: Running,
    /// Inherited by the command, which it may wait for.
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    folders: Folders,
}

/// Where a run writes to.
struct Folders {
    /// Nothing but the report may ever appear here.
    output: Folder,
    /// Standard error is a file: the command inherits it too, and may outlive the tracer.
    errors: Folder,
}

/// A run that is over.
pub struct Ended {
    pub code: Option<i32>,
    /// What was left of standard output, unless a test took it.
    pub stdout: Vec<String>,
    pub stderr: String,
    report: Option<Report>,
}

impl Tracer {
    /// Attaches to processes; there is a report in the end.
    pub fn attach(pids: &[u32]) -> Self {
        let list: Vec<String> = pids.iter().map(ToString::to_string).collect();
        let tracer = Self::report(&["--pid", &list.join(",")], &[]);
        tracer.wait_until_observed(pids);
        tracer
    }

    /// Attaches to several processes that are too busy for the tracer to come to rest, of which the
    /// last is there to stay. What they do from now on will be reported, their maps may be yet to be
    /// read. `None` if one of the others had ended before.
    pub fn attach_amid_all(pids: &[u32], arguments: &[&str]) -> Option<Self> {
        let list: Vec<String> = pids.iter().map(ToString::to_string).collect();
        let list = list.join(",");
        let arguments = [&["--pid", &list], arguments].concat();
        let tracer = Self::report(&arguments, &[]);
        let last = *pids.last().expect("somebody to attach to");
        tracer.begins_with(last).then_some(tracer)
    }

    /// Waits until what this process does is recorded, or the tracer has said why it cannot begin.
    pub fn begins_with(&self, pid: u32) -> bool {
        wait_for("the tracer to have a target", || match is_target(pid) {
            true => Some(true),
            false => self.refusal().map(|_| false),
        })
    }

    /// Waits until what this process does from now on is recorded.
    pub fn wait_until_attached(&self, pid: u32) {
        wait_for("the tracer to have a target", || {
            assert_eq!(self.refusal(), None);
            is_target(pid).then_some(())
        });
    }

    /// What it says if it could not begin.
    fn refusal(&self) -> Option<String> {
        let said = fs::read_to_string(self.folders.stderr()).unwrap_or_default();
        said.starts_with("tracer: ").then_some(said)
    }

    /// Starts a command under observation, with these variables set; there is a report in the
    /// end.
    pub fn launch(words: &[impl AsRef<OsStr>], variables: &[(&str, &str)]) -> Self {
        let mut arguments = vec![OsString::from("--")];
        arguments.extend(words.iter().map(|word| word.as_ref().to_owned()));
        Self::report(&arguments, variables)
    }

    /// With these arguments and those that make a report in JSON.
    pub fn report(arguments: &[impl AsRef<OsStr>], variables: &[(&str, &str)]) -> Self {
        let folders = Folders::new();
        let mut command = command(tracer_program());
        command.args(["--quiet", "--format", "json", "--output"]);
        command.arg(folders.report());
        command.args(arguments).envs(variables.iter().copied());
        Self::start(command, folders)
    }

    /// With nothing but these arguments.
    pub fn plain(arguments: &[impl AsRef<OsStr>]) -> Self {
        let mut command = command(tracer_program());
        command.args(arguments);
        Self::run(command)
    }

    /// This command, which runs a tracer.
    pub fn run(command: Command) -> Self {
        Self::start(command, Folders::new())
    }

    fn start(mut command: Command, folders: Folders) -> Self {
        let errors = File::create(folders.stderr()).expect("own folder");
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors);
        // Of a group of its own, so that a test can do what Ctrl-C on a terminal does.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut running = Running::start(&mut command);
        let stdin = Some(running.take_stdin());
        let stdout = running.take_stdout();
        Self {
            running,
            stdin,
            stdout,
            folders,
        }
    }

    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Waits until everything that these processes do from now on will be reported.
    ///
    /// The kernel side knows them before their maps are read. These are read in the first turn
    /// of the tracer's loop, which sleeps between its turns, and perhaps before the first.
    pub fn wait_until_observed(&self, pids: &[u32]) {
        const TURNS: u64 = 3;
        let mut first = None;
        wait_for("the tracer to observe", || {
            assert_eq!(self.refusal(), None);
            if first.is_none() && !pids.iter().all(|pid| is_target(*pid)) {
                return None;
            }
            let now = sleeps(self.pid())?;
            (now >= *first.get_or_insert(now) + TURNS).then_some(())
        });
    }

    /// Waits until what a process does from now on will be reported. It may be too busy for the
    /// tracer to come to rest; its map may be yet to be read.
    pub fn wait_until_target(&self, pid: u32) {
        wait_for("the tracer to have a target", || {
            let said = fs::read_to_string(self.folders.stderr()).unwrap_or_default();
            assert!(!said.starts_with("tracer: "), "{said}");
            is_target(pid).then_some(())
        });
    }

    /// What it said on standard error so far.
    pub fn said(&self) -> String {
        fs::read_to_string(self.folders.stderr()).unwrap_or_default()
    }

    /// Its standard output, which a command that it started writes to as well.
    pub fn take_stdout(&mut self) -> ChildStdout {
        self.stdout.take().expect("taken once")
    }

    /// Lets the command go that waits for its standard input.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    pub fn signal(&self, signal: Signal) {
        self.running.signal(signal);
    }

    pub fn signal_group(&self, signal: Signal) {
        self.running.signal_group(signal);
    }

    /// Ends it as Ctrl-C does.
    pub fn interrupt(self) -> Ended {
        self.signal(Signal::SIGINT);
        self.finish()
    }

    /// Waits until it has ended.
    pub fn finish(mut self) -> Ended {
        let lines = self.stdout.take().map(Lines::of);
        let status = self.running.wait("the tracer to end");
        // A command may be left that waits for it.
        self.stdin = None;
        let stdout = lines.map(|lines| lines.rest()).unwrap_or_default();
        let stderr = fs::read(self.folders.stderr()).expect("own file");
        let stderr = String::from_utf8(stderr).expect("it is text");
        for word in ["panicked", "backtrace", "Caused by"] {
            assert!(!stderr.contains(word), "no report to a user: {stderr}");
        }
        let left = self.folders.output.names();
        assert!(
            left.iter().all(|name| name == REPORT),
            "left behind: {left:?}"
        );
        let report = fs::read_to_string(self.folders.report()).ok();
        let report = report.map(|text| Report::parse(&text));
        Ended {
            code: status.code(),
            stdout,
            stderr,
            report,
        }
    }
}

impl Folders {
    fn new() -> Self {
        Self {
            output: Folder::new(),
            errors: Folder::new(),
        }
    }

    fn report(&self) -> PathBuf {
        self.output.join(REPORT)
    }

    fn stderr(&self) -> PathBuf {
        self.errors.join("stderr")
    }
}

impl Ended {
    /// All processes of the report, of a run that ended well and had nothing to say.
    pub fn accounts(&self) -> Vec<Account> {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        assert_eq!(self.stderr, "", "it was asked to be quiet");
        let report = self.report.as_ref().expect("a report was asked for");
        report.processes()
    }

    /// The account of the only process.
    pub fn account(&self) -> Account {
        let mut accounts = self.accounts();
        let account = accounts.pop().expect("a process");
        assert!(accounts.is_empty(), "more than one process: {accounts:#?}");
        account
    }

    /// The account of a process among others.
    pub fn account_of(&self, pid: u32) -> Account {
        let mut accounts = self.accounts().into_iter();
        accounts
            .find(|account| account.pid() == pid)
            .expect("it was observed")
    }

    /// Asserts that it failed in the way the code says, in one line, and without a report.
    pub fn failed_with(&self, code: i32) -> &str {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        assert!(
            self.report.is_none(),
            "a report in spite of: {}",
            self.stderr
        );
        assert!(self.stderr.starts_with("tracer: "), "{}", self.stderr);
        assert_eq!(self.stderr.lines().count(), 1, "{}", self.stderr);
        &self.stderr
    }
}
