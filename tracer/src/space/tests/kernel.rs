//! A kernel that keeps a note for every page. Slow, and too simple to be wrong.

mod calls;

use std::collections::BTreeMap;

use super::{
    super::{
        Space,
        flow::{Source, SourceKind},
        piece::{Backing, Content, FileId, Origin, Prot, Provenance, SiteId, Traits},
    },
    PAGE,
    ops::Op,
};
use crate::{
    event::{Call, Errno, Event, EventKind, Request, Syscall},
    units::{Addr, Bytes, Nanos, Pid, Span, Tid},
};

/// The window of addresses that it hands out, in pages.
pub const WINDOW: std::ops::Range<u64> = 0x100..0x140;

/// What is known of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    pub prot: Prot,
    pub shared: bool,
    pub back: Back,
    pub traits: Traits,
    pub origin: Origin,
    pub content: Content,
    pub name: Option<String>,
}

/// What lies behind a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Back {
    Anonymous,
    Heap,
    Stack,
    /// The how-manieth file, and which page of it.
    File(u32, u64),
}

/// When and by whom a call is made.
#[derive(Clone, Copy, Debug)]
pub struct When {
    pub tid: Tid,
    pub entered: Nanos,
    pub exited: Nanos,
}

#[derive(Clone, Debug, Default)]
pub struct Kernel {
    pub pages: BTreeMap<u64, Page>,
    /// The heap's end, in bytes.
    pub brk: u64,
    files: u32,
    locks_future: bool,
    /// Mapped and unmapped bytes by source.
    pub flows: BTreeMap<Source, (u64, u64)>,
}

type Outcome = Result<u64, u16>;

impl Page {
    fn is_anonymous(&self) -> bool {
        !self.shared && !matches!(self.back, Back::File(..))
    }

    fn source(&self) -> Source {
        Source {
            how: self.origin.how,
            site: SiteId(0),
            kind: match self.back {
                Back::Anonymous if self.traits.stack => SourceKind::ThreadStack,
                Back::Anonymous => SourceKind::Anonymous,
                Back::Heap => SourceKind::Heap,
                Back::Stack => SourceKind::Stack,
                Back::File(..) => SourceKind::File,
            },
        }
    }

    /// Whether it came by `shmat`.
    pub fn is_segment(&self) -> bool {
        self.origin.how == Provenance::Call(Syscall::Shmat)
    }

    fn no_pages_possible(&self) -> bool {
        matches!(
            self.content,
            Content::NeverAccessible | Content::Overlaid { .. }
        )
    }
}

impl Kernel {
    /// Carries out a call. Gives the event that a tracer would see.
    pub fn run(&mut self, op: &Op, when: When) -> Option<Event> {
        let before = Addr(self.brk);
        let (syscall, request, outcome) = match op.clone() {
            Op::Map {
                at,
                len,
                prot,
                memory,
                fixed,
            } => {
                let outcome = self.mmap(when, (at, len, prot), memory, fixed);
                let flags = memory.flags() | if fixed { 0x10 } else { 0 };
                let request = Request::Map {
                    // An odd length: the kernel rounds it up.
                    len: (len * PAGE).saturating_sub(1),
                    prot,
                    flags,
                    fd: memory.fd(),
                    offset: memory.offset() * PAGE,
                    file: None,
                };
                (Syscall::Mmap, request, outcome)
            }
            Op::Unmap { at, len } => {
                self.unmap(at..at + len);
                (Syscall::Munmap, Request::Unmap(bytes(at, len)), Ok(0))
            }
            Op::Brk { by } => {
                let wanted = self.brk.saturating_add_signed(by);
                let outcome = self.move_brk(when, wanted);
                let request = Request::Brk {
                    wanted: Addr(wanted),
                    before: (by % 2 == 0).then_some(before),
                };
                (Syscall::Brk, request, outcome)
            }
            Op::Remap {
                at,
                old,
                new,
                to,
                dontunmap,
            } => {
                let outcome = self.mremap(when, at, (old, new), to, dontunmap);
                let request = Request::Remap {
                    old: bytes(at, old),
                    new_len: new * PAGE,
                    flags: 1 | if to.is_some() { 2 } else { 0 } | if dontunmap { 4 } else { 0 },
                };
                (Syscall::Mremap, request, outcome)
            }
            Op::Protect { at, len, prot } => {
                let outcome = self.mprotect(at..at + len, prot);
                let span = bytes(at, len);
                (Syscall::Mprotect, Request::Protect { span, prot }, outcome)
            }
            Op::Advise { at, len, advice } => {
                let outcome = self.madvise(when, at..at + len, advice);
                let request = Request::Advise {
                    target: None,
                    spans: vec![bytes(at, len)],
                    advice: advice as u64,
                };
                (Syscall::Madvise, request, outcome)
            }
            Op::Attach { len, write } => {
                let outcome = self.attach(when, Syscall::Shmat, len, write);
                let request = Request::Attach {
                    id: 1,
                    flags: if write { 0 } else { 0o10_000 },
                    grown: Some(Bytes(len * PAGE)),
                };
                (Syscall::Shmat, request, outcome)
            }
            Op::Detach { at } => {
                let outcome = self.detach(at);
                let addr = Addr(at * PAGE);
                (Syscall::Shmdt, Request::Detach(addr), outcome)
            }
            Op::RingSetup { len } => {
                let outcome = self.attach(when, Syscall::IoSetup, len, true);
                let request = Request::RingSetup {
                    ring: Addr(outcome.unwrap_or_default()),
                    grown: Some(Bytes(len * PAGE)),
                };
                (Syscall::IoSetup, request, outcome.map(|_| 0))
            }
            Op::ShadowStack { len } => {
                let page = |kernel: &Self, n| {
                    kernel.new_page(when, Syscall::MapShadowStack, n, Back::Anonymous)
                };
                let outcome = self.place_free(len, |kernel| page(kernel, len));
                let request = Request::ShadowStack { len: len * PAGE };
                (Syscall::MapShadowStack, request, outcome)
            }
            Op::RemapFile { at, len, offset } => {
                let outcome = self.remap_file(at, len, offset);
                let request = Request::RemapFile {
                    span: bytes(at, len),
                    offset: offset * PAGE,
                };
                (Syscall::RemapFilePages, request, outcome)
            }
            Op::Name { at, len, name } => {
                let outcome = self.name(at..at + len, name);
                let request = Request::Name {
                    span: bytes(at, len),
                    name: name.map(str::to_owned),
                };
                (Syscall::Prctl, request, outcome)
            }
            Op::Lock { at, len, lock } => {
                let outcome = self.lock(at..at + len, lock);
                let span = bytes(at, len);
                (Syscall::Mlock, Request::Lock { span, lock }, outcome)
            }
            Op::LockAll { flags } => {
                self.lock_all(flags);
                (Syscall::Mlockall, Request::LockAll { flags }, Ok(0))
            }
            Op::GrowStack | Op::Fork | Op::Read => return None,
        };
        Some(Event {
            pid: Pid(1),
            tid: when.tid,
            entered: when.entered,
            exited: when.exited,
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
        })
    }

