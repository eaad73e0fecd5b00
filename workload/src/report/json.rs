//! A step as one JSON object. The first also names the process, the scenario
//! and the allocator. No value needs escaping.

use std::fmt::{Result, Write};

use super::{Action, Line, Record};

pub(super) fn write(line: &mut Line, record: &Record) -> Result {
    let (event, usage) = (&record.event, &record.usage);
    write!(
        line,
        r#"{{"step":{},"action":"{}","bytes":{},"blocks":{},"address":"#,
        record.step.0, event.action, event.bytes.0, event.blocks.0
    )?;
    match event.address {
        Some(address) => write!(line, r#""{address}""#)?,
        None => line.write_str("null")?,
    }
    write!(
        line,
        r#","vm_size_kb":{},"vm_rss_kb":{}"#,
        usage.vm_size.0, usage.vm_rss.0
    )?;
    if event.action == Action::Start {
        let (pid, subject) = (std::process::id(), record.subject);
        write!(
            line,
            r#","pid":{pid},"scenario":"{}","allocator":"{}""#,
            subject.scenario, subject.allocator
        )?;
    }
    if let Some(stats) = &record.stats {
        line.write_str(r#","stats":{"#)?;
        stats.write(line)?;
        line.write_str("}")?;
    }
    line.write_str("}\n")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests::start_and_alloc;
    use super::*;

    #[test]
    fn each_line_is_an_object() {
        let objects = start_and_alloc().map(|record| {
            let mut line = Line::new();
            write(&mut line, &record).expect("the object fits");
            serde_json::from_str::<Value>(line.as_str()).expect("the line is JSON")
        });
        let start = json!({"step": 0, "action": "start", "bytes": 0, "blocks": 0,
            "address": null, "vm_size_kb": 3000, "vm_rss_kb": 1500,
            "pid": std::process::id(), "scenario": "pinned-top", "allocator": "jemalloc"});
        let alloc = json!({"step": 1, "action": "alloc", "bytes": 134_217_728, "blocks": 1,
            "address": "0x7f0000000010", "vm_size_kb": 134_076, "vm_rss_kb": 1504});
        assert_eq!(objects, [start, alloc]);
    }
}
