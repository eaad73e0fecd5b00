//! A report to test views with: the first experiment of the project on jemalloc.

use std::collections::BTreeMap;

use crate::{
    attribute::{
        Owner,
        evidence::{FoundBy, Frame, PageMethod, StackEnd, Trend},
        explanation::{
            AllocatorFound, CallPath, Confidence, Explanation, Finding, GrowthRow, InForce,
            LedgerRow, PageRow, Residency, Said, StackCoverage, State, Verdict, VerdictCode,
        },
    },
    event::Syscall,
    heap::{Estimate, ProbedFile, Totals, Wish},
    report::{
        CallCount, Ending, EventCounts, HeapPlace, HeapReport, Mapping, ProcessReport,
        Reconciliation, Report, Target, TimelinePoint,
    },
    space::piece::{FileId, Prot},
    units::{Addr, Bytes, Nanos, Pid, Span},
};

const JEMALLOC: Owner = Owner::named("jemalloc");

pub fn mib(size: u64) -> Bytes {
    Bytes(size << 20)
}

fn trend(at_attach: Bytes, peak: Bytes, at_end: Bytes) -> Trend {
    Trend {
        at_attach: Some(at_attach),
        peak: Some(peak),
        at_end: Some(at_end),
    }
}

/// A run with one process.
pub fn report() -> Report {
    Report {
        processes: vec![process()],
        own_cost: None,
        sampling: None,
        notes: vec![],
    }
}

/// A run of two processes, the second with nothing known of it.
pub fn two_processes() -> Report {
    let mut child = process();
    child.target = Target {
        pid: Pid(4243),
        comm: "child".into(),
        ..Target::default()
    };
    child.vm_size = Trend::default();
    child.rss = Trend::default();
    child.kernel_vm_size_at_end = None;
    child.events = EventCounts::default();
    child.reconciliation = Reconciliation::default();
    child.mappings.clear();
    child.timeline.clear();
    child.explanation = Explanation {
        ledger: vec![],
        residency: Residency::default(),
        allocators: vec![],
        growth: vec![],
        findings: vec![],
        settings: vec![],
        verdict: Verdict {
            code: VerdictCode::Inconclusive,
            summary: "It ended before its address space could be read.".into(),
            confidence: Confidence::Low,
        },
        paths: vec![],
        stacks: StackCoverage::default(),
        owners: vec![],
    };
    Report {
        processes: vec![process(), child],
        own_cost: None,
        sampling: None,
        notes: vec!["Call sites are not known: the kernel refused to read the stacks.".into()],
    }
}

/// What it asked of its allocator, sampled and late, so that everything is there.
pub fn heap() -> HeapReport {
    HeapReport {
        wish: Wish {
            min: Bytes(64),
            sample: Some(Bytes(512 << 10)),
            most: 1000,
        },
        totals: Totals {
            allocated: 1234,
            allocated_bytes: mib(1030),
            freed: 8,
            freed_bytes: mib(1024),
            unmatched: 3,
            untracked: 1200,
            untracked_bytes: mib(2),
            lost: 2,
            lost_bytes: Bytes(8192),
            reused: 1,
            abandoned: 1,
            unplaced: 0,
            failed: 1,
        },
        outstanding: Estimate {
            bytes: mib(4),
            error: mib(1),
        },
        outstanding_blocks: 8,
        late_ns: Some(1_500_000),
        files: vec![ProbedFile {
            path: "/usr/lib/libjemalloc.so.2".into(),
            functions: 32,
            late: true,
            since: Nanos(1_500_000),
        }],
        places: vec![HeapPlace {
            frames: vec![Frame {
                file: FileId(0),
                offset: 0x1139,
                module: "/home/u/test_virt".into(),
                function: Some("main".into()),
                inlined: false,
                line: None,
                by: FoundBy::Scan,
            }],
            outstanding: Estimate {
                bytes: mib(3),
                error: mib(1),
            },
            blocks: 6,
            allocated_bytes: mib(1027),
            freed_bytes: mib(1024),
            allocated: 14,
            freed: 8,
        }],
        rest: Estimate {
            bytes: mib(1),
            error: Bytes(524_288),
        },
        left_out: 2,
        trouble: vec!["/usr/lib/libstrange.so was replaced since it was mapped".into()],
    }
}

