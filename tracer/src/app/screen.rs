//! What is seen while a run goes on: events on standard output, the rest on standard error.

use std::io::Write as _;

use super::{is_watched, write_out};
use crate::{
    cli::intent::{Format, Subject, Verbosity, View},
    event::Event,
    session::Audience,
    units::Nanos,
    view::{
        Style, events,
        status::{self, Status},
    },
};

/// The user's screen.
pub struct Screen {
    events: Option<Format>,
    verbosity: Verbosity,
    /// What is going on and how to end it; empty if there is nothing to end.
    invites: String,
    style: Style,
    shows_status: bool,
    has_status: bool,
    listens: bool,
}

impl Screen {
    /// Of a run that is explained at its end.
    pub fn live(subject: &Subject, view: &View, style: Style) -> Self {
        Self {
            events: view.events.then_some(view.format),
            shows_status: !view.events && view.verbosity >= Verbosity::Normal && is_watched(),
            ..Self::recording(subject, view.verbosity, style)
        }
        .explaining()
    }

    fn explaining(mut self) -> Self {
        self.invites.push_str(" and explains");
        self
    }

    /// Of a run that is recorded only.
    pub fn recording(subject: &Subject, verbosity: Verbosity, style: Style) -> Self {
        let subject = match subject {
            Subject::Running(pids) => {
                let pids: Vec<_> = pids.iter().map(ToString::to_string).collect();
                format!("process {}", pids.join(", "))
            }
            Subject::Command { program, .. } => format!("`{}`", program.to_string_lossy()),
        };
        Self {
            events: None,
            verbosity,
            invites: format!("observing {subject}; Ctrl-C ends it"),
            style,
            shows_status: verbosity >= Verbosity::Normal && is_watched(),
            has_status: false,
            listens: true,
        }
    }

    /// Of a run that is over.
    pub fn replay(view: &View, style: Style) -> Self {
        Self {
            events: view.events.then_some(view.format),
            verbosity: view.verbosity,
            invites: String::new(),
            style,
            shows_status: false,
            has_status: false,
            listens: true,
        }
    }

    /// The summary is out; the kernel is still busy with taking the probes away.
    pub fn detaching(&mut self) {
        if self.verbosity >= Verbosity::Normal && is_watched() {
            say("tracer: detaching the probes …");
            self.has_status = true;
        }
    }

    /// Takes the status line away.
    pub fn clear(&mut self) {
        if std::mem::take(&mut self.has_status) {
            say("\r\x1b[K");
        }
    }
}

impl Audience for Screen {
    fn event(&mut self, event: &Event, started: Nanos) {
        let bytes = match self.events {
            None => return,
            Some(Format::Text) => {
                let mut line = events::line(event, started, self.style);
                line.push('\n');
                line.into_bytes()
            }
            Some(Format::Json) => {
                let mut line = Vec::new();
                // Into memory: cannot fail.
                let _ = events::write_json(event, started, &mut line);
                line
            }
        };
        self.listens &= write_out(&bytes).unwrap_or(false);
    }

    fn attached(&mut self, notes: &[String], details: &[String]) {
        if self.verbosity >= Verbosity::Debug {
            for detail in details {
                say(&format!("tracer: {detail}\n"));
            }
        }
        if self.verbosity >= Verbosity::Normal {
            for note in notes {
                say(&format!("tracer: {note}\n"));
            }
            if is_watched() && !self.invites.is_empty() {
                say(&format!("tracer: {}\n", self.invites));
            }
        }
    }

    fn status(&mut self, status: &Status) {
        if self.shows_status {
            let line = status::line(status, self.style);
            say(&format!("\r\x1b[K{line}"));
            self.has_status = true;
        }
    }

    fn listens(&self) -> bool {
        self.listens
    }
}

/// Diagnostics; there is nobody to tell if they cannot be written.
fn say(text: &str) {
    let mut err = std::io::stderr().lock();
    let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
}
