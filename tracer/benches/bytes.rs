//! Bytes by an allocator that counts: what an event allocates on its way, and what the model keeps
//! of a mapping. Lines of figure, value and meaning, for `cargo xtask bench`.

mod program;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use program::{PAGE, Program, ROUND};
use tracer::{
    event::{Event, Syscall, decode::decode},
    space::{
        piece::{Piece, Prot, Provenance},
        reading::Reading,
        vma::Vma,
    },
    track::Tracked,
    units::{Addr, Bytes, Nanos, PageSize, Span},
};
use tracer_ebpf::{CallRecord, Figures, Header, PlacingRecord, kind};
use zerocopy::IntoBytes as _;

const SIZE: PageSize = PageSize(PAGE);
/// As many as Linux permits by default.
const MAPPINGS: u64 = 65_530;

/// Counts what is asked for, and what is held: sizes as glibc's malloc makes them.
struct Counting;

static ASKED: AtomicU64 = AtomicU64::new(0);
static CALLS: AtomicU64 = AtomicU64::new(0);
static HELD: AtomicU64 = AtomicU64::new(0);

/// A chunk of glibc: 8 bytes more, in steps of 16, at least 32.
fn chunk(size: usize) -> u64 {
    (size as u64 + 8).next_multiple_of(16).max(32)
}

#[expect(unsafe_code, reason = "an allocator is unsafe to write")]
// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Relaxed);
        ASKED.fetch_add(layout.size() as u64, Relaxed);
        HELD.fetch_add(chunk(layout.size()), Relaxed);
        // SAFETY: by the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        HELD.fetch_sub(chunk(layout.size()), Relaxed);
        // SAFETY: by the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() {
    let tell = |figure: &str, value: f64, what: &str| println!("{figure}\t{value:.1}\t{what}");
    tell(
        "event bytes",
        size_of::<Event>() as f64,
        "an event, without what it points to",
    );
    tell(
        "piece bytes",
        size_of::<Piece>() as f64,
        "what is known of a run of bytes",
    );

    let mut tracked = Tracked::unread(SIZE, Provenance::PreExisting);
    tracked.offer(&Program::reading(), true);
    let mut program = Program::new(1);
    // What is allocated once is.
    follow(&mut tracked, &mut program);
    let (asked, calls) = (ASKED.load(Relaxed), CALLS.load(Relaxed));
    let rounds = 20;
    let mut made = (0, 0);
    for _ in 0..rounds {
        let before = (ASKED.load(Relaxed), CALLS.load(Relaxed));
        let records = program.round();
        made.0 += ASKED.load(Relaxed) - before.0;
        made.1 += CALLS.load(Relaxed) - before.1;
        for record in &records {
            tracked.take(decode(record.bytes(), SIZE).expect("a good record"));
        }
    }
    let events = (rounds * ROUND) as f64;
    let asked = (ASKED.load(Relaxed) - asked - made.0) as f64 / events;
    let calls = (CALLS.load(Relaxed) - calls - made.1) as f64 / events;
    tell(
        "allocated per event",
        asked,
        "allocated for an event from the record to the ledger, and freed again",
    );
    tell("allocations per event", calls, "allocations for that");

    for (figure, what, in_order) in [
        (
            "bytes per mapping",
            "kept of a mapping, of 65,530 that were read from a map",
            true,
        ),
        (
            "bytes per mapping, mapped",
            "kept of a mapping, of 65,530 that calls made in mixed order",
            false,
        ),
    ] {
        let (held, keeps) = mappings(in_order);
        tell(figure, held as f64 / MAPPINGS as f64, what);
        drop(keeps);
    }
}

fn follow(tracked: &mut Tracked, program: &mut Program) {
    for record in program.round() {
        tracked.take(decode(record.bytes(), SIZE).expect("a good record"));
    }
}

/// Bytes held by an address space of that many mappings.
fn mappings(in_order: bool) -> (u64, Tracked) {
    let line = |index: u64| Vma {
        span: Span::new(Addr(0x7000_0000_0000 + index * 2 * PAGE), PAGE),
        prot: Prot::from_bits(3),
        shared: false,
        offset: 0,
        device: 0,
        inode: 0,
        name: String::new(),
    };
    // 40,009 is prime to the number of mappings, so each comes once.
    let order = |index: u64| {
        if in_order {
            index
        } else {
            index * 40_009 % MAPPINGS
        }
    };
    let reading = |count: u64| Reading {
        vmas: (0..count).map(line).collect(),
        begun: Nanos(1),
        ended: Nanos(2),
        vm_size: Bytes(count * PAGE),
        disturbed: Some(false),
        ..Reading::default()
    };
    let read = if in_order {
        reading(MAPPINGS)
    } else {
        reading(0)
    };
    let before = HELD.load(Relaxed);
    let mut tracked = Tracked::unread(SIZE, Provenance::PreExisting);
    tracked.offer(&read, true);
    if !in_order {
        for index in 0..MAPPINGS {
            let record = mapped(line(order(index)).span, index + 1);
            tracked.take(decode(record.as_bytes(), SIZE).expect("a good record"));
        }
    }
    assert_eq!(tracked.space().pieces().count() as u64, MAPPINGS);
    (HELD.load(Relaxed) - before, tracked)
}

/// The `mmap` of a page, after which so many pages are mapped.
fn mapped(span: Span, pages: u64) -> PlacingRecord {
    let call = CallRecord {
        header: Header {
            kind: kind::PLACING,
            tgid: 1,
            tid: 1,
            entered: 10 * pages,
            exited: 10 * pages + 5,
            quiet: 1,
            figures: Figures {
                mm: 1,
                total_vm: pages,
                ..Figures::default()
            },
            ..Header::default()
        },
        nr: Syscall::Mmap.number().unwrap_or_default(),
        ret: span.start.0.cast_signed(),
        args: [0, span.len().0, 3, 0x22, u64::MAX, 0],
        ..CallRecord::default()
    };
    PlacingRecord {
        call,
        ..PlacingRecord::default()
    }
}