pub fn process() -> ProcessReport {
    let counts = |calls, failed, bytes| CallCount {
        calls,
        failed,
        bytes,
    };
    ProcessReport {
        unobserved: Vec::new(),
        target: Target {
            pid: Pid(4242),
            ns_pid: None,
            comm: "test_virt".into(),
            exe: "/home/u/test_virt".into(),
            cmdline: vec!["./test_virt".into(), "8".into()],
        },
        ending: Ending::StillRunning,
        observed: 32_400_000_000,
        vm_size: trend(Bytes(2_596_864), mib(1554), mib(1554)),
        kernel_vm_size_at_end: Some(mib(1554)),
        rss: trend(Bytes(1_376_256), mib(6), mib(4)),
        events: EventCounts {
            received: 12_345,
            lost: 0,
            by_call: BTreeMap::from([
                (Syscall::Mmap, counts(7, 1, mib(1552))),
                (Syscall::Madvise, counts(16, 0, mib(2048))),
            ]),
        },
        reconciliation: Reconciliation {
            checks: 24,
            mismatches: 0,
            resyncs: 0,
            full_checks: 1,
            races: 0,
            exact_after_ns: Some(12_000_000),
            drift_bytes: 0,
        },
        mappings: vec![
            mapping(
                0x5555_5555_4000,
                0x1000,
                "r-x",
                "file",
                Owner::FILES,
                "/home/u/test_virt",
            ),
            mapping(
                0x7f00_0000_0000,
                1552 << 20,
                "rw-",
                "anonymous",
                JEMALLOC,
                "",
            ),
        ],
        heap: Some(heap()),
        explanation: explanation(),
        timeline: timeline(),
        notes: vec![],
    }
}

fn mapping(
    start: u64,
    len: u64,
    prot: &str,
    kind: &'static str,
    owner: Owner,
    name: &str,
) -> Mapping {
    Mapping {
        span: Span::new(Addr(start), len),
        prot: Prot {
            read: prot.contains('r'),
            write: prot.contains('w'),
            exec: prot.contains('x'),
        },
        shared: false,
        kind,
        owner,
        name: name.into(),
    }
}

fn timeline() -> Vec<TimelinePoint> {
    let point = |second: u64, size, rss| TimelinePoint {
        at: Nanos((7_000 + second) * 1_000_000_000),
        vm_size: mib(size),
        rss: Some(mib(rss)),
    };
    vec![
        point(0, 2, 1),
        point(4, 400, 3),
        point(8, 900, 5),
        point(16, 1554, 6),
        point(24, 1554, 5),
        point(32, 1554, 4),
    ]
}

