//! A step as a line for people.

use std::fmt::{Result, Write};

use super::{Action, Line, Record};

pub(super) fn write(line: &mut Line, record: &Record) -> Result {
    let (event, usage) = (&record.event, &record.usage);
    if event.action == Action::Start {
        let (pid, subject) = (std::process::id(), record.subject);
        writeln!(
            line,
            "scenario {}, allocator {}, pid {pid}; kB are 1024 bytes, changes are since step 0",
            subject.scenario, subject.allocator
        )?;
    }
    let mut what = Line::new();
    match (event.blocks.0, event.address) {
        (0, _) => {}
        (_, Some(address)) => write!(what, "{} at {address}", event.bytes)?,
        (blocks, None) => write!(what, "{} in {blocks} blocks", event.bytes)?,
    }
    let change = usage.vm_size.0.cast_signed() - record.start.vm_size.0.cast_signed();
    writeln!(
        line,
        "{:>3}  {:<7}  {:<31}  VmSize {:>8} kB {change:>+9}  VmRSS {:>8} kB",
        record.step.0,
        event.action,
        what.as_str(),
        usage.vm_size.0,
        usage.vm_rss.0
    )
}

#[cfg(test)]
mod tests {
    use super::super::tests::start_and_alloc;
    use super::*;

    #[test]
    fn figures_stand_below_each_other() {
        let mut lines = Line::new();
        for record in start_and_alloc() {
            write(&mut lines, &record).expect("the line fits");
        }
        let lines: Vec<_> = lines.as_str().lines().collect();
        assert!(lines[0].starts_with("scenario pinned-top, allocator jemalloc, pid "));
        assert_eq!(
            lines[1..],
            [
                "  0  start                                     \
                 VmSize     3000 kB        +0  VmRSS     1500 kB",
                "  1  alloc    128 MiB at 0x7f0000000010        \
                 VmSize   134076 kB   +131076  VmRSS     1504 kB",
            ]
        );
    }
}
