//! Bytes of a ring record in, an [`Event`] out. Total: what does not fit is an error.

use std::{error::Error, fmt};

use tracer_ebpf::{
    CallRecord, Figures, FileRecord, Header, NamingRecord, PATH_PART_LEN, PR_SET_VMA,
    PlacingRecord, RangesRecord, TaskRecord, kind,
};
use zerocopy::FromBytes;

use super::{
    Call, Errno, Event, EventKind, FileSeen, Fork, KernelFigures, PidFd, Request, StackKey,
    StackTop, Syscall,
};
use crate::units::{Addr, MmId, Nanos, PageSize, Pid, Span, StackId, Tid};

/// `MAP_ANONYMOUS` (`include/uapi/asm-generic/mman-common.h`).
const MAP_ANONYMOUS: u64 = 0x20;
/// Descriptors that name the caller itself (`include/uapi/linux/pidfd.h`).
const PIDFD_SELF: std::ops::RangeInclusive<i32> = -10_001..=-10_000;

/// Why bytes are no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// Fewer bytes than the kind has.
    Short,
    /// A kind this version does not know.
    UnknownKind(u32),
    /// A call number outside the table of traced calls.
    UnknownCall(u64),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => f.write_str("the record is shorter than its kind"),
            Self::UnknownKind(kind) => write!(f, "records of kind {kind} are unknown"),
            Self::UnknownCall(nr) => write!(f, "system call {nr} is not a traced one"),
        }
    }
}

impl Error for DecodeError {}

/// Decodes one record. Figures are converted from pages of `page` bytes.
///
/// # Errors
/// The record is short, or of a kind or call that is unknown.
pub fn decode(bytes: &[u8], page: PageSize) -> Result<Event, DecodeError> {
    let header: Header = read(bytes)?;
    let kind = match header.kind {
        kind::CALL => call(&read(bytes)?, page, Extra::None)?,
        kind::PLACING => {
            let record: PlacingRecord = read(bytes)?;
            call(&record.call, page, Extra::Callers(stack_top(&record)))?
        }
        kind::FILE => {
            let record: FileRecord = read(bytes)?;
            let extra = Extra::File(stack_top(&record.placing), file(&record));
            call(&record.placing.call, page, extra)?
        }
        kind::NAMING => {
            let record: NamingRecord = read(bytes)?;
            call(&record.call, page, Extra::Name(text(&record.name)))?
        }
        kind::RANGES => {
            let record: RangesRecord = read(bytes)?;
            let spans = record
                .ranges
                .iter()
                .take(record.count as usize)
                .map(|range| Span::new(Addr(range.base), range.len))
                .collect();
            call(&record.call, page, Extra::Ranges(spans))?
        }
        kind::FORK => {
            let record: TaskRecord = read(bytes)?;
            EventKind::Fork(Fork {
                child: Pid(record.child_tgid),
                child_tid: Tid(record.child_tid),
                figures: figures(&record.child, page),
            })
        }
        kind::EXEC => EventKind::Exec {
            comm: text(&read::<TaskRecord>(bytes)?.comm).unwrap_or_default(),
        },
        kind::EXITING => EventKind::Exiting,
        kind::EXIT => EventKind::ThreadEnd {
            last: read::<TaskRecord>(bytes)?.last != 0,
        },
        unknown => return Err(DecodeError::UnknownKind(unknown)),
    };
    Ok(Event {
        pid: Pid(header.tgid),
        tid: Tid(header.tid),
        entered: Nanos(header.entered),
        exited: Nanos(header.exited),
        kernel: figures(&header.figures, page),
        quiet: header.quiet != 0,
        kind,
    })
}

/// What a record carries beyond the call.
enum Extra {
    None,
    Callers(StackTop),
    File(StackTop, Option<Box<FileSeen>>),
    Name(Option<String>),
    Ranges(Vec<Span>),
}

fn read<T: FromBytes>(bytes: &[u8]) -> Result<T, DecodeError> {
    match T::read_from_prefix(bytes) {
        Ok((value, _)) => Ok(value),
        Err(_) => Err(DecodeError::Short),
    }
}

fn text(bytes: &[u8]) -> Option<String> {
    let name = bytes.split(|&byte| byte == 0).next()?;
    (!name.is_empty()).then(|| String::from_utf8_lossy(name).into_owned())
}