fn explanation() -> Explanation {
    let row = |owner, state, bytes, resident| LedgerRow {
        owner,
        state,
        bytes,
        resident,
    };
    Explanation {
        ledger: vec![
            row(Owner::FILES, State::File, mib(2), Some(mib(1))),
            row(
                JEMALLOC,
                State::ReleasedButRetained,
                mib(1536),
                Some(Bytes(0)),
            ),
            row(JEMALLOC, State::OverMapped, mib(16), Some(mib(3))),
            row(Owner::UNKNOWN, State::Other, Bytes(0), None),
        ],
        residency: Residency {
            method: Some(PageMethod::Scan),
            looked_at: mib(1553),
            left_out: Bytes(0),
            took_ns: 400_000,
            address_space_kept: mib(1536),
            physical_returned: Some(mib(1536)),
            in_memory_again: Some(Bytes(0)),
            pages: vec![
                PageRow {
                    owner: JEMALLOC,
                    said: Said::GivenBack,
                    bytes: mib(1536),
                    resident: Bytes(0),
                    huge: Bytes(0),
                    zero: Bytes(0),
                    swapped: Bytes(0),
                    absent: mib(1536),
                },
                PageRow {
                    owner: JEMALLOC,
                    said: Said::NotReleased,
                    bytes: mib(16),
                    resident: mib(3),
                    huge: mib(2),
                    zero: Bytes(4096),
                    swapped: Bytes(0),
                    absent: mib(13),
                },
            ],
        },
        allocators: vec![AllocatorFound {
            name: "jemalloc".into(),
            confidence: Confidence::High,
            evidence: vec!["/usr/lib/x86_64-linux-gnu/libjemalloc.so.2 defines mallctl".into()],
        }],
        growth: vec![GrowthRow {
            owner: JEMALLOC,
            mapped: mib(1552),
            unmapped: Bytes(0),
            discarded: mib(2048),
            calls: vec![(Syscall::Mmap, 6, mib(1552))],
        }],
        findings: vec![Finding {
            reason: "retained-after-purge",
            owner: JEMALLOC,
            bytes: mib(1536),
            confidence: Confidence::High,
            summary: "jemalloc gave the pages back with madvise(MADV_DONTNEED) and keeps the \
                address space to use it again."
                .into(),
            evidence: vec![
                "16 calls of madvise(MADV_DONTNEED) over 2.00 GiB, no munmap".into(),
                "opt.retain is not set, and true by default on 64-bit Linux".into(),
            ],
            cannot_exclude: "the program allocates as much again later".into(),
            remedy: "MALLOC_CONF=retain:false; unmapping splits mappings and costs system calls"
                .into(),
            verify: "Trace the same load with it: VmSize at the end must be lower.".into(),
        }],
        settings: vec![InForce {
            name: "opt.retain".into(),
            value: "true".into(),
            source: "default of jemalloc 5".into(),
            effect: "keeps address space whose pages it gave back".into(),
        }],
        verdict: Verdict {
            code: VerdictCode::RetainedByAllocator,
            summary: "VmSize grew by 1.52 GiB and stayed: jemalloc gave 1.50 GiB of pages back to \
                the kernel and keeps their address space; 4.00 MiB are in memory."
                .into(),
            confidence: Confidence::High,
        },
        paths: paths(),
        stacks: StackCoverage {
            calls: 18,
            unwound: 18,
            complete: 18,
            distinct: 2,
        },
        owners: vec![],
    }
}

fn paths() -> Vec<CallPath> {
    let frame = |function: &str, module: &str, line: Option<u32>, inlined: bool| Frame {
        file: FileId(0),
        offset: 0x1234,
        module: module.to_owned(),
        function: (!function.is_empty()).then(|| function.to_owned()),
        line: line.map(|line| ("/src/seed.c".to_owned(), line)),
        inlined,
        by: FoundBy::Tables,
    };
    let libc = "/usr/lib/x86_64-linux-gnu/libc.so.6";
    let jemalloc = "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2";
    let path = |inner: &str, outer: Frame| CallPath {
        owner: JEMALLOC,
        part: Some("growth of an arena"),
        frames: [
            frame(inner, libc, None, false),
            frame("", jemalloc, None, false),
            outer,
            frame("main", "/home/user/seed", Some(68), false),
        ]
        .into(),
        end: Some(StackEnd::Root),
        decided: Some(1),
        asked: Some(2),
        calls: 0,
        mapped: Bytes(0),
        unmapped: Bytes(0),
        still_mapped: Bytes(0),
        retained: Bytes(0),
        releases: 0,
        released: Bytes(0),
        purged: Bytes(0),
    };
    vec![
        CallPath {
            calls: 9,
            mapped: mib(1552),
            still_mapped: mib(1552),
            retained: mib(1024),
            ..path("mmap64", frame("fill", "/home/user/seed", Some(60), true))
        },
        CallPath {
            part: Some("a purge"),
            releases: 8,
            purged: mib(1024),
            ..path(
                "madvise",
                frame("_ZN4pool4dropEv", "/home/user/seed", Some(71), false),
            )
        },
    ]
}