    fn insert(&mut self, at: u64, page: Page) {
        self.remove(at);
        self.flows.entry(page.source()).or_default().0 += PAGE;
        self.pages.insert(at, page);
    }

    fn remove(&mut self, at: u64) {
        if let Some(page) = self.pages.remove(&at) {
            self.flows.entry(page.source()).or_default().1 += PAGE;
        }
    }

    fn unmap(&mut self, range: std::ops::Range<u64>) {
        for at in range {
            self.remove(at);
        }
    }

    fn mapped(&self, mut range: std::ops::Range<u64>) -> bool {
        range.all(|at| self.pages.contains_key(&at))
    }

    fn free(&self, mut range: std::ops::Range<u64>) -> bool {
        range.all(|at| WINDOW.contains(&at) && !self.pages.contains_key(&at))
    }

    /// The lowest free range from `hint` on, or from the window's start.
    fn find_free(&self, hint: u64, len: u64) -> Option<u64> {
        (hint..WINDOW.end)
            .chain(WINDOW)
            .find(|&at| self.free(at..at + len))
    }

    /// The lowest stack page gets one more below it.
    pub fn grow_stack(&mut self, when: When) {
        let is_stack = |(_, page): &(&u64, &Page)| page.back == Back::Stack;
        let lowest = self.pages.iter().find(is_stack);
        let Some((at, mut page)) = lowest.map(|(&at, page)| (at, page.clone())) else {
            return;
        };
        if self.free(at - 1..at) {
            page.origin = Origin {
                how: Provenance::StackGrowth,
                site: SiteId(0),
                tid: Tid(0),
                at: when.exited,
                mapped: Bytes(PAGE),
            };
            page.content = Content::Unknown;
            self.insert(at - 1, page);
        }
    }

    /// Turns into the child.
    pub fn fork(&mut self, now: Nanos) {
        self.flows.clear();
        self.locks_future = false;
        self.pages.retain(|_, page| !page.traits.dont_fork);
        for page in self.pages.values_mut() {
            page.traits.locked = false;
            if page.traits.wipe_on_fork && !page.no_pages_possible() {
                page.content = Content::Discarded { at: now };
            }
        }
    }

    /// Whether a model says the same of every page.
    pub fn assert_equals(&self, space: &Space) {
        let mut files: BTreeMap<FileId, u32> = BTreeMap::new();
        let mut model = BTreeMap::new();
        for (span, piece) in space.pieces() {
            for at in span.start.0 / PAGE..span.end.0 / PAGE {
                let back = match piece.backing {
                    Backing::Anonymous => Back::Anonymous,
                    Backing::Heap => Back::Heap,
                    Backing::Stack => Back::Stack,
                    Backing::File { file, bias } => {
                        // Ids may differ, not what they tell apart.
                        let number = match self.pages.get(&at).map(|page| page.back) {
                            Some(Back::File(number, _)) => *files.entry(file).or_insert(number),
                            _ => u32::MAX,
                        };
                        Back::File(number, (at * PAGE).wrapping_add(bias) / PAGE)
                    }
                    Backing::Special(file) => panic!("unexpected {file:?}"),
                };
                let page = Page {
                    prot: piece.prot,
                    shared: piece.shared,
                    back,
                    traits: piece.traits,
                    origin: piece.origin,
                    content: piece.content,
                    name: piece.name.map(|id| space.names().name(id).to_owned()),
                };
                model.insert(at, page);
            }
        }
        for at in model.keys().chain(self.pages.keys()) {
            assert_eq!(
                model.get(at),
                self.pages.get(at),
                "page {at:#x}: the model, then the kernel"
            );
        }
        let mut told_apart: Vec<u32> = files.values().copied().collect();
        told_apart.sort_unstable();
        told_apart.dedup();
        assert_eq!(told_apart.len(), files.len(), "one file under two ids");
    }

    /// Whether a model's flows are those counted here.
    pub fn assert_flows(&self, space: &Space) {
        let mut flows: BTreeMap<Source, (u64, u64)> = space
            .flows()
            .iter()
            .map(|(&source, flow)| (source, (flow.mapped.0, flow.unmapped.0)))
            .collect();
        flows.retain(|_, sums| *sums != (0, 0));
        assert_eq!(flows, self.flows);
    }
}

fn bytes(at: u64, len: u64) -> Span {
    Span::new(Addr(at * PAGE), len * PAGE)
}
