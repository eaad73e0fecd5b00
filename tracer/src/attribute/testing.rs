//! A process made up for tests: calls in, through the real model of an address space, an
//! explanation out.

use std::collections::BTreeMap;

use super::{
    evidence::{
        CallSite, Evidence, FoundBy, Frame, HeapWalk, Held, Module, PageCensus, PageMethod,
        PageSum, Resident, Settings, Trend,
    },
    explain,
    explanation::{Explanation, Finding, State},
};
use crate::{
    event::{Call, Event, EventKind, Request, StackTop, Syscall},
    heap::{ProbedFile, Tracked},
    space::{
        Space,
        piece::{FileId, Prot, Provenance},
        vma::Vma,
    },
    units::{Addr, Bytes, Nanos, PageSize, Pid, Span, Tid},
};

pub const KIB: u64 = 1 << 10;
pub const MIB: u64 = 1 << 20;
pub const GIB: u64 = 1 << 30;

pub const NONE: u64 = 0;
pub const RW: u64 = 3;
pub const PLAIN: u64 = 0x22;
pub const NORESERVE: u64 = 0x4022;
pub const STACK: u64 = 0x2_0022;
pub const FIXED: u64 = 0x32;
pub const DONTNEED: u64 = 4;
pub const FREE: u64 = 8;

pub const PROGRAM: &str = "/usr/bin/program";
pub const LIBC: &str = "/usr/lib/x86_64-linux-gnu/libc.so.6";
pub const LOADER: &str = "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2";
pub const LIBJEMALLOC: &str = "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2";
pub const LIBMIMALLOC: &str = "/usr/lib/libmimalloc.so.3";
pub const LIBTCMALLOC: &str = "/usr/lib/libtcmalloc_minimal.so.4";
pub const MUSL: &str = "/lib/ld-musl-x86_64.so.1";

/// A frame: path of the module and function, "" where no symbol covers it.
pub type At = (&'static str, &'static str);

/// glibc's malloc, stripped as Debian ships it.
pub const GLIBC_MALLOC: &[At] = &[
    (LIBC, "mmap64"),
    (LIBC, ""),
    (LIBC, "malloc"),
    (PROGRAM, "main"),
];
/// The same, growing the heap.
pub const GLIBC_BRK: &[At] = &[(LIBC, "brk"), (LIBC, "sbrk"), (LIBC, ""), (LIBC, "malloc")];
/// The same, making an arena: another place in libc.
pub const GLIBC_ARENA: &[At] = &[(LIBC, "mmap64"), (LIBC, "arena_get2"), (LIBC, "malloc")];
pub const GLIBC_THREAD: &[At] = &[
    (LIBC, "mmap64"),
    (LIBC, "pthread_create"),
    (PROGRAM, "main"),
];
pub const JEMALLOC: &[At] = &[(LIBC, "mmap64"), (LIBJEMALLOC, ""), (LIBJEMALLOC, "malloc")];
pub const MIMALLOC: &[At] = &[(LIBC, "mmap64"), (LIBMIMALLOC, "")];
pub const TCMALLOC: &[At] = &[(LIBC, "brk"), (LIBC, "sbrk"), (LIBTCMALLOC, "")];
pub const MUSL_MALLOC: &[At] = &[(MUSL, "mmap"), (MUSL, "")];
pub const OWN: &[At] = &[(LIBC, "mmap64"), (PROGRAM, "grow"), (PROGRAM, "main")];

const HEAP: u64 = 0x6000_0000;
const MMAP_TOP: u64 = 0x7e00_0000_0000;
const TEXT: u64 = 0x7f00_0000_0000;
const TEXT_SIZE: u64 = 1 << 20;
const PAGE: u64 = 4096;

