//! What the kernel side could not deliver: per-processor counters in, sums out.

use std::collections::BTreeMap;

use aya::maps::{MapData, MapError, PerCpuArray};
use tracer_ebpf::{LOSS_SLOTS, loss, no_stack};

use crate::event::Syscall;

/// Records lost so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Losses {
    /// By what they were about.
    pub by_cause: BTreeMap<String, u64>,
    /// By processor.
    pub by_cpu: Vec<u64>,
    /// Runs of the programs that the kernel skipped, for any process of the machine: calls
    /// of a traced one may be among them.
    #[serde(default)]
    pub skipped: u64,
    /// Calls whose caller's stack was not copied; their records came.
    #[serde(default)]
    pub stacks: WithoutStack,
}

/// Calls whose caller's stack was wanted and not copied, by why not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct WithoutStack {
    /// Too many new ones came in too short a time.
    pub rate: u64,
    /// The ring was full.
    pub ring: u64,
    /// It could not be read.
    pub unreadable: u64,
}

/// The counters of those.
pub struct MissedStacks(PerCpuArray<MapData, u64>);

impl MissedStacks {
    pub(super) const fn new(map: PerCpuArray<MapData, u64>) -> Self {
        Self(map)
    }

    /// Reads them; one that cannot be read counts nothing.
    pub(super) fn read(&self) -> WithoutStack {
        let count = |slot| {
            let counts = self.0.get(&slot, 0);
            counts.map_or(0, |counts| counts.iter().sum())
        };
        WithoutStack {
            rate: count(no_stack::RATE),
            ring: count(no_stack::RING),
            unreadable: count(no_stack::UNREADABLE),
        }
    }
}

impl Losses {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.by_cause.values().sum()
    }

    /// All of them in words, with records that arrived and could not be decoded.
    #[must_use]
    pub fn describe(&self, undecodable: u64) -> String {
        let causes = self
            .by_cause
            .iter()
            .map(|(cause, count)| format!("{count} × {cause}"));
        let undecodable = (undecodable > 0).then(|| format!("{undecodable} × undecodable"));
        let causes: Vec<_> = causes.chain(undecodable).collect();
        let cpus = self
            .by_cpu
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0);
        let cpus: Vec<_> = cpus
            .map(|(cpu, count)| format!("cpu {cpu}: {count}"))
            .collect();
        format!("{} ({})", causes.join(", "), cpus.join(", "))
    }
}

/// The counters of the kernel side.
pub struct Counters(PerCpuArray<MapData, u64>);

impl Counters {
    pub(super) const fn new(map: PerCpuArray<MapData, u64>) -> Self {
        Self(map)
    }

    /// Reads all counters. Costs a system call for each traced call: for now and then.
    pub(super) fn read(&self) -> Result<Losses, MapError> {
        let mut losses = Losses::default();
        for slot in slots() {
            let counts = self.0.get(&slot, 0)?;
            let sum: u64 = counts.iter().sum();
            if sum > 0 {
                *losses.by_cause.entry(cause(slot)).or_default() += sum;
            }
            losses.by_cpu.resize(counts.len(), 0);
            let sums = losses.by_cpu.iter_mut().zip(counts.iter());
            sums.for_each(|(total, count)| *total += count);
        }
        Ok(losses)
    }
}

/// The slots that the kernel side can count in.
fn slots() -> impl Iterator<Item = u32> {
    let calls = Syscall::ALL.iter().filter_map(|call| call.number());
    let calls = calls.filter_map(|number| u32::try_from(number).ok());
    calls
        .chain([
            loss::FORK,
            loss::EXEC,
            loss::EXIT,
            loss::IN_FLIGHT,
            loss::TARGETS,
            loss::SKIPPED,
        ])
        .filter(|slot| *slot < LOSS_SLOTS)
}

fn cause(slot: u32) -> String {
    match slot {
        loss::FORK => "fork".to_owned(),
        loss::EXEC => "exec".to_owned(),
        loss::EXIT => "exit".to_owned(),
        loss::IN_FLIGHT => "too many calls under way".to_owned(),
        loss::TARGETS => "too many processes".to_owned(),
        loss::SKIPPED => "skipped by the kernel".to_owned(),
        call => Syscall::from_number(u64::from(call)).map_or_else(
            || format!("system call {call}"),
            |call| call.name().to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_has_a_slot_of_its_own() {
        let all: Vec<_> = slots().collect();
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(all.len(), distinct.len());
        assert!(all.len() > Syscall::ALL.len());
    }
}
