//! `limit-at-risk`: a limit comes near, and what counts in it.

use super::Draft;
use crate::{
    attribute::{
        Owner,
        case::{Case, Part},
        evidence::Settings,
        explanation::{Confidence, Finding, State},
    },
    space::piece::Backing,
    units::Bytes,
};

pub const REASON: &str = "limit-at-risk";

/// From this share of a limit on it is at risk, percent.
const AT_RISK: u64 = 80;

/// Where limits of a process are read.
const PROCESS: &str = "/proc/<pid>/limits";

/// A limit and what counts in it.
struct Limit {
    name: &'static str,
    /// Where it is set.
    source: String,
    /// What it bounds, in words.
    what: &'static str,
    limit: Bytes,
    used: Bytes,
    /// Whether memory without pages counts in it.
    counts_empty: bool,
    remedy: &'static str,
}

pub fn find(case: &Case<'_>) -> Vec<Finding> {
    let limits = limits(case, case.evidence.settings).into_iter();
    limits
        .filter(|limit| {
            let share = u128::from(limit.used.0) * 100;
            share >= u128::from(limit.limit.0) * u128::from(AT_RISK)
        })
        .map(|limit| finding(case, &limit))
        .collect()
}

fn limits(case: &Case<'_>, settings: &Settings) -> Vec<Limit> {
    let mut limits = Vec::new();
    let peak = case.evidence.vm_size.peak.unwrap_or_default();
    limits.extend(settings.address_space_limit.map(|limit| Limit {
        name: "RLIMIT_AS",
        source: PROCESS.to_owned(),
        what: "VmSize at its peak",
        limit,
        used: peak,
        counts_empty: true,
        remedy: "Raise the limit (ulimit -v), or bound what the process has in memory instead, by a \
                 memory control group: address space that costs no memory does not count there. Or \
                 keep less of it: see the remedies of the other findings.",
    }));
    let data: Bytes = case
        .parts
        .iter()
        .filter(|part| is_data(part))
        .map(|part| part.span.len())
        .sum();
    limits.extend(settings.data_limit.map(|limit| Limit {
        name: "RLIMIT_DATA",
        source: PROCESS.to_owned(),
        what: "private writable memory at the end",
        limit,
        used: data,
        counts_empty: true,
        remedy: "Raise the limit (ulimit -d), or keep less: reservations count only once they are \
                 made writable.",
    }));
    let kernel = &settings.kernel;
    if let (Some(2), Some(limit), Some(used)) = (
        kernel.overcommit_memory,
        kernel.commit_limit,
        kernel.committed,
    ) {
        limits.push(Limit {
            name: "CommitLimit",
            source: "/proc/meminfo, as vm.overcommit_memory is 2".to_owned(),
            what: "what all processes had committed at the beginning",
            limit,
            used,
            counts_empty: true,
            remedy: "Raise vm.overcommit_ratio, or set vm.overcommit_memory to 0. In this mode \
                     MAP_NORESERVE has no effect: what is retained counts.",
        });
    }
    if let Some(group) = &settings.memory_group {
        let rss = case.evidence.rss.peak.unwrap_or_default();
        let bounds = [("memory.max", group.max), ("memory.high", group.high)];
        limits.extend(bounds.into_iter().filter_map(|(name, limit)| {
            Some(Limit {
                name,
                source: format!("cgroup v{} {}", group.version, group.path),
                what: "RSS at its peak",
                limit: limit?,
                used: rss,
                counts_empty: false,
                remedy: "Raise the limit of the memory control group, or let the process keep less \
                         in memory. Lowering VmSize alone does not help: only memory counts there.",
            })
        }));
    }
    limits
}

/// Private and writable, no stack: what the kernel counts as data (`is_data_mapping`).
const fn is_data(part: &Part) -> bool {
    let piece = &part.piece;
    !piece.shared && piece.prot.write && !matches!(piece.backing, Backing::Stack)
}

fn finding(case: &Case<'_>, limit: &Limit) -> Finding {
    let percent = u128::from(limit.used.0) * 100 / u128::from(limit.limit.0.max(1));
    let empty = limit.counts_empty.then(|| empty(case)).flatten();
    let weight =
        |owner: &Owner| -> Bytes { case.parts_of(owner).map(|part| part.span.len()).sum() };
    let owner = case
        .owners()
        .into_iter()
        .max_by_key(weight)
        .unwrap_or(Owner::UNKNOWN);
    Draft::new(case, REASON, &owner, limit.used)
        .summary(&format!(
            "{} is {}, of which {} was {} ({percent} %): beyond, requests for memory fail.",
            limit.name, limit.limit, limit.what, limit.used
        ))
        .facts(empty)
        .fact(format!("the limit is set in {}", limit.source))
        .fact(format!(
            "the largest part, {}, is of {owner}",
            weight(&owner)
        ))
        .sure(Confidence::High)
        .cannot_exclude("that it never grows further.")
        .remedy(limit.remedy)
        .verify("Trace the same load again: the share named above must be lower.")
        .done()
}

/// What counts although it costs no memory.
fn empty(case: &Case<'_>) -> Option<String> {
    let states = [
        (State::ReleasedButRetained, "given back and kept"),
        (State::Reserved, "reserved"),
        (State::OverMapped, "mapped beyond use"),
    ];
    let shares: Vec<String> = states
        .into_iter()
        .filter_map(|(state, what)| {
            let rows = case.tally.rows().filter(|(_, of, ..)| *of == state);
            let bytes: Bytes = rows.map(|(_, _, bytes, _)| bytes).sum();
            (bytes.0 > 0).then(|| format!("{bytes} {what}"))
        })
        .collect();
    (!shares.is_empty()).then(|| {
        format!(
            "it costs no memory and counts all the same: {}",
            shares.join(", ")
        )
    })
}
