//! Events that no kernel would send: nothing panics, the map stays sound.

use proptest::{collection::vec, option, prelude::*, sample::select};

use super::{super::piece::Provenance, PAGE, assert_sound, space};
use crate::{
    event::{Call, Errno, Event, EventKind, FileSeen, PidFd, Request, StackTop, Syscall},
    space::{piece::Prot, vma::Vma},
    units::{Addr, Bytes, Nanos, Pid, Span, Tid},
};

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => (0..0x40u64).prop_map(|page| page * PAGE),
        1 => 0..0x4_0000u64,
        1 => select(vec![0, 1, 4095, 1 << 47, (1 << 56) - 1, 1 << 63, u64::MAX - 4095, u64::MAX]),
        1 => any::<u64>(),
    ]
}

/// Backward ones too.
fn span() -> impl Strategy<Value = Span> {
    prop_oneof![
        8 => (number(), number()).prop_map(|(start, len)| Span::new(Addr(start), len)),
        1 => (number(), number()).prop_map(|(start, end)| Span::between(Addr(start), Addr(end))),
    ]
}

fn bits() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0..128u64, 2 => (0..32u32).prop_map(|bit| 1 << bit), 1 => any::<u64>()]
}

fn seen() -> impl Strategy<Value = FileSeen> {
    let path = select(vec![None, Some("/file"), Some("/other"), Some("[heap]")]);
    (path, 0..2u64, 0..2u64).prop_map(|(path, device, inode)| FileSeen {
        path: path.map(str::to_owned),
        device,
        inode,
    })
}

fn grown() -> impl Strategy<Value = Option<Bytes>> {
    option::of(number().prop_map(Bytes))
}

fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        4 => (number(), bits(), bits(), option::of(any::<i32>()), number(), option::of(seen())).prop_map(
            |(len, prot, flags, fd, offset, file)| {
                let file = file.map(Box::new);
                Request::Map { len, prot, flags, fd, offset, file }
            }),
        2 => span().prop_map(Request::Unmap),
        2 => (number(), option::of(number())).prop_map(|(wanted, before)| Request::Brk {
            wanted: Addr(wanted),
            before: before.map(Addr),
        }),
        3 => (span(), number(), 0..8u64).prop_map(|(old, new_len, flags)| Request::Remap {
            old,
            new_len,
            flags,
        }),
        2 => (span(), bits()).prop_map(|(span, prot)| Request::Protect { span, prot }),
        2 => (option::of(any::<i32>()), vec(span(), 0..3), bits()).prop_map(
            |(target, spans, advice)| Request::Advise {
                target: target.map(PidFd),
                spans,
                advice,
            }),
        1 => (any::<i32>(), bits(), grown()).prop_map(|(id, flags, grown)| Request::Attach {
            id,
            flags,
            grown,
        }),
        1 => number().prop_map(|addr| Request::Detach(Addr(addr))),
        1 => (span(), number()).prop_map(|(span, offset)| Request::RemapFile { span, offset }),
        1 => (span(), option::of("[a-z\\]]{0,3}")).prop_map(
            |(span, name)| Request::Name { span, name }),
        1 => (span(), any::<bool>()).prop_map(|(span, lock)| Request::Lock { span, lock }),
        1 => bits().prop_map(|flags| Request::LockAll { flags }),
        1 => (number(), grown()).prop_map(|(ring, grown)| Request::RingSetup {
            ring: Addr(ring),
            grown,
        }),
        1 => number().prop_map(|addr| Request::RingDestroy(Addr(addr))),
        1 => number().prop_map(|len| Request::ShadowStack { len }),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let outcome = prop_oneof![
        6 => number().prop_map(Ok),
        1 => select(vec![1, 12, 13, 22]).prop_map(|errno| Err(Errno(errno))),
    ];
    let callers = option::of((number(), number()));
    (
        request(),
        outcome,
        select(Syscall::ALL),
        callers,
        (0..60u64, 0..60u64, any::<bool>()),
    )
        .prop_map(
            |(request, outcome, syscall, callers, (entered, exited, quiet))| Event {
                pid: Pid(1),
                tid: Tid(1),
                entered: Nanos(entered),
                exited: Nanos(exited),
                kernel: None,
                quiet,
                kind: EventKind::Call(Call {
                    syscall,
                    args: [0; 6],
                    outcome,
                    request,
                    stack: Default::default(),
                    path: Default::default(),
                    callers: callers.map(|(ip, word)| {
                        Box::new(StackTop {
                            ip: Addr(ip),
                            words: [word; tracer_ebpf::STACK_WORDS],
                        })
                    }),
                }),
            },
        )
}

fn vma() -> impl Strategy<Value = Vma> {
    let name = select(vec![
        "",
        "[heap]",
        "[stack]",
        "[vdso]",
        "[vsyscall]",
        "[anon:x]",
        "[anon:",
        "[",
        "/file",
    ]);
    (0..0x40u64, 0..4u64, 0..8u64, number(), 0..2u64, name).prop_map(
        |(at, len, prot, offset, inode, name)| Vma {
            span: Span::new(Addr(at * PAGE), len * PAGE),
            prot: Prot::from_bits(prot),
            shared: prot == 7,
            offset,
            device: inode,
            inode,
            name: name.to_owned(),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn no_event_and_no_map_upsets_it(
        rounds in vec((vec(event(), 0..20), vec(vma(), 0..6), 0..60u64), 1..4),
    ) {
        let mut space = space();
        for (events, vmas, at) in &rounds {
            for event in events {
                space.apply(event);
                assert_sound(&space);
            }
            space.grow_stack(Bytes(*at * 3000), Nanos(*at));
            space.learn_names(vmas);
            let _ = space.has_unnamed_files();
            prop_assert_eq!(space.compare(&space.to_vmas()), vec![]);
            space.adopt(vmas, Provenance::Found, Nanos(*at));
            assert_sound(&space);
            prop_assert_eq!(space.compare(vmas), vec![]);
            space = space.fork();
            assert_sound(&space);
        }
    }
}
