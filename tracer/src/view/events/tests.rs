use serde_json::{Value, json};

use super::*;
use crate::{
    event::{Call, Errno, Event, EventKind, Fork, KernelFigures, Request, Syscall},
    units::{Addr, Bytes, Nanos, Pid, Span, Tid},
    view::{Style, json::tests::check},
};

const STARTED: Nanos = Nanos(5_000_000_000);
const AT: u64 = 0x7f3a_4c00_0000;
const LEN: u64 = 128 << 20;

fn event(kind: EventKind) -> Event {
    Event {
        pid: Pid(1234),
        tid: Tid(1240),
        entered: Nanos(17_345_670_000),
        exited: Nanos(17_345_678_901),
        kernel: Some(KernelFigures {
            vm_size: Bytes(1552 << 20),
            rss: Bytes(3 << 20),
            ..KernelFigures::default()
        }),
        quiet: true,
        kind,
    }
}

fn call(syscall: Syscall, request: Request, outcome: Result<u64, Errno>) -> Event {
    event(EventKind::Call(Call {
        syscall,
        args: [1, 2, 3, 4, 5, 6],
        outcome,
        request,
        stack: Default::default(),
        path: Default::default(),
        callers: None,
    }))
}

fn map(outcome: Result<u64, Errno>) -> Event {
    let request = Request::Map {
        len: LEN,
        prot: 3,
        flags: 0x4022,
        fd: None,
        offset: 0,
        file: None,
    };
    call(Syscall::Mmap, request, outcome)
}

fn advise(spans: Vec<Span>) -> Event {
    let request = Request::Advise {
        target: None,
        spans,
        advice: 4,
    };
    call(Syscall::ProcessMadvise, request, Ok(8192))
}

fn shown(event: &Event) -> String {
    line(event, STARTED, Style::default())
}

fn lined(event: &Event) -> Value {
    let mut bytes = Vec::new();
    write_json(event, STARTED, &mut bytes).expect("memory takes all");
    assert_eq!(bytes.iter().filter(|&&byte| byte == b'\n').count(), 1);
    let value = serde_json::from_slice(&bytes).expect("it is JSON");
    check(&value, "#/$defs/event");
    value
}

#[test]
fn calls_read_from_left_to_right() {
    let heap = Addr(0x5555_0000_0000);
    let brk = |wanted: u64, after: u64| {
        let request = Request::Brk {
            wanted: Addr(wanted),
            before: Some(heap),
        };
        call(Syscall::Brk, request, Ok(after))
    };
    let two = vec![Span::new(Addr(AT), 4096), Span::new(Addr(AT + 8192), 4096)];
    let lines = [
        shown(&map(Ok(AT))),
        shown(&map(Err(Errno::ENOMEM))),
        shown(&advise(two)),
        shown(&brk(heap.0 + 0x21000, heap.0 + 0x21000)),
        shown(&brk(heap.0 + 0x21000, heap.0)),
        shown(&call(
            Syscall::Munmap,
            Request::Unmap(Span::new(Addr(AT), LEN)),
            Ok(0),
        )),
    ];
    let expected = [
        "   12.345678     1240  mmap             0x7f3a4c000000-0x7f3a54000000  128.0 MiB \
         rw- private anon noreserve = 0x7f3a4c000000  VmSize 1.52 GiB",
        "   12.345678     1240  mmap                                            128.0 MiB \
         rw- private anon noreserve = -1 ENOMEM       VmSize 1.52 GiB",
        "   12.345678     1240  process_madvise  2 ranges                        8.00 KiB \
         MADV_DONTNEED              = 8192            VmSize 1.52 GiB",
        "   12.345678     1240  brk              0x555500000000-0x555500021000  132.0 KiB \
         grows                      = 0x555500021000  VmSize 1.52 GiB",
        "   12.345678     1240  brk                                                       \
         refused                    = 0x555500000000  VmSize 1.52 GiB",
        "   12.345678     1240  munmap           0x7f3a4c000000-0x7f3a54000000  128.0 MiB \
         \u{20}                          = 0               VmSize 1.52 GiB",
    ];
    for (line, expected) in lines.iter().zip(expected) {
        assert_eq!(line, expected);
    }
}

#[test]
fn tasks_have_lines_of_their_own() {
    let fork = |child, child_tid| {
        let fork = Fork {
            child: Pid(child),
            child_tid: Tid(child_tid),
            figures: None,
        };
        event(EventKind::Fork(fork))
    };
    let mut exit = event(EventKind::ThreadEnd { last: true });
    exit.kernel = None;
    let lines = [
        shown(&fork(1234, 1241)),
        shown(&fork(1300, 1300)),
        shown(&event(EventKind::Exec {
            comm: "seed".to_owned(),
        })),
        shown(&exit),
    ];
    let expected = [
        "   12.345678     1240  thread           begins 1241  VmSize 1.52 GiB",
        "   12.345678     1240  child            begins 1300  VmSize 1.52 GiB",
        "   12.345678     1240  exec             new program seed  VmSize 1.52 GiB",
        "   12.345678     1240  exit             process ended",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_name_cannot_break_its_line() {
    let name = Some("a\n\u{1b}[2Jb".to_owned());
    let named = call(
        Syscall::Prctl,
        Request::Name {
            span: Span::new(Addr(AT), 4096),
            name: name.clone(),
        },
        Ok(0),
    );
    let line = shown(&named);
    assert!(!line.contains(['\n', '\u{1b}']), "{line}");
    assert!(line.contains("name a\\n\\u{1b}[2Jb"), "{line}");
    assert_eq!(lined(&named)["name"], json!(name));
}

#[test]
fn json_lines_say_everything() {
    assert_eq!(
        lined(&map(Ok(AT))),
        json!({
            "schema": {"name": "tracer.event", "version": 1},
            "at_ns": 12_345_678_901u64, "pid": 1234, "tid": 1240, "what": "call",
            "call": "mmap", "took_ns": 8901,
            "args": ["0x1", "0x2", "0x3", "0x4", "0x5", "0x6"],
            "ranges": [{"start": "0x7f3a4c000000", "end": "0x7f3a54000000"}],
            "bytes": 134_217_728,
            "flags": [
                "PROT_READ", "PROT_WRITE", "MAP_PRIVATE", "MAP_ANONYMOUS", "MAP_NORESERVE",
            ],
            "result": "0x7f3a4c000000", "error": null,
            "vm_size": 1_627_389_952u64, "rss": 3_145_728,
        })
    );
    let failed = lined(&map(Err(Errno::ENOMEM)));
    assert_eq!(failed["error"], json!("ENOMEM"));
    assert_eq!(failed["result"], Value::Null);
    assert_eq!(failed["ranges"], json!([]));
    for (kind, what) in [
        (
            EventKind::Exec {
                comm: "seed".to_owned(),
            },
            "exec",
        ),
        (EventKind::Exiting, "exiting"),
        (EventKind::ThreadEnd { last: false }, "thread-end"),
    ] {
        assert_eq!(lined(&event(kind))["what"], json!(what));
    }
}

#[test]
fn extremes_do_not_overflow() {
    let far = Span::between(Addr(0), Addr(u64::MAX));
    let mut event = advise(vec![far, far]);
    event.exited = Nanos(0);
    assert_eq!(lined(&event)["bytes"], json!(u64::MAX));
    assert!(shown(&event).contains("0.000000"));
}
