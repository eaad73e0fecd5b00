//! What happened, in the words of the kernel's interface: bytes of the ring in, events out.
//!
//! Decoding is total: any bytes give an [`Event`] or a [`decode::DecodeError`], never a
//! panic. Nothing here knows what an event does to an address space.

pub mod decode;
mod errno;
pub mod stack;
pub mod syscall;

pub use errno::Errno;
pub use stack::{StackKey, StackSlice};
pub use syscall::Syscall;

use crate::units::{Addr, Bytes, MmId, Nanos, Pid, Span, StackId, Tid};

/// Something a traced process did, with the kernel's figures right after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The process.
    pub pid: Pid,
    /// The thread.
    pub tid: Tid,
    /// When the call was entered. For task events equal to `exited`. Where nobody asked for it
    /// (`--events`, recordings) it may be the end of the call before, if nothing was under way in
    /// between: for the order of calls that is the same.
    pub entered: Nanos,
    /// When the call was left.
    pub exited: Nanos,
    /// The kernel's figures at `exited`; `None` without the kernel's BTF.
    pub kernel: Option<KernelFigures>,
    /// Whether nothing else could change VmSize while the figures were read, and every
    /// change they contain is in this event or an earlier one of the stream.
    pub quiet: bool,
    /// What happened.
    pub kind: EventKind,
}

/// The kernel's figures of one address space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelFigures {
    /// Which address space.
    pub mm: MmId,
    /// `mm->total_vm`: VmSize.
    pub vm_size: Bytes,
    /// `mm->stack_vm`: mappings that grow down.
    pub stack: Bytes,
    /// `mm->start_brk`.
    pub start_brk: Addr,
    /// `mm->brk`.
    pub brk: Addr,
    /// Resident bytes, the kernel's (since Linux 6.2 approximate) counters.
    pub rss: Bytes,
    /// The part of `rss` that is anonymous.
    pub rss_anon: Bytes,
    /// The highest RSS the kernel noted, at least `rss`.
    pub peak_rss: Bytes,
}

/// What an [`Event`] is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// A system call, failed ones included.
    Call(Call),
    /// A new process or thread.
    Fork(Fork),
    /// A new program image: every mapping of before is gone, the kernel made new ones.
    Exec {
        /// The name of the program (`comm`): the file's, cut to 15 bytes.
        comm: String,
    },
    /// `exit_group` was entered; the address space still stands.
    Exiting,
    /// A thread ended.
    ThreadEnd {
        /// Whether it was the last one: the process is gone.
        last: bool,
    },
}

impl Event {
    /// The event in the words of strace, for a report of what went wrong with it: arguments
    /// are not decoded.
    #[must_use]
    pub fn words(&self) -> String {
        match &self.kind {
            EventKind::Call(call) => {
                let args = call.args.iter().take(call.syscall.arity());
                let args: Vec<_> = args.map(|arg| format!("{arg:#x}")).collect();
                let outcome = match call.outcome {
                    Ok(value) => format!("{value:#x}"),
                    Err(errno) => errno.to_string(),
                };
                format!("{}({}) = {outcome}", call.syscall, args.join(", "))
            }
            EventKind::Fork(fork) => format!("fork of {}", fork.child),
            EventKind::Exec { .. } => "exec".to_owned(),
            EventKind::Exiting => "exit_group".to_owned(),
            EventKind::ThreadEnd { .. } => "the end of a thread".to_owned(),
        }
    }
}

/// A new process or thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fork {
    /// Its process: the event's own for a thread.
    pub child: Pid,
    /// Its first thread.
    pub child_tid: Tid,
    /// The kernel's figures of its address space; same `mm` as the event's for threads,
    /// `vfork` and `CLONE_VM`.
    pub figures: Option<KernelFigures>,
}

/// A system call, its result, and what it asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Which call.
    pub syscall: Syscall,
    /// The raw arguments; those the call does not take are zero.
    pub args: [u64; 6],
    /// What it returned.
    pub outcome: Result<u64, Errno>,
    /// The arguments decoded, as far as they matter to an address space.
    pub request: Request,
    /// Who asked, for calls that place a mapping.
    pub callers: Option<Box<StackTop>>,
    /// The key of the caller's stack, 0 if none.
    pub stack: StackKey,
    /// That stack, unwound; [`StackId`] 0 if it was not.
    pub path: StackId,
}

