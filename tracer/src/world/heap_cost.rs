//! What a probed malloc and free cost here: measured on a child of the tracer's own, before
//! anybody else's is probed.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use super::heap::{HeapView, Stands};
use crate::{probe::Probes, units::Pid};

/// Asks this very program to make pairs of malloc and free: see `app/heap_pairs.rs`.
const PAIRS: &str = "--heap-pairs";

/// Nanoseconds of a malloc and a free together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    plain: u64,
    probed: u64,
}

impl Cost {
    /// In words, with what helps.
    pub fn describe(self) -> String {
        let tell = |nanos: u64| match nanos {
            0..10_000 => format!("{nanos} ns"),
            _ => format!("{} µs", nanos / 1000),
        };
        format!(
            "each malloc and free of the traced processes will cost them {} together instead of {} \
             (measured here, now): to trace fewer, leave out children with --no-follow, or end \
             early with --duration",
            tell(self.probed),
            tell(self.plain)
        )
    }
}

/// Measures it.
pub(super) fn measure(view: &mut HeapView, probes: &mut Probes) -> Result<Cost> {
    let mut child = Command::new("/proc/self/exe")
        .arg(PAIRS)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("tracer cannot start itself")?;
    let cost = ask(&mut child, view, probes);
    // It ends with its input; and it is nobody's in any case.
    let _ = child.kill();
    let _ = child.wait();
    view.forget(probes, Pid(child.id()));
    cost
}

fn ask(child: &mut Child, view: &mut HeapView, probes: &mut Probes) -> Result<Cost> {
    let mut input = child.stdin.take().context("no pipe")?;
    let mut output = BufReader::new(child.stdout.take().context("no pipe")?);
    let mut round = || -> Result<u64> {
        input.write_all(b"\n")?;
        let mut line = String::new();
        output.read_line(&mut line)?;
        let (pairs, nanos) = line.trim().split_once(' ').context("no answer")?;
        let (pairs, nanos): (u64, u64) = (pairs.parse()?, nanos.parse()?);
        Ok(nanos / pairs.max(1))
    };
    // The first one finds its code not in memory.
    round()?;
    let plain = round()?;
    let look = view.look(probes, Pid(child.id()), Stands::Still);
    ensure!(
        !look.files.is_empty(),
        "the functions of its own allocator were not found"
    );
    round()?;
    let probed = round()?;
    Ok(Cost { plain, probed })
}