fn stack_top(record: &PlacingRecord) -> StackTop {
    StackTop {
        ip: Addr(record.ip),
        words: record.stack,
    }
}

fn file(record: &FileRecord) -> Option<Box<FileSeen>> {
    /// `MINORBITS` of `include/linux/kdev_t.h`.
    const MINOR_BITS: u32 = 20;
    let count = usize::try_from(record.count).unwrap_or(0);
    let parts = record.parts.get(..count).unwrap_or_default();
    // A part that fills its place may have been cut.
    let whole = |part: &[u8; PATH_PART_LEN]| part[PATH_PART_LEN - 2] == 0;
    let ends = parts.last().is_some_and(|part| part[0] == 0);
    let path = (ends && parts.iter().all(whole)).then(|| {
        let parts = parts.iter().rev().filter_map(|part| text(part));
        parts.fold(String::new(), |path, part| path + "/" + &part)
    });
    let device = (record.device >> MINOR_BITS) << 32 | record.device & ((1 << MINOR_BITS) - 1);
    (record.inode != 0).then(|| {
        Box::new(FileSeen {
            path,
            device,
            inode: record.inode,
        })
    })
}

fn figures(raw: &Figures, page: PageSize) -> Option<KernelFigures> {
    if raw.mm == 0 {
        return None;
    }
    // The kernel's approximate counters may dip below zero for a moment.
    let pages = |count: i64| page.pages(u64::try_from(count).unwrap_or(0));
    let rss = pages(raw.rss_file) + pages(raw.rss_anon) + pages(raw.rss_shmem);
    Some(KernelFigures {
        mm: MmId(raw.mm),
        vm_size: page.pages(raw.total_vm),
        stack: page.pages(raw.stack_vm),
        start_brk: Addr(raw.start_brk),
        brk: Addr(raw.brk),
        rss,
        rss_anon: pages(raw.rss_anon),
        peak_rss: rss.max(page.pages(raw.hiwater_rss)),
    })
}

fn call(record: &CallRecord, page: PageSize, extra: Extra) -> Result<EventKind, DecodeError> {
    let syscall = Syscall::from_number(record.nr).ok_or(DecodeError::UnknownCall(record.nr))?;
    let mut args = record.args;
    // Six registers, of which the call takes some.
    args.iter_mut()
        .skip(syscall.arity())
        .for_each(|arg| *arg = 0);
    let outcome = match u64::try_from(record.ret) {
        Ok(value) => Ok(value),
        // Addresses are never that high: errors are -4095..=-1 (`IS_ERR_VALUE`).
        Err(_) => Err(Errno(
            u16::try_from(record.ret.unsigned_abs()).unwrap_or(u16::MAX),
        )),
    };
    let (mut callers, mut file, mut name, mut ranges) = (None, None, None, Vec::new());
    match extra {
        Extra::None => {}
        Extra::Callers(top) => callers = Some(Box::new(top)),
        Extra::File(top, seen) => (callers, file) = (Some(Box::new(top)), seen),
        Extra::Name(given) => name = given,
        Extra::Ranges(given) => ranges = given,
    }
    // Without BTF there is no figure; a call that was entered before its process was
    // observed has none of before.
    let grown = (record.header.figures.mm != 0 && record.before != 0)
        .then(|| page.pages(record.header.figures.total_vm.saturating_sub(record.before)));
    let span = Span::new(Addr(args[0]), args[1]);
    let request = match syscall {
        Syscall::Mmap => Request::Map {
            len: args[1],
            prot: args[2],
            flags: args[3],
            fd: (args[3] & MAP_ANONYMOUS == 0).then_some(descriptor(args[4])),
            offset: args[5],
            file,
        },
        Syscall::Munmap => Request::Unmap(span),
        Syscall::Brk => Request::Brk {
            wanted: Addr(args[0]),
            before: (record.before != 0).then_some(Addr(record.before)),
        },
        Syscall::Mremap => Request::Remap {
            old: span,
            new_len: args[2],
            flags: args[3],
        },
        Syscall::Mprotect | Syscall::PkeyMprotect => Request::Protect {
            span,
            prot: args[2],
        },
        Syscall::Madvise => Request::Advise {
            target: None,
            spans: vec![span],
            advice: args[2],
        },
        Syscall::ProcessMadvise => {
            let fd = descriptor(args[0]);
            Request::Advise {
                target: (!PIDFD_SELF.contains(&fd)).then_some(PidFd(fd)),
                spans: ranges,
                advice: args[3],
            }
        }
        Syscall::Shmat => Request::Attach {
            id: descriptor(args[0]),
            flags: args[2],
            grown,
        },
        Syscall::Shmdt => Request::Detach(Addr(args[0])),
        Syscall::RemapFilePages => Request::RemapFile {
            span,
            offset: args[3].saturating_mul(page.0),
        },
        Syscall::Prctl if args[0] == PR_SET_VMA => Request::Name {
            span: Span::new(Addr(args[2]), args[3]),
            name,
        },
        Syscall::Mlock | Syscall::Mlock2 => Request::Lock { span, lock: true },
        Syscall::Munlock => Request::Lock { span, lock: false },
        Syscall::Mlockall => Request::LockAll { flags: args[0] },
        Syscall::Munlockall => Request::LockAll { flags: 0 },
        Syscall::IoSetup => Request::RingSetup {
            ring: Addr(record.context),
            grown,
        },
        Syscall::IoDestroy => Request::RingDestroy(Addr(args[0])),
        Syscall::MapShadowStack => Request::ShadowStack { len: args[1] },
        _ => Request::Task,
    };
    Ok(EventKind::Call(Call {
        syscall,
        args,
        outcome,
        request,
        callers,
        stack: StackKey(record.stack),
        path: StackId::default(),
    }))
}

