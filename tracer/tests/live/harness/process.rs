//! Programs that a test starts, and what they print. They do not outlive the test.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{patience, wait_for};

/// A child; killed if it is still there in the end.
pub struct Running {
    child: Child,
}

impl Running {
    pub fn start(command: &mut Command) -> Self {
        let child = command.spawn();
        let child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self { child }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn take_stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().expect("a pipe, taken once")
    }

    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// To itself alone.
    pub fn signal(&self, signal: Signal) {
        kill(raw(self.pid()), signal).expect("own child, not yet waited for");
    }

    /// To its process group, as a terminal does. It must lead one.
    pub fn signal_group(&self, signal: Signal) {
        let group = Pid::from_raw(-raw(self.pid()).as_raw());
        kill(group, signal).expect("own child's group");
    }

    /// Takes note of its end, if it has ended.
    pub fn reap(&mut self) {
        let _ = self.child.try_wait();
    }

    pub fn wait(&mut self, what: &str) -> ExitStatus {
        wait_for(what, || self.child.try_wait().expect("own child"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have been waited for: then neither does anything.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process id as nix has it.
pub fn raw(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).expect("a process id"))
}

/// Lines of a program's output, read as they come so that it never waits for a reader.
pub struct Lines(Receiver<String>);

impl Lines {
    pub fn of(output: ChildStdout) -> Self {
        let (sender, receiver) = mpsc::channel();
        // Ends with the output, or with the first line that nobody wants any more.
        thread::spawn(move || {
            let lines = BufReader::new(output).lines();
            for line in lines.map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self(receiver)
    }

    /// The next line, unless the output is at its end.
    pub fn next(&self) -> Option<String> {
        match self.0.recv_timeout(patience()) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("no line in {:?}", patience()),
        }
    }

    /// Reads up to the first line of which `wanted` makes something.
    pub fn find<T>(&self, what: &str, wanted: impl Fn(&str) -> Option<T>) -> T {
        let mut seen = Vec::new();
        while let Some(line) = self.next() {
            if let Some(found) = wanted(&line) {
                return found;
            }
            seen.push(line);
        }
        panic!("no {what} among these lines: {seen:#?}")
    }

    /// Reads up to a line with this text.
    pub fn find_text(&self, text: &str) {
        self.find(text, |line| line.contains(text).then_some(()));
    }

    /// Reads up to `pid N`.
    pub fn find_pid(&self) -> u32 {
        self.find("line `pid N`", |line| {
            line.strip_prefix("pid ")?.parse().ok()
        })
    }

    /// Forgets what was printed so far and not read.
    pub fn skip_waiting(&self) {
        while self.0.try_recv().is_ok() {}
    }

    /// All that is still to come.
    pub fn rest(&self) -> Vec<String> {
        std::iter::from_fn(|| self.next()).collect()
    }
}

/// A program to attach to, which tells of itself and waits for lines.
pub struct Target {
    running: Running,
    stdin: Option<ChildStdin>,
    pub lines: Lines,
}

impl Target {
    pub fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut running = Running::start(command);
        let stdin = Some(running.take_stdin());
        let lines = Lines::of(running.take_stdout().expect("a pipe, taken once"));
        Self {
            running,
            stdin,
            lines,
        }
    }

    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Writes an empty line to its standard input.
    pub fn go(&mut self) {
        self.say("");
    }

    /// Writes a line to its standard input.
    pub fn say(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("its input is open");
        writeln!(stdin, "{line}").expect("it reads");
    }

    /// Closes its standard input and waits until it has ended by itself.
    pub fn end(&mut self) -> ExitStatus {
        self.stdin = None;
        self.running.wait("the target to end")
    }
}
