//! What is exported of an audit: all rows in; the leaders, and sums over groups, allocators and
//! reasons out. Bounded, whatever the host has.

mod leaders;
mod ledger;

use std::collections::BTreeMap;

use super::{
    counts::{Counts, Turnover},
    flow::Flow,
    group::Group,
    row::{AllocatorTotal, Audit, Coverage, Row, Sums, Totals, Tracing},
};
use crate::units::Bytes;
use ledger::Ledger;

/// Allocators that are named, at most.
const ALLOCATORS: usize = 32;

/// How much is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Processes that lead in something, for each of the things.
    pub processes: usize,
    /// Control groups that are named.
    pub groups: usize,
}

/// What is exported.
#[derive(Clone, Debug, Default)]
pub struct Digest {
    /// Sums over all processes that are asked for.
    pub totals: Sums,
    /// What was looked at, and what was not.
    pub coverage: Coverage,
    /// The kernel side's table of counts.
    pub counting: Option<Turnover>,
    /// What tracing single processes came to.
    pub tracing: Option<Tracing>,
    /// What all processes of the host were counted to have done. Never falls.
    pub host: Counts,
    /// The leaders.
    pub processes: Vec<Row>,
    /// The largest control groups.
    pub groups: Vec<GroupDigest>,
    /// Those that are not named; how many they are.
    pub other_groups: (Sums, Flow, usize),
    /// Allocators.
    pub allocators: Vec<AllocatorTotal>,
    /// Reasons.
    pub reasons: Vec<ReasonTotal>,
}

/// A control group.
#[derive(Clone, Debug)]
pub struct GroupDigest {
    /// What its path tells of.
    pub group: Group,
    /// Sums over its processes.
    pub sums: Sums,
    /// What they did since the group is named. Never falls while it is.
    pub flow: Flow,
}

/// A reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReasonTotal {
    /// Its name.
    pub reason: &'static str,
    /// Processes it was given to.
    pub processes: u64,
    /// What it accounts for in them.
    pub bytes: Bytes,
}

/// Makes digests of one audit after the other.
#[derive(Debug, Default)]
pub struct Exporter {
    ledger: Ledger,
    host: Counts,
}

impl Exporter {
    /// Makes one of all rows that are asked for; `flows` is what was done since the last one, by
    /// control group, `host` what was counted of all processes so far.
    pub fn digest(
        &mut self,
        audit: &Audit,
        flows: &BTreeMap<String, Flow>,
        host: Counts,
        bounds: Bounds,
    ) -> Digest {
        self.host = self.host.max(host);
        let Totals {
            all,
            by_cgroup,
            by_allocator,
        } = &audit.totals;
        let mut digest = Digest {
            totals: *all,
            coverage: audit.coverage,
            counting: audit.counting,
            tracing: audit.tracing,
            host: self.host,
            processes: leaders::of(&audit.processes, bounds.processes),
            reasons: reasons(&audit.processes),
            allocators: allocators(by_allocator),
            ..Digest::default()
        };
        // One that is named stays so until it is clearly no leader any more.
        let ranks = by_cgroup.iter().enumerate().map(|(rank, total)| {
            let known = self.ledger.names(&total.cgroup);
            (if known { rank * 4 / 5 } else { rank }, !known, total)
        });
        let mut ranked: Vec<_> = ranks.collect();
        ranked.sort_by_key(|(rank, is_new, _)| (*rank, *is_new));
        let (named, others) = ranked.split_at(bounds.groups.min(ranked.len()));
        let paths = named.iter().map(|(.., total)| &*total.cgroup);
        self.ledger.turn(flows, paths);
        digest.groups = named
            .iter()
            .map(|(.., total)| GroupDigest {
                group: total.group.clone(),
                sums: total.sums,
                flow: self.ledger.of(&total.cgroup),
            })
            .collect();
        let mut rest = rest(all, &digest.groups);
        rest.calls_per_second = rest.calls_per_second.max(0.0);
        digest.other_groups = (rest, self.ledger.others(), others.len());
        digest
    }
}

/// What is left of all: groups that are not named, and processes whose group is not known yet.
fn rest(all: &Sums, named: &[GroupDigest]) -> Sums {
    let mut rest = *all;
    for GroupDigest { sums, .. } in named {
        rest.processes = rest.processes.saturating_sub(sums.processes);
        rest.vm_size = less(rest.vm_size, sums.vm_size);
        rest.rss = less(rest.rss, sums.rss);
        rest.growth = rest.growth.saturating_sub(sums.growth);
        rest.purged = less(rest.purged, sums.purged);
        rest.retained = less(rest.retained, sums.retained);
        rest.calls = rest.calls.saturating_sub(sums.calls);
        rest.calls_per_second -= sums.calls_per_second;
    }
    rest
}

const fn less(all: Bytes, part: Bytes) -> Bytes {
    Bytes(all.0.saturating_sub(part.0))
}

fn reasons(rows: &[Row]) -> Vec<ReasonTotal> {
    let mut totals: BTreeMap<&'static str, ReasonTotal> = BTreeMap::new();
    for row in rows {
        let total = totals.entry(row.reason).or_insert(ReasonTotal {
            reason: row.reason,
            processes: 0,
            bytes: Bytes(0),
        });
        total.processes += 1;
        total.bytes += row.reason_bytes;
    }
    totals.into_values().collect()
}

fn allocators(totals: &[AllocatorTotal]) -> Vec<AllocatorTotal> {
    let (named, others) = totals.split_at(totals.len().min(ALLOCATORS));
    let mut named = named.to_vec();
    if !others.is_empty() {
        let mut rest = AllocatorTotal {
            allocator: "other".to_owned(),
            processes: 0,
            bytes: Bytes(0),
            reserved: Bytes(0),
            retained: Bytes(0),
        };
        for other in others {
            rest.processes += other.processes;
            rest.bytes += other.bytes;
            rest.reserved += other.reserved;
            rest.retained += other.retained;
        }
        named.push(rest);
    }
    named
}

#[cfg(test)]
mod tests;
