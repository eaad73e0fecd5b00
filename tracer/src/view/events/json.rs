//! An event in, one line of JSON out. `docs/json.md` is its contract.

use std::io;

use serde::Serialize;

use super::{super::json::Schema, facts};
use crate::{
    event::{Call, Event, EventKind, Request, Syscall},
    units::{Addr, Bytes, Nanos, Pid, Span, Tid},
};

/// Writes the event as one line of JSON, and the line's end.
///
/// # Errors
/// Those of `out`.
pub fn write_json(event: &Event, started: Nanos, mut out: impl io::Write) -> io::Result<()> {
    serde_json::to_writer(&mut out, &Line::new(event, started))?;
    out.write_all(b"\n")
}

#[derive(Serialize)]
struct Line<'a> {
    schema: Schema,
    at_ns: u64,
    pid: Pid,
    tid: Tid,
    what: &'static str,
    #[serde(flatten)]
    call: Option<CallFields<'a>>,
    #[serde(flatten)]
    child: Option<ChildFields>,
    vm_size: Option<Bytes>,
    rss: Option<Bytes>,
}

#[derive(Serialize)]
struct CallFields<'a> {
    call: Syscall,
    took_ns: u64,
    args: Vec<Addr>,
    ranges: Vec<Range>,
    bytes: Option<Bytes>,
    flags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<Option<&'a str>>,
    result: Option<Addr>,
    error: Option<String>,
}

#[derive(Serialize)]
struct ChildFields {
    child_pid: Pid,
    child_tid: Tid,
}

#[derive(Serialize)]
struct Range {
    start: Addr,
    end: Addr,
}

impl<'a> Line<'a> {
    fn new(event: &'a Event, started: Nanos) -> Self {
        let mut line = Self {
            schema: Schema::EVENT,
            at_ns: event.exited.since(started),
            pid: event.pid,
            tid: event.tid,
            what: "call",
            call: None,
            child: None,
            vm_size: event.kernel.map(|kernel| kernel.vm_size),
            rss: event.kernel.map(|kernel| kernel.rss),
        };
        line.what = match &event.kind {
            EventKind::Call(call) => {
                line.call = Some(CallFields::new(call, event.exited.since(event.entered)));
                "call"
            }
            EventKind::Fork(fork) => {
                line.child = Some(ChildFields {
                    child_pid: fork.child,
                    child_tid: fork.child_tid,
                });
                if fork.child == event.pid {
                    "thread"
                } else {
                    "fork"
                }
            }
            EventKind::Exec { .. } => "exec",
            EventKind::Exiting => "exiting",
            EventKind::ThreadEnd { last: true } => "process-end",
            EventKind::ThreadEnd { last: false } => "thread-end",
        };
        line
    }
}

impl<'a> CallFields<'a> {
    fn new(call: &'a Call, took_ns: u64) -> Self {
        let facts = facts::of(call);
        let args = call.args.iter().take(call.syscall.arity());
        Self {
            call: call.syscall,
            took_ns,
            args: args.copied().map(Addr).collect(),
            ranges: facts.ranges.into_iter().map(Range::from).collect(),
            bytes: facts.size,
            flags: facts.names,
            name: match &call.request {
                Request::Name { name, .. } => Some(name.as_deref()),
                _ => None,
            },
            result: call.outcome.ok().map(Addr),
            error: call.outcome.err().map(|errno| errno.to_string()),
        }
    }
}

impl From<Span> for Range {
    fn from(Span { start, end }: Span) -> Self {
        Self { start, end }
    }
}