/// The top of a thread's stack at a call: raw words, some of which are return addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StackTop {
    /// The instruction behind the system call, 0 if unknown.
    pub ip: Addr,
    /// Words from the stack pointer upwards.
    pub words: [u64; tracer_ebpf::STACK_WORDS],
}

/// A file as the kernel side saw it when it was mapped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileSeen {
    /// Its path on the host; `None` if that is too long to tell.
    pub path: Option<String>,
    /// `major << 32 | minor`.
    pub device: u64,
    /// Its inode.
    pub inode: u64,
}

/// What a call asked of the address space. Lengths are as given: not rounded to pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// `mmap`: `len` bytes, at the address that the call returns.
    Map {
        /// Bytes asked for.
        len: u64,
        /// `PROT_*`.
        prot: u64,
        /// `MAP_*`.
        flags: u64,
        /// The file, `None` for `MAP_ANONYMOUS`.
        fd: Option<i32>,
        /// Offset in the file, bytes.
        offset: u64,
        /// Which file that is, as far as the kernel side could tell.
        file: Option<Box<FileSeen>>,
    },
    /// `munmap` of a range.
    Unmap(Span),
    /// `brk`: the heap's end moves from `before` to the address that the call returns.
    Brk {
        /// The end asked for; 0 asks for nothing.
        wanted: Addr,
        /// `mm->brk` at entry; `None` without the kernel's BTF.
        before: Option<Addr>,
    },
    /// `mremap`: `old` becomes `new_len` bytes at the address that the call returns.
    Remap {
        /// The range to move or resize. Empty: a shared mapping is duplicated.
        old: Span,
        /// Its new length.
        new_len: u64,
        /// `MREMAP_*`.
        flags: u64,
    },
    /// `mprotect` and `pkey_mprotect`.
    Protect {
        /// The range.
        span: Span,
        /// `PROT_*`.
        prot: u64,
    },
    /// `madvise`, or one vector of `process_madvise` (which may be about another process).
    Advise {
        /// Which process: `None` is the caller's own.
        target: Option<PidFd>,
        /// The ranges, in the order the kernel takes them.
        spans: Vec<Span>,
        /// `MADV_*`.
        advice: u64,
    },
    /// `shmat`: a segment at the address that the call returns.
    Attach {
        /// The segment's id.
        id: i32,
        /// `SHM_*`.
        flags: u64,
        /// By how much VmSize rose during the call: the segment's size if the event is
        /// quiet; `None` without the kernel's BTF.
        grown: Option<Bytes>,
    },
    /// `shmdt` of the segment attached at this address.
    Detach(Addr),
    /// `remap_file_pages`: other pages of the same file, in place.
    RemapFile {
        /// The range.
        span: Span,
        /// Offset in the file, bytes.
        offset: u64,
    },
    /// `prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME)`.
    Name {
        /// The range.
        span: Span,
        /// The name; `None` takes the name away.
        name: Option<String>,
    },
    /// `mlock`, `mlock2`, `munlock` of a range. No effect on VmSize; it splits mappings.
    Lock {
        /// The range.
        span: Span,
        /// Whether it locks or unlocks.
        lock: bool,
    },
    /// `mlockall` (with its `MCL_*` flags) or `munlockall` (0).
    LockAll {
        /// `MCL_*`.
        flags: u64,
    },
    /// `io_setup`: the kernel placed a ring of asynchronous I/O.
    RingSetup {
        /// Its address.
        ring: Addr,
        /// By how much VmSize rose during the call; `None` without the kernel's BTF.
        grown: Option<Bytes>,
    },
    /// `io_destroy` of the ring at this address.
    RingDestroy(Addr),
    /// `map_shadow_stack`, at the address that the call returns.
    ShadowStack {
        /// Bytes asked for.
        len: u64,
    },
    /// `clone`, `execve` and the like: what they do arrives as an event of its own.
    Task,
}

/// A process named by a descriptor of the caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PidFd(pub i32);
