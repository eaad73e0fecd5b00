//! What a program may ask for, at random. Addresses, lengths and offsets in pages.

use proptest::{collection::vec, option, prelude::*, sample::select};

use super::kernel::WINDOW;

#[derive(Clone, Debug)]
pub enum Op {
    Map {
        at: u64,
        len: u64,
        prot: u64,
        memory: Memory,
        fixed: bool,
    },
    Unmap {
        at: u64,
        len: u64,
    },
    /// By how many bytes the heap's end moves.
    Brk {
        by: i64,
    },
    Remap {
        at: u64,
        old: u64,
        new: u64,
        to: Option<u64>,
        dontunmap: bool,
    },
    Protect {
        at: u64,
        len: u64,
        prot: u64,
    },
    Advise {
        at: u64,
        len: u64,
        advice: Advice,
    },
    Attach {
        len: u64,
        write: bool,
    },
    Detach {
        at: u64,
    },
    RingSetup {
        len: u64,
    },
    ShadowStack {
        len: u64,
    },
    RemapFile {
        at: u64,
        len: u64,
        offset: u64,
    },
    Name {
        at: u64,
        len: u64,
        name: Option<&'static str>,
    },
    Lock {
        at: u64,
        len: u64,
        lock: bool,
    },
    LockAll {
        flags: u64,
    },
    /// Not a call: the stack grows by a page.
    GrowStack,
    /// Not a call here: goes on as the child.
    Fork,
    /// Not a call: the tracer reads the kernel's map.
    Read,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    Private,
    Stack,
    Shared,
    PrivateFile(u64),
    SharedFile(u64),
}

impl Memory {
    pub fn flags(self) -> u64 {
        match self {
            Self::Private => 0x4022,
            Self::Stack => 0x2_0022,
            Self::Shared => 0x21,
            Self::PrivateFile(_) => 0x2,
            Self::SharedFile(_) => 0x1,
        }
    }

    pub fn fd(self) -> Option<i32> {
        matches!(self, Self::PrivateFile(_) | Self::SharedFile(_)).then_some(3)
    }

    pub fn offset(self) -> u64 {
        match self {
            Self::PrivateFile(offset) | Self::SharedFile(offset) => offset,
            _ => 0,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub enum Advice {
    DontNeed = 4,
    Free = 8,
    Remove = 9,
    DontFork = 10,
    DoFork = 11,
    HugePage = 14,
    NoHugePage = 15,
    DontDump = 16,
    DoDump = 17,
    WipeOnFork = 18,
    KeepOnFork = 19,
    Cold = 20,
    PopulateWrite = 23,
    GuardInstall = 102,
}

fn advice() -> impl Strategy<Value = Advice> {
    use Advice::{
        Cold, DoDump, DoFork, DontDump, DontFork, DontNeed, Free, GuardInstall, HugePage,
        KeepOnFork, NoHugePage, PopulateWrite, Remove, WipeOnFork,
    };
    prop_oneof![
        select(vec![DontNeed, Free]),
        select(vec![
            DontNeed,
            Free,
            Remove,
            DontFork,
            DoFork,
            HugePage,
            NoHugePage,
            DontDump,
            DoDump,
            WipeOnFork,
            KeepOnFork,
            Cold,
            PopulateWrite,
            GuardInstall,
        ]),
    ]
}

fn memory() -> impl Strategy<Value = Memory> {
    prop_oneof![
        4 => Just(Memory::Private),
        1 => Just(Memory::Stack),
        1 => Just(Memory::Shared),
        1 => (0..4u64).prop_map(Memory::PrivateFile),
        1 => (0..4u64).prop_map(Memory::SharedFile),
    ]
}

pub fn op() -> impl Strategy<Value = Op> {
    let at = || WINDOW.start..WINDOW.end - 8;
    let len = || 1..8u64;
    let prot = || select(vec![0u64, 0, 1, 3, 3, 5]);
    prop_oneof![
        6 => (at(), len(), prot(), memory(), any::<bool>()).prop_map(
            |(at, len, prot, memory, fixed)| Op::Map { at, len, prot, memory, fixed }),
        3 => (at(), len()).prop_map(|(at, len)| Op::Unmap { at, len }),
        3 => (-20_000..20_000i64).prop_map(|by| Op::Brk { by }),
        4 => (at(), 0..6u64, 0..8u64, option::of(at()), proptest::bool::weighted(0.2)).prop_map(
            |(at, old, new, to, dontunmap)| {
                let new = if dontunmap { old } else { new };
                Op::Remap { at, old, new, to, dontunmap }
            }),
        4 => (at(), len(), prot()).prop_map(|(at, len, prot)| Op::Protect { at, len, prot }),
        4 => (at(), len(), advice()).prop_map(|(at, len, advice)| Op::Advise { at, len, advice }),
        1 => (len(), any::<bool>()).prop_map(|(len, write)| Op::Attach { len, write }),
        2 => at().prop_map(|at| Op::Detach { at }),
        1 => len().prop_map(|len| Op::RingSetup { len }),
        1 => len().prop_map(|len| Op::ShadowStack { len }),
        1 => (at(), 1..3u64, 0..4u64).prop_map(
            |(at, len, offset)| Op::RemapFile { at, len, offset }),
        1 => (at(), len(), option::of(select(vec!["one", "two"]))).prop_map(
            |(at, len, name)| Op::Name { at, len, name }),
        1 => (at(), len(), any::<bool>()).prop_map(|(at, len, lock)| Op::Lock { at, len, lock }),
        1 => (0..4u64).prop_map(|flags| Op::LockAll { flags }),
        1 => Just(Op::GrowStack),
        1 => Just(Op::Fork),
        1 => Just(Op::Read),
    ]
}

pub fn ops(most: usize) -> impl Strategy<Value = Vec<Op>> {
    vec(op(), 1..most)
}
