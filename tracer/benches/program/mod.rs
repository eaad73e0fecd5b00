//! A program as the kernel side would tell of it: records that fit each other, and the map they
//! begin with.
//!
//! It keeps up to 32 mappings of 64 KiB alive beside 200 that stay, as a program does that hands
//! buffers about; now and then it protects, advises and makes longer. The map is the same after
//! [`Program::round`] as before, so rounds can follow each other for ever.

use tracer::{
    event::Syscall,
    space::{piece::Prot, reading::Reading, vma::Vma},
    units::{Addr, Bytes, Nanos, Span},
};
use tracer_ebpf::{CallRecord, Figures, Header, PlacingRecord, STACK_WORDS, kind};
use zerocopy::IntoBytes as _;

/// Bytes of a page.
pub const PAGE: u64 = 4096;
/// What is mapped each time.
const BLOCK: u64 = 64 << 10;
/// Calls of one round.
pub const ROUND: usize = 1000;
/// Blocks alive at a time.
const ALIVE: usize = 32;
const CODE: u64 = 0x5500_0000_0000;
const LIBC: u64 = 0x7f00_0000_0000;
const STAYING: u64 = 0x7e00_0000_0000;
const BLOCKS: u64 = 0x7d00_0000_0000;
const PID: u32 = 4242;
/// Between two moments of the program, nanoseconds.
const STEP: u64 = 1500;

/// A program that runs.
pub struct Program {
    threads: u32,
    now: u64,
    pages: u64,
    alive: Vec<u64>,
    next: usize,
}

/// A record as it leaves the ring.
pub enum Record {
    /// Of a call that placed nothing.
    Call(CallRecord),
    /// Of one that did.
    Placing(PlacingRecord),
}

impl Record {
    /// As bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Call(record) => record.as_bytes(),
            Self::Placing(record) => record.as_bytes(),
        }
    }
}

impl Program {
    /// One of so many threads, whose calls overlap if there are several.
    pub fn new(threads: u32) -> Self {
        let lines = map();
        Self {
            threads,
            now: 1_000_000,
            pages: lines.iter().map(|line| line.span.len().0 / PAGE).sum(),
            alive: Vec::new(),
            next: 0,
        }
    }

    /// Its map before its first call.
    pub fn reading() -> Reading {
        let vmas = map();
        let vm_size = vmas.iter().map(|line| line.span.len().0).sum();
        Reading {
            vmas,
            begun: Nanos(1),
            ended: Nanos(2),
            vm_size: Bytes(vm_size),
            disturbed: Some(false),
            ..Reading::default()
        }
    }

    /// The calls of one round.
    pub fn round(&mut self) -> Vec<Record> {
        let mut records = Vec::with_capacity(ROUND);
        while records.len() + self.alive.len() + 3 < ROUND {
            if self.alive.len() < ALIVE {
                let block = BLOCKS + (self.next % 64) as u64 * 4 * BLOCK;
                self.next += 1;
                self.alive.push(block);
                self.pages += BLOCK / PAGE;
                records.push(self.placing(Syscall::Mmap, [0, BLOCK, 3, 0x22, u64::MAX, 0], block));
                let block = *self.alive.last().unwrap_or(&block);
                // Threads that did so to a block just mapped by another would race.
                let alone = self.threads == 1;
                match self.next % 16 {
                    _ if !alone => {}
                    3 => records.push(self.call(Syscall::Mprotect, [block, PAGE, 0, 0, 0, 0])),
                    7 => records.push(self.call(Syscall::Madvise, [block, BLOCK, 4, 0, 0, 0])),
                    11 => {
                        self.pages += BLOCK / PAGE;
                        let args = [block, BLOCK, 2 * BLOCK, 1, 0, 0];
                        records.push(self.placing(Syscall::Mremap, args, block));
                        self.pages -= BLOCK / PAGE;
                        let args = [block + BLOCK, BLOCK, 0, 0, 0, 0];
                        records.push(self.call(Syscall::Munmap, args));
                    }
                    _ => {}
                }
            } else {
                records.push(self.unmap());
            }
        }
        while !self.alive.is_empty() {
            records.push(self.unmap());
        }
        while records.len() < ROUND {
            records.push(self.call(Syscall::Madvise, [STAYING, BLOCK, 4, 0, 0, 0]));
        }
        self.next = 0;
        records
    }

    fn unmap(&mut self) -> Record {
        let block = self.alive.remove(0);
        self.pages -= BLOCK / PAGE;
        self.call(Syscall::Munmap, [block, BLOCK, 0, 0, 0, 0])
    }

    fn call(&mut self, syscall: Syscall, args: [u64; 6]) -> Record {
        Record::Call(self.record(kind::CALL, syscall, args, 0))
    }

    fn placing(&mut self, syscall: Syscall, args: [u64; 6], result: u64) -> Record {
        let call = self.record(kind::PLACING, syscall, args, result);
        let mut stack = [0x7ffd_1234_5678; STACK_WORDS];
        // Two return addresses among what else lies on a stack, of eight places in the code.
        stack[3] = CODE + 0x1000 + (self.next as u64 % 8) * 0x40;
        stack[9] = CODE + 0x2000;
        Record::Placing(PlacingRecord {
            call,
            ip: LIBC + 0x1234,
            stack,
        })
    }

    fn record(&mut self, kind: u32, syscall: Syscall, args: [u64; 6], result: u64) -> CallRecord {
        let thread = (self.now / STEP) as u32 % self.threads;
        // Calls of several threads last as long as it takes the others to make one each.
        let lasts = STEP * u64::from(self.threads);
        let exited = self.now + lasts;
        let entered = self.now + STEP / 3;
        self.now += STEP;
        CallRecord {
            header: Header {
                kind,
                cpu: thread,
                tgid: PID,
                tid: PID + thread,
                entered,
                exited,
                quiet: u64::from(self.threads == 1),
                figures: Figures {
                    mm: 0xffff_8880_1234_5000,
                    total_vm: self.pages,
                    stack_vm: 33,
                    brk: 0x5600_0000_0000,
                    start_brk: 0x5600_0000_0000,
                    rss_file: 500,
                    rss_anon: 1000,
                    rss_shmem: 0,
                    hiwater_rss: 1600,
                },
            },
            nr: syscall.number().unwrap_or_default(),
            ret: result.cast_signed(),
            args,
            ..CallRecord::default()
        }
    }
}

/// Two files, and 198 mappings that stay and that the kernel cannot join.
fn map() -> Vec<Vma> {
    let line = |start: u64, pages: u64, bits: u64, name: &str| Vma {
        span: Span::new(Addr(start), pages * PAGE),
        prot: Prot::from_bits(bits),
        shared: false,
        offset: 0,
        device: if name.is_empty() { 0 } else { 0xfe_0000_0000 },
        inode: if name.is_empty() { 0 } else { start },
        name: name.to_owned(),
    };
    let mut lines = vec![line(CODE, 64, 5, "/usr/bin/program")];
    let staying =
        (0..198).map(|index| line(STAYING + index * 16 * PAGE, 16, 1 + 2 * (index % 2), ""));
    lines.extend(staying);
    lines.push(line(LIBC, 400, 5, "/usr/lib/libc.so.6"));
    lines
}
