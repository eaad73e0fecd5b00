//! An event in, one aligned line for people out.

use super::{
    super::{
        clean::clean,
        number::{count, seconds},
        style::{Paint, Style},
    },
    facts,
};
use crate::{
    event::{Call, Event, EventKind, Syscall},
    units::{Bytes, Nanos, Span},
};

/// The event in one line, without its end: seconds since `started`, thread, call, range,
/// size, flags, result, and VmSize right after. Not cut to the width of `style`.
#[must_use]
pub fn line(event: &Event, started: Nanos, style: Style) -> String {
    let time = seconds(event.exited.since(started));
    let (what, rest) = match &event.kind {
        EventKind::Call(call) => (call.syscall.name(), described(call, style)),
        EventKind::Fork(fork) if fork.child == event.pid => {
            ("thread", format!("begins {}", fork.child_tid))
        }
        EventKind::Fork(fork) => ("child", format!("begins {}", fork.child)),
        EventKind::Exec { comm } => ("exec", format!("new program {}", clean(comm))),
        EventKind::Exiting => ("exit", "begins".to_owned()),
        EventKind::ThreadEnd { last: true } => ("exit", "process ended".to_owned()),
        EventKind::ThreadEnd { last: false } => ("exit", "thread ended".to_owned()),
    };
    let size = event
        .kernel
        .map_or_else(String::new, |kernel| format!("  VmSize {}", kernel.vm_size));
    let line = format!("{time:>12} {:>8}  {what:<15}  {rest}{size}", event.tid);
    line.trim_end().to_owned()
}

fn described(call: &Call, style: Style) -> String {
    let facts = facts::of(call);
    let size = facts
        .size
        .map_or_else(String::new, |size: Bytes| size.to_string());
    let words = style.paint(Paint::Plain, &facts.words.join(" "));
    let (paint, result) = match call.outcome {
        Ok(value) if returns_address(call.syscall) => (Paint::Plain, format!("{value:#x}")),
        Ok(value) => (Paint::Plain, value.to_string()),
        Err(errno) => (Paint::Notable, format!("-1 {errno}")),
    };
    let result = style.paint(paint, &format!("{result:<14}"));
    format!(
        "{:<29} {size:>10} {words:<26} = {result}",
        range(&facts.ranges)
    )
}

fn range(ranges: &[Span]) -> String {
    match ranges {
        [] => String::new(),
        [span] => format!("{}-{}", span.start, span.end),
        several => count(several.len() as u64, "range", "ranges"),
    }
}

const fn returns_address(call: Syscall) -> bool {
    matches!(
        call,
        Syscall::Mmap | Syscall::Brk | Syscall::Mremap | Syscall::Shmat | Syscall::MapShadowStack
    )
}