/// A descriptor or id: the kernel looks at the low 32 bits only.
#[expect(clippy::cast_possible_truncation, reason = "the kernel truncates too")]
const fn descriptor(arg: u64) -> i32 {
    arg as u32 as i32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use zerocopy::IntoBytes;

    use super::*;

    const PAGE: PageSize = PageSize(4096);

    fn record(syscall: Syscall, args: [u64; 6], ret: i64) -> CallRecord {
        CallRecord {
            header: Header {
                kind: kind::CALL,
                tgid: 7,
                tid: 8,
                ..Header::default()
            },
            nr: syscall.number().expect("a call of this architecture"),
            ret,
            args,
            ..CallRecord::default()
        }
    }

    fn request(record: &CallRecord) -> (Result<u64, Errno>, Request) {
        match decode(record.as_bytes(), PAGE).expect("a good record").kind {
            EventKind::Call(call) => (call.outcome, call.request),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn arguments_that_a_call_does_not_take_are_dropped() {
        let munmap = record(Syscall::Munmap, [0x1000, 0x2000, 9, 9, 9, 9], 0);
        let event = decode(munmap.as_bytes(), PAGE).expect("a good record");
        let EventKind::Call(call) = event.kind else {
            panic!("a call")
        };
        assert_eq!(call.args, [0x1000, 0x2000, 0, 0, 0, 0]);
        assert_eq!(
            call.request,
            Request::Unmap(Span::new(Addr(0x1000), 0x2000))
        );
        assert_eq!((event.pid, event.tid), (Pid(7), Tid(8)));
    }

    #[test]
    fn anonymous_memory_has_no_descriptor() {
        let (_, map) = request(&record(Syscall::Mmap, [0, 1, 3, 0x22, u64::MAX, 0], 0x1000));
        assert!(matches!(map, Request::Map { fd: None, .. }));
        let (_, map) = request(&record(Syscall::Mmap, [0, 1, 1, 2, 3, 0], 0x1000));
        assert!(matches!(map, Request::Map { fd: Some(3), .. }));
    }

    #[test]
    fn failures_carry_their_errno() {
        let (outcome, _) = request(&record(Syscall::Munmap, [0; 6], -22));
        assert_eq!(outcome, Err(Errno::EINVAL));
    }

    #[test]
    fn figures_without_btf_are_absent() {
        let event = decode(record(Syscall::Brk, [0; 6], 0).as_bytes(), PAGE).expect("good");
        assert_eq!(event.kernel, None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_event_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..800)) {
            let _ = decode(&bytes, PAGE);
        }

        #[test]
        fn any_record_of_a_known_kind_is_an_event_or_an_error(
            kind in 0u32..13,
            nr in 0u64..512,
            rest in prop::collection::vec(any::<u8>(), 1300),
        ) {
            let mut bytes = rest;
            bytes[..4].copy_from_slice(&kind.to_ne_bytes());
            bytes[112..120].copy_from_slice(&nr.to_ne_bytes());
            let _ = decode(&bytes, PAGE);
        }
    }
}
