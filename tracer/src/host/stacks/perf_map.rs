//! Code that a process makes at run time: `/tmp/perf-<pid>.map` of the process in, names of
//! addresses out. Anybody can write such a file, so it is parsed as a stranger's.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _},
};

use crate::{
    host::{foreign::RootFolder, process},
    units::{Addr, Pid},
};

/// Read of one file.
const MOST_READ: u64 = 256 << 20;
/// Of a line, which may be nothing but one.
const MOST_LINE: u64 = 4096;
/// Of a name.
const MOST_NAME: usize = 200;

/// Where a process has its files, as long as it is known, and how it calls itself.
pub struct Root {
    folder: Option<RootFolder>,
    pid: Pid,
}

impl Root {
    /// Looks at a process while it is there.
    pub fn of(pid: Pid) -> Self {
        Self {
            folder: RootFolder::of(pid).ok(),
            pid: process::target(pid).ns_pid.unwrap_or(pid),
        }
    }

    /// Names of addresses, by the file as it is now.
    pub fn names(&self, addresses: &[Addr]) -> Vec<(Addr, String)> {
        let path = format!("/tmp/perf-{}.map", self.pid);
        let opened = self.folder.as_ref().map(|root| root.open_regular(&path));
        let Some(Ok(file)) = opened else {
            return Vec::new();
        };
        // It grows by more than is asked about: only the wanted lines are kept.
        let mut found: BTreeMap<Addr, String> = BTreeMap::new();
        let mut sorted = addresses.to_vec();
        sorted.sort_unstable();
        let mut lines = BufReader::new(file.take(MOST_READ));
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = lines.by_ref().take(MOST_LINE).read_until(b'\n', &mut line);
            if !matches!(read, Ok(1..)) {
                break;
            }
            let Some((start, end, name)) = parse(&line) else {
                continue;
            };
            let first = sorted.partition_point(|addr| *addr < start);
            for addr in sorted.iter().skip(first).take_while(|addr| **addr < end) {
                // The last one holds: code is replaced.
                found.insert(*addr, name.clone());
            }
        }
        found.into_iter().collect()
    }
}

/// `START SIZE NAME`, numbers in hexadecimal digits.
fn parse(line: &[u8]) -> Option<(Addr, Addr, String)> {
    let text = String::from_utf8_lossy(line);
    let mut fields = text.trim_end().splitn(3, ' ');
    let hex = |digits: &str| u64::from_str_radix(digits.trim_start_matches("0x"), 16).ok();
    let start = hex(fields.next()?)?;
    let size = hex(fields.next()?)?;
    let name: String = fields.next()?.chars().take(MOST_NAME).collect();
    Some((Addr(start), Addr(start.checked_add(size)?), name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_three_fields() {
        let line = parse(b"7f00 20 LazyCompile:*f a.js:1\n").expect("a line");
        assert_eq!(line.0, Addr(0x7f00));
        assert_eq!(line.1, Addr(0x7f20));
        assert_eq!(line.2, "LazyCompile:*f a.js:1");
        for nonsense in [
            &b""[..],
            b"7f00",
            b"7f00 20",
            b"x 20 f",
            b"ffffffffffffffff 2 f",
            b"\xff\xfe",
        ] {
            assert_eq!(parse(nonsense), None);
        }
    }
}
