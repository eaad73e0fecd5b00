//! The machine-readable document: a report in, JSON out. `docs/json.md` is its contract.
//!
//! Version 1: fields may be added, those there are keep their names, units and meaning.

mod paths;

use std::io;

use paths::Path;

use serde::Serialize;

mod heap;

use heap::Heap;

use super::perms;
use crate::{
    attribute::{
        Owner,
        explanation::{
            AllocatorFound, Finding, GrowthRow, InForce, LedgerRow, Residency, StackCoverage,
            Verdict,
        },
    },
    cost::OwnCost,
    event::Syscall,
    report::{
        Ending, EventCounts, Gap, Mapping, ProcessReport, Reconciliation, Report, Sampling, Target,
        TimelinePoint,
    },
    units::{Addr, Bytes, Nanos},
};

/// How the document is laid out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// Indented, over many lines.
    #[default]
    Pretty,
    /// One line: the last of a stream of JSON Lines.
    Line,
}

/// Writes the document and a line end.
///
/// # Errors
/// Those of `out`.
pub fn write(report: &Report, layout: Layout, mut out: impl io::Write) -> io::Result<()> {
    let schema = Schema::REPORT;
    match report.processes.as_slice() {
        [process] => emit(
            &Process {
                own_cost: report.own_cost,
                sampling: report.sampling,
                ..Process::new(process, Some(schema), &report.notes)
            },
            layout,
            &mut out,
        )?,
        processes => {
            let processes = processes
                .iter()
                .map(|process| Process::new(process, None, &[]));
            let several = Several {
                schema,
                processes: processes.collect(),
                own_cost: report.own_cost,
                sampling: report.sampling,
                notes: &report.notes,
            };
            emit(&several, layout, &mut out)?;
        }
    }
    out.write_all(b"\n")
}

fn emit(document: &impl Serialize, layout: Layout, out: impl io::Write) -> io::Result<()> {
    match layout {
        Layout::Pretty => serde_json::to_writer_pretty(out, document),
        Layout::Line => serde_json::to_writer(out, document),
    }
    .map_err(io::Error::from)
}

/// What a document says it is.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Schema {
    name: &'static str,
    version: u32,
}

impl Schema {
    const REPORT: Self = Self {
        name: "tracer.report",
        version: 1,
    };
    pub(super) const AUDIT: Self = Self {
        name: "tracer.audit",
        version: 1,
    };
    pub(super) const DOCTOR: Self = Self {
        name: "tracer.doctor",
        version: 1,
    };
    pub(super) const STATUS: Self = Self {
        name: "tracer.status",
        version: 1,
    };
    pub(super) const EVENT: Self = Self {
        name: "tracer.event",
        version: 1,
    };
}

#[derive(Serialize)]
struct Several<'a> {
    schema: Schema,
    processes: Vec<Process<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    own_cost: Option<OwnCost>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sampling: Option<Sampling>,
    notes: &'a [String],
}

#[derive(Serialize)]
struct Process<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<Schema>,
    target: &'a Target,
    verdict: &'a Verdict,
    observed_ns: u64,
    ending: Ending,
    vm_size: VmSize,
    rss: Rss,
    events: &'a EventCounts,
    reconciliation: Reconciliation,
    ledger: &'a [LedgerRow],
    residency: &'a Residency,
    growth: Vec<Growth<'a>>,
    findings: &'a [Finding],
    settings: &'a [InForce],
    allocators: &'a [AllocatorFound],
    unobserved: &'a [Gap],
    timeline: Vec<Moment>,
    stacks: StackCoverage,
    call_paths: Vec<Path<'a>>,
    mappings: Vec<Line<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    own_cost: Option<OwnCost>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sampling: Option<Sampling>,
    #[serde(skip_serializing_if = "Option::is_none")]
    heap: Option<Heap<'a>>,
    notes: Vec<&'a str>,
}

#[derive(Serialize)]
struct VmSize {
    at_attach: Option<Bytes>,
    peak: Option<Bytes>,
    at_end: Option<Bytes>,
    kernel_at_end: Option<Bytes>,
}

#[derive(Serialize)]
struct Rss {
    at_attach: Option<Bytes>,
    peak: Option<Bytes>,
    at_end: Option<Bytes>,
}

#[derive(Serialize)]
struct Growth<'a> {
    owner: &'a Owner,
    mapped: Bytes,
    unmapped: Bytes,
    given_back: Bytes,
    net: i128,
    calls: Vec<GrowthCall>,
}

#[derive(Serialize)]
struct GrowthCall {
    call: Syscall,
    calls: u64,
    bytes: Bytes,
}

#[derive(Serialize)]
struct Moment {
    at_ns: u64,
    vm_size: Bytes,
    rss: Option<Bytes>,
}

#[derive(Serialize)]
struct Line<'a> {
    start: Addr,
    end: Addr,
    perms: String,
    kind: &'static str,
    owner: &'a Owner,
    name: &'a str,
}

impl<'a> Process<'a> {
    fn new(process: &'a ProcessReport, schema: Option<Schema>, run_notes: &'a [String]) -> Self {
        let begin = process.timeline.first().map_or(Nanos(0), |point| point.at);
        let explanation = &process.explanation;
        let notes = process.notes.iter().chain(run_notes);
        Self {
            schema,
            target: &process.target,
            verdict: &explanation.verdict,
            observed_ns: process.observed,
            ending: process.ending,
            vm_size: VmSize {
                at_attach: process.vm_size.at_attach,
                peak: process.vm_size.peak,
                at_end: process.vm_size.at_end,
                kernel_at_end: process.kernel_vm_size_at_end,
            },
            rss: Rss {
                at_attach: process.rss.at_attach,
                peak: process.rss.peak,
                at_end: process.rss.at_end,
            },
            events: &process.events,
            reconciliation: process.reconciliation,
            ledger: &explanation.ledger,
            residency: &explanation.residency,
            growth: explanation.growth.iter().map(Growth::new).collect(),
            findings: &explanation.findings,
            settings: &explanation.settings,
            allocators: &explanation.allocators,
            unobserved: &process.unobserved,
            timeline: process
                .timeline
                .iter()
                .map(|point| Moment::new(point, begin))
                .collect(),
            stacks: explanation.stacks,
            call_paths: explanation.paths.iter().map(Path::new).collect(),
            mappings: process.mappings.iter().map(Line::new).collect(),
            own_cost: None,
            sampling: None,
            heap: process.heap.as_ref().map(Heap::new),
            notes: notes.map(String::as_str).collect(),
        }
    }
}

impl<'a> Growth<'a> {
    fn new(row: &'a GrowthRow) -> Self {
        let call = |&(call, calls, bytes)| GrowthCall { call, calls, bytes };
        Self {
            owner: &row.owner,
            mapped: row.mapped,
            unmapped: row.unmapped,
            given_back: row.discarded,
            net: i128::from(row.mapped.0) - i128::from(row.unmapped.0),
            calls: row.calls.iter().map(call).collect(),
        }
    }
}

impl Moment {
    fn new(point: &TimelinePoint, begin: Nanos) -> Self {
        Self {
            at_ns: point.at.since(begin),
            vm_size: point.vm_size,
            rss: point.rss,
        }
    }
}

impl<'a> Line<'a> {
    fn new(mapping: &'a Mapping) -> Self {
        Self {
            start: mapping.span.start,
            end: mapping.span.end,
            perms: perms(mapping),
            kind: mapping.kind,
            owner: &mapping.owner,
            name: &mapping.name,
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