/// The process.
pub struct World {
    pub space: Space,
    pub modules: Vec<Module>,
    pub settings: Settings,
    pub pages: Option<PageCensus>,
    pub heap: Option<HeapWalk>,
    /// Blocks that are handed out, if every function of the allocators of these files is probed.
    pub handed_out: Option<(Vec<Span>, Vec<&'static str>)>,
    pub rss: Trend,
    pub rss_anon_at_end: Option<Bytes>,
    pub doubt: super::evidence::Doubt,
    pub attach: Bytes,
    pub peak: Bytes,
    residency: Option<Vec<Resident>>,
    symbols: BTreeMap<(String, u64), String>,
    frames: BTreeMap<At, Addr>,
    clock: u64,
    top: u64,
    brk: u64,
}

impl World {
    /// A process with these modules; the first is the program. `old` is there besides,
    /// before the attach.
    pub fn with(paths: &[&'static str], old: &[Vma]) -> Self {
        let mut vmas: Vec<Vma> = old.to_vec();
        for (index, path) in paths.iter().enumerate() {
            let text = Span::new(Addr(TEXT + index as u64 * 4 * TEXT_SIZE), TEXT_SIZE);
            vmas.push(vma(text, "r-xp", path));
            let data = Span::new(text.end, 16 * KIB);
            vmas.push(vma(data, "rw-p", path));
        }
        vmas.push(vma(
            Span::new(Addr(0x7fff_0000_0000), 132 * KIB),
            "rw-p",
            "[stack]",
        ));
        vmas.push(vma(
            Span::new(Addr(0x7fff_1000_0000), 8 * KIB),
            "r-xp",
            "[vdso]",
        ));
        vmas.sort_by_key(|vma| vma.span);
        let mut space = Space::new(PageSize(PAGE));
        space.adopt(&vmas, Provenance::PreExisting, Nanos(1));
        let file_of = |path: &str| {
            let mut files = space.names().files();
            files
                .find(|(_, file)| file.name.as_deref() == Some(path))
                .map(|(id, _)| id)
        };
        let modules = paths.iter().enumerate().map(|(index, path)| Module {
            file: file_of(path).expect("it was just mapped"),
            path: (*path).to_owned(),
            is_program: index == 0,
            unreadable: None,
            telling_symbols: Vec::new(),
            telling_strings: Vec::new(),
        });
        Self {
            modules: modules.collect(),
            attach: space.vm_size(),
            peak: space.vm_size(),
            space,
            settings: Settings::default(),
            pages: None,
            heap: None,
            handed_out: None,
            rss: Trend::default(),
            rss_anon_at_end: None,
            doubt: Default::default(),
            residency: None,
            symbols: BTreeMap::new(),
            frames: BTreeMap::new(),
            clock: 10,
            top: MMAP_TOP,
            brk: HEAP,
        }
    }

    /// A dynamic program on glibc, with these libraries besides.
    pub fn dynamic(libraries: &[&'static str]) -> Self {
        let mut paths = vec![PROGRAM, LIBC, LOADER];
        paths.extend(libraries);
        Self::with(&paths, &[])
    }

    /// Sets what a module's symbols and strings tell.
    pub fn tells(&mut self, path: &str, symbols: &[&str], strings: &[&str]) {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        for module in self.modules.iter_mut().filter(|module| module.path == path) {
            module.telling_symbols = owned(symbols);
            module.telling_strings = owned(strings);
        }
    }

    /// Sets an environment variable.
    pub fn set(&mut self, name: &str, value: &str) {
        self.settings.environment.push((name.into(), value.into()));
    }

    fn address(&mut self, at: At) -> Addr {
        if let Some(addr) = self.frames.get(&at) {
            return *addr;
        }
        let index = self.modules.iter().position(|module| module.path == at.0);
        let index = index.unwrap_or_else(|| panic!("{} is not mapped", at.0));
        let offset = 0x100 + 0x10 * self.frames.len() as u64;
        let addr = Addr(TEXT + index as u64 * 4 * TEXT_SIZE + offset);
        self.frames.insert(at, addr);
        if !at.1.is_empty() {
            self.symbols
                .insert((at.0.to_owned(), offset), at.1.to_owned());
        }
        addr
    }

    /// Applies a call.
    pub fn call(&mut self, site: &[At], syscall: Syscall, request: Request, result: u64) {
        let mut top = StackTop::default();
        for (index, at) in site.iter().enumerate() {
            let addr = self.address(*at);
            match index {
                0 => top.ip = addr,
                _ => top.words[index - 1] = addr.0,
            }
        }
        self.clock += 2;
        let event = Event {
            pid: Pid(7),
            tid: Tid(7),
            entered: Nanos(self.clock),
            exited: Nanos(self.clock + 1),
            kernel: None,
            quiet: true,
            kind: EventKind::Call(Call {
                syscall,
                args: [0; 6],
                outcome: Ok(result),
                request,
                stack: Default::default(),
                path: Default::default(),
                callers: (!site.is_empty()).then(|| Box::new(top)),
            }),
        };
        self.space.apply(&event);
        self.peak = self.peak.max(self.space.vm_size());
    }

    /// mmap below everything mapped so far.
    pub fn mmap(&mut self, site: &[At], len: u64, prot: u64, flags: u64) -> Addr {
        self.top = (self.top - len) & !(2 * MIB - 1);
        // A hole keeps mappings apart.
        let addr = Addr(self.top);
        self.top -= 2 * MIB;
        self.mmap_at(site, addr, len, prot, flags);
        addr
    }

    /// mmap at an address.
    pub fn mmap_at(&mut self, site: &[At], addr: Addr, len: u64, prot: u64, flags: u64) {
        let request = Request::Map {
            len,
            prot,
            flags,
            fd: None,
            offset: 0,
            file: None,
        };
        self.call(site, Syscall::Mmap, request, addr.0);
    }

    pub fn munmap(&mut self, addr: Addr, len: u64) {
        self.call(
            &[],
            Syscall::Munmap,
            Request::Unmap(Span::new(addr, len)),
            0,
        );
    }

    pub fn madvise(&mut self, addr: Addr, len: u64, advice: u64) {
        let request = Request::Advise {
            target: None,
            spans: vec![Span::new(addr, len)],
            advice,
        };
        self.call(&[], Syscall::Madvise, request, 0);
    }

    pub fn mprotect(&mut self, addr: Addr, len: u64, prot: u64) {
        let span = Span::new(addr, len);
        self.call(&[], Syscall::Mprotect, Request::Protect { span, prot }, 0);
    }

    pub fn name(&mut self, addr: Addr, len: u64, name: &str) {
        let span = Span::new(addr, len);
        let name = Some(name.to_owned());
        self.call(&[], Syscall::Prctl, Request::Name { span, name }, 0);
    }

    /// brk, up or down.
    pub fn brk(&mut self, site: &[At], by: i64) {
        let before = self.brk;
        self.brk = before.saturating_add_signed(by);
        let request = Request::Brk {
            wanted: Addr(self.brk),
            before: Some(Addr(before)),
        };
        self.call(site, Syscall::Brk, request, self.brk);
    }

    /// Where the heap begins.
    pub fn heap_start(&self) -> Addr {
        Addr(HEAP)
    }

    /// Takes smaps: nothing is in memory but what is said, by an address in the VMA.
    pub fn smaps(&mut self, resident: &[(Addr, u64)]) {
        let vmas = self.space.to_vmas();
        let lines = vmas.iter().map(|vma| {
            let inside = resident.iter().filter(|(addr, _)| vma.span.contains(*addr));
            let rss = Bytes(inside.map(|(_, rss)| rss).sum());
            Resident {
                span: vma.span,
                rss,
                anonymous: rss,
                ..Resident::default()
            }
        });
        self.residency = Some(lines.collect());
    }

    /// Looks at pages: those of a piece of the address space are there as far as is said, by an
    /// address in it.
    pub fn census(&mut self, there: &[(Addr, PageSum)]) {
        let pieces = self.space.pieces();
        let own = pieces.filter(|(_, piece)| piece.is_anonymous() && !piece.content.is_barren());
        let sums: Vec<PageSum> = own
            .map(|(span, _)| {
                let mut inside = there.iter().filter(|(addr, _)| span.contains(*addr));
                let sum = inside.next().map(|(_, sum)| *sum).unwrap_or_default();
                PageSum { span, ..sum }
            })
            .collect();
        self.pages = Some(PageCensus {
            method: PageMethod::Scan,
            looked_at: sums.iter().map(|sum| sum.span.len()).sum(),
            sums,
            left_out: Bytes(0),
            took_ns: 1_000_000,
        });
    }

    /// The smaps taken, to be changed.
    pub fn residency(&mut self) -> &mut Vec<Resident> {
        self.residency.get_or_insert_default()
    }

    /// Lets time pass, nanoseconds.
    pub fn wait(&mut self, nanos: u64) {
        self.clock += nanos;
    }

    /// The call sites as symbols name them.
    pub fn sites(&self) -> Vec<CallSite> {
        let names = self.space.names();
        let path = |file: FileId| names.file(file).name.clone().unwrap_or_default();
        let frame = |address: &crate::space::sites::CodeAddress| Frame {
            file: address.file,
            offset: address.offset,
            module: path(address.file),
            function: self
                .symbols
                .get(&(path(address.file), address.offset))
                .cloned(),
            line: None,
            inlined: false,
            by: FoundBy::Scan,
        };
        self.space
            .sites()
            .iter()
            .map(|(_, addresses)| CallSite {
                frames: addresses.iter().map(frame).collect::<Vec<_>>().into(),
                end: None,
            })
            .collect()
    }

    /// What comes of it; the ledger is checked on the way.
    pub fn explain(&self) -> Explanation {
        let sites = self.sites();
        let blocks = self
            .handed_out
            .as_ref()
            .map(|(blocks, _)| blocks.as_slice());
        let pieces: Vec<Tracked> = self
            .space
            .pieces()
            .map(|(span, _)| {
                let mut sum = Tracked::default();
                for block in blocks.unwrap_or_default() {
                    if let Some(common) = span.intersect(*block) {
                        sum.add(block.len(), common.len(), None);
                    }
                }
                sum
            })
            .collect();
        let files = self.handed_out.iter().flat_map(|(_, files)| files);
        let files: Vec<ProbedFile> = files
            .map(|path| ProbedFile {
                path: (*path).to_owned(),
                functions: 9,
                late: false,
                since: Nanos(0),
            })
            .collect();
        let held = self.handed_out.as_ref().map(|_| Held {
            pieces: &pieces,
            whole_since: Nanos(0),
            exact: true,
            files: &files,
            places: vec![("load in server".to_owned(), Bytes(MIB))],
        });
        let explanation = explain(&Evidence {
            space: &self.space,
            sites: &sites,
            modules: &self.modules,
            settings: &self.settings,
            residency: self.residency.as_deref(),
            pages: self.pages.as_ref(),
            heap: self.heap.as_ref(),
            held: held.as_ref(),
            vm_size: Trend {
                at_attach: Some(self.attach),
                peak: Some(self.peak),
                at_end: Some(self.space.vm_size()),
            },
            rss: self.rss,
            rss_anon_at_end: self.rss_anon_at_end,
            doubt: self.doubt,
            observed: (Nanos(0), Nanos(self.clock)),
        });
        let sum: Bytes = explanation.ledger.iter().map(|row| row.bytes).sum();
        assert_eq!(sum, self.space.vm_size(), "the ledger is exact");
        explanation
    }
}

/// A line of `/proc/<pid>/maps`.
pub fn vma(span: Span, perms: &str, name: &str) -> Vma {
    let has = |letter| perms.contains(letter);
    Vma {
        span,
        prot: Prot {
            read: has('r'),
            write: has('w'),
            exec: has('x'),
        },
        shared: has('s'),
        offset: 0,
        device: u64::from(name.starts_with('/')),
        inode: if name.starts_with('/') {
            name.bytes().map(u64::from).sum()
        } else {
            0
        },
        name: name.to_owned(),
    }
}

/// What an owner has in a state.
pub fn ledger(explanation: &Explanation, owner: &str, state: State) -> Bytes {
    let rows = explanation.ledger.iter();
    rows.filter(|row| row.owner.0 == owner && row.state == state)
        .map(|row| row.bytes)
        .sum()
}

/// All that an owner has.
pub fn owned(explanation: &Explanation, owner: &str) -> Bytes {
    let rows = explanation.ledger.iter();
    rows.filter(|row| row.owner.0 == owner)
        .map(|row| row.bytes)
        .sum()
}

/// The finding of this reason, if there is one.
pub fn finding<'e>(explanation: &'e Explanation, reason: &str) -> Option<&'e Finding> {
    let mut findings = explanation.findings.iter();
    findings.find(|finding| finding.reason == reason)
}

/// The seed under jemalloc: six mmaps, eight purges.
pub fn jemalloc_seed() -> World {
    let mut world = World::dynamic(&[LIBJEMALLOC]);
    world.tells(LIBJEMALLOC, &["malloc", "mallctl"], &[]);
    seed_by_jemalloc(&mut world, JEMALLOC);
    world
}

/// The calls of jemalloc in the seed.
pub fn seed_by_jemalloc(world: &mut World, site: &[At]) -> Vec<Addr> {
    const BLOCK: u64 = 128 * MIB + 4 * KIB;
    let mut blocks = Vec::new();
    for (mib, held) in [(160, 1), (192, 1), (224, 1), (256, 1), (320, 2), (384, 2)] {
        let addr = world.mmap(site, mib * MIB, RW, NORESERVE);
        for index in 0..held {
            blocks.push(Addr(addr.0 + index * BLOCK));
        }
    }
    for block in &blocks {
        world.madvise(*block, BLOCK, DONTNEED);
    }
    blocks
}
