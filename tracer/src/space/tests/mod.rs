//! The model against a naive kernel, page by page, and against itself.

mod adopting;
mod garbage;
mod kernel;
mod moves;
mod ops;
mod order;
mod racing;
mod scenarios;
mod serial;
mod sites;

use super::{
    Space,
    flow::Source,
    piece::{Piece, Prot, Provenance},
    vma::Vma,
};
use crate::{
    event::{Call, Errno, Event, EventKind, Request, Syscall},
    units::{Addr, Bytes, Nanos, PageSize, Pid, Span, Tid},
};

const PAGE: u64 = 4096;
const RW: u64 = 3;
const PRIVATE: u64 = 0x22;
const FIXED: u64 = 0x10;

fn space() -> Space {
    Space::new(PageSize(PAGE))
}

/// A call of thread 1, under way from `time` to `time + 1`.
fn call(time: u64, syscall: Syscall, request: Request, outcome: Result<u64, u16>) -> Event {
    call_between((time, time + 1), syscall, request, outcome)
}

fn call_between(
    (entered, exited): (u64, u64),
    syscall: Syscall,
    request: Request,
    outcome: Result<u64, u16>,
) -> Event {
    Event {
        pid: Pid(1),
        tid: Tid(1),
        entered: Nanos(entered),
        exited: Nanos(exited),
        kernel: None,
        quiet: true,
        kind: EventKind::Call(Call {
            syscall,
            args: [0; 6],
            outcome: outcome.map_err(Errno),
            request,
            stack: Default::default(),
            path: Default::default(),
            callers: None,
        }),
    }
}

fn mmap(time: u64, at: u64, len: u64, prot: u64, flags: u64) -> Event {
    let request = Request::Map {
        len,
        prot,
        flags,
        fd: None,
        offset: 0,
        file: None,
    };
    call(time, Syscall::Mmap, request, Ok(at))
}

fn mmap_file(time: u64, at: u64, len: u64, prot: u64, offset: u64) -> Event {
    let request = Request::Map {
        len,
        prot,
        flags: 2,
        fd: Some(3),
        offset,
        file: None,
    };
    call(time, Syscall::Mmap, request, Ok(at))
}

fn munmap(time: u64, start: u64, len: u64) -> Event {
    call(
        time,
        Syscall::Munmap,
        Request::Unmap(span(start, len)),
        Ok(0),
    )
}

fn mprotect(time: u64, start: u64, len: u64, prot: u64, outcome: Result<u64, u16>) -> Event {
    let request = Request::Protect {
        span: span(start, len),
        prot,
    };
    call(time, Syscall::Mprotect, request, outcome)
}

fn madvise(time: u64, start: u64, len: u64, advice: u64) -> Event {
    let request = Request::Advise {
        target: None,
        spans: vec![span(start, len)],
        advice,
    };
    call(time, Syscall::Madvise, request, Ok(0))
}

fn span(start: u64, len: u64) -> Span {
    Span::new(Addr(start), len)
}

fn piece(space: &Space, addr: u64) -> Piece {
    *space.piece_at(Addr(addr)).expect("a piece").1
}

/// A line of the kernel's map: `perms` as `rw-p`.
fn line(start: u64, len: u64, perms: &str, offset: u64, inode: u64, name: &str) -> Vma {
    let perms = perms.as_bytes();
    Vma {
        span: span(start, len),
        prot: Prot {
            read: perms[0] == b'r',
            write: perms[1] == b'w',
            exec: perms[2] == b'x',
        },
        shared: perms[3] == b's',
        offset,
        device: if inode == 0 { 0 } else { 8 << 32 | 1 },
        inode,
        name: name.to_owned(),
    }
}

/// What must hold of any space: pieces in order, disjoint, of whole pages, joined where
/// equal; sizes that add up.
fn assert_sound(space: &Space) {
    let pieces: Vec<_> = space.pieces().collect();
    let mut size = Bytes(0);
    for (span, _) in &pieces {
        assert!(span.start < span.end, "empty or backward {span:?}");
        assert_eq!(span.start.0 % PAGE, 0, "unaligned {span:?}");
        assert_eq!(span.end.0 % PAGE, 0, "unaligned {span:?}");
        size += span.len();
    }
    for pair in pieces.windows(2) {
        let [(low, left), (high, right)] = pair else {
            continue;
        };
        assert!(low.end <= high.start, "overlap of {low:?} and {high:?}");
        assert!(
            low.end != high.start || left != right,
            "not joined: {low:?} and {high:?}"
        );
    }
    assert_eq!(space.vm_size(), size);
}

/// What flows say the size is, given what was there at the attach.
fn size_by_flows(space: &Space, at_attach: Bytes) -> u64 {
    let flows = || space.flows().iter().map(|(_, flow)| flow);
    let mapped: u64 = flows().map(|flow| flow.mapped.0).sum();
    let unmapped: u64 = flows().map(|flow| flow.unmapped.0).sum();
    at_attach.0 + mapped - unmapped
}

fn flow_by_call(space: &Space, syscall: Syscall) -> super::flow::Flow {
    let how = Provenance::Call(syscall);
    let mut flows = space.flows().iter();
    let found = flows.find(|(source, _): &(&Source, _)| source.how == how);
    found.map(|(_, flow)| *flow).unwrap_or_default()
}
