//! The wire: the records that leave the kernel and the keys of its maps.
//!
//! This is the only code that both sides share. It holds layouts and constants;
//! it neither reads nor writes anything. All integers are in host byte order,
//! addresses and lengths in bytes unless a field says pages, times in
//! nanoseconds of `CLOCK_MONOTONIC` (`bpf_ktime_get_ns`).
#![no_std]

pub mod audit;
pub mod heap;
mod slice;

pub use slice::*;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The number of these layouts and of what their fields mean. Recordings keep records as they
/// are and name it: it goes up with every change of either.
pub const WIRE_VERSION: u32 = 2;
/// Words copied from the top of the user's stack when a call makes or moves a
/// mapping: enough to find the return address behind libc's `mmap` and `sbrk`.
pub const STACK_WORDS: usize = 16;
/// Bytes of a `PR_SET_VMA_ANON_NAME` name, as `ANON_VMA_NAME_MAX_LEN` (80) in the kernel.
pub const NAME_LEN: usize = 80;
/// Bytes of a task's name (`TASK_COMM_LEN`).
pub const COMM_LEN: usize = 16;
/// Ranges of a `process_madvise` vector that fit one record.
pub const RANGES_PER_RECORD: usize = 128;
/// Records one `process_madvise` may need: `UIO_MAXIOV` (1024) ranges in all.
pub const RANGE_RECORDS: usize = 1024 / RANGES_PER_RECORD;
/// Parts of a file's path that one record holds, the last part first; a mount crossed
/// takes one too.
pub const PATH_PARTS: usize = 16;
/// Bytes of one part; longer ones are cut, and the path is not used then.
pub const PATH_PART_LEN: usize = 64;
/// System call numbers that are known of; all of either architecture's are below.
pub const CALL_SLOTS: usize = 512;
/// Slots of the loss counters: one for each system call number, and [`loss`]'s.
pub const LOSS_SLOTS: u32 = CALL_SLOTS as u32;
/// Places for targets, each for all processes whose tgid, divided by this, leaves its number.
pub const TARGET_PLACES: u32 = 4096;
/// Places for the calls that threads have under way, likewise by thread id.
pub const THREAD_PLACES: u32 = 16_384;
/// Bytes of `mm_struct` copied at once: all of [`Layout`]'s `mm_` fields but `mm_rss` lie in
/// them.
pub const MM_WINDOW: usize = 224;
/// Bytes of `mm_struct.rss_stat` copied at once: the first four counters.
pub const RSS_WINDOW: usize = 128;
/// `prctl` option that names anonymous memory (`PR_SET_VMA`, "SVMA").
pub const PR_SET_VMA: u64 = 0x5356_4d41;

/// Slots of the loss counters that do not stand for a system call number.
pub mod loss {
    /// A fork record did not fit the ring.
    pub const FORK: u32 = super::LOSS_SLOTS - 1;
    /// An exec record did not fit the ring.
    pub const EXEC: u32 = super::LOSS_SLOTS - 2;
    /// An exit record did not fit the ring.
    pub const EXIT: u32 = super::LOSS_SLOTS - 3;
    /// A call was under way and the table of such calls was full: its record is missing.
    pub const IN_FLIGHT: u32 = super::LOSS_SLOTS - 4;
    /// A child was born and the table of targets was full: it is not followed.
    pub const TARGETS: u32 = super::LOSS_SLOTS - 5;
    /// The kernel skipped a program at the entry or exit of a call, which it does where a run
    /// of the same program was preempted on the same processor.
    pub const SKIPPED: u32 = super::LOSS_SLOTS - 6;
}

/// What a record is. The value of [`Header::kind`].
pub mod kind {
    /// [`super::CallRecord`]: a call that placed nothing.
    pub const CALL: u32 = 1;
    /// [`super::PlacingRecord`]: a call that may have placed a mapping, with stack words.
    pub const PLACING: u32 = 2;
    /// [`super::NamingRecord`]: `prctl(PR_SET_VMA)` with its name.
    pub const NAMING: u32 = 3;
    /// [`super::RangesRecord`]: `process_madvise` with (part of) its vector.
    pub const RANGES: u32 = 4;
    /// [`super::TaskRecord`]: a process or thread was made.
    pub const FORK: u32 = 5;
    /// [`super::TaskRecord`]: a new program image is in place.
    pub const EXEC: u32 = 6;
    /// [`super::TaskRecord`]: `exit_group` was entered, the address space still stands.
    pub const EXITING: u32 = 7;
    /// [`super::TaskRecord`]: a thread ended.
    pub const EXIT: u32 = 8;
    /// [`super::FileRecord`]: an `mmap` of a file.
    pub const FILE: u32 = 9;
    /// [`super::StackRecord`]: a stack, before the record of the call that has its key.
    pub const STACK: u32 = 10;
}

/// What is done at a system call: bits of the table of plans, which is 0 for calls that are
/// not traced.
pub mod plan {
    /// The kind of its record, one of [`super::kind`].
    pub const KIND: u16 = 0x0f;
    /// It can change VmSize, and takes part in the sequence lock of [`super::Target`].
    pub const COUNTED: u16 = 1 << 4;
    /// `mm->brk` is kept at its entry.
    pub const BRK_BEFORE: u16 = 1 << 5;
    /// `mm->total_vm` is kept at its entry.
    pub const SIZE_BEFORE: u16 = 1 << 6;
    /// It may map a file, which is its fifth argument.
    pub const FILE: u16 = 1 << 7;
    /// It returns a word of interest behind its second argument.
    pub const CONTEXT: u16 = 1 << 8;
    /// It makes or replaces a process.
    pub const TASK: u16 = 1 << 9;
    /// Its caller's stack matters, subject to those that follow.
    pub const STACK: u16 = 1 << 10;
    /// Only if its second argument, a length, is above a threshold.
    pub const STACK_BY_LENGTH: u16 = 1 << 11;
    /// Only if its third argument is advice that gives memory back.
    pub const STACK_BY_ADVICE: u16 = 1 << 12;
    /// Only if its fourth argument is.
    pub const STACK_BY_FOURTH: u16 = 1 << 13;
}

/// The kernel's own figures of an address space, read from `mm_struct`.
///
/// All zero where the kernel's BTF was not at hand.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Figures {
    /// Address of the `mm_struct`: the identity of the address space, 0 if unknown.
    pub mm: u64,
    /// `mm->total_vm`, pages. This is VmSize.
    pub total_vm: u64,
    /// `mm->stack_vm`, pages in mappings that grow down.
    pub stack_vm: u64,
    /// `mm->brk`, the end of the heap.
    pub brk: u64,
    /// `mm->start_brk`, where the heap begins.
    pub start_brk: u64,
    /// Resident file pages (`MM_FILEPAGES`); since Linux 6.2 the kernel's own approximate count.
    pub rss_file: i64,
    /// Resident anonymous pages (`MM_ANONPAGES`), likewise.
    pub rss_anon: i64,
    /// Resident shared-memory pages (`MM_SHMEMPAGES`), likewise.
    pub rss_shmem: i64,
    /// `mm->hiwater_rss`, pages: the highest RSS the kernel noted.
    pub hiwater_rss: u64,
}

/// What every record begins with.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Header {
    /// One of [`kind`].
    pub kind: u32,
    /// The processor that wrote the record.
    pub cpu: u32,
    /// Process (`tgid`) in the initial pid namespace.
    pub tgid: u32,
    /// Thread (`pid` in the kernel's words), likewise.
    pub tid: u32,
    /// When the call was entered; for task records the moment itself.
    pub entered: u64,
    /// When the call was left; for task records the moment itself.
    pub exited: u64,
    /// 1 if no other call of the process that can change VmSize was under way while
    /// [`Header::figures`] were read, and every earlier one's record precedes this one. Fork:
    /// 1 if none was since the call was entered, so that the child has what the parent has.
    pub quiet: u64,
    /// The figures at `exited`.
    pub figures: Figures,
}

/// A system call with its arguments and result.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct CallRecord {
    /// Who, when, and the kernel's figures.
    pub header: Header,
    /// The system call number of this architecture's 64-bit table.
    pub nr: u64,
    /// The result: negative is an errno.
    pub ret: i64,
    /// The arguments; those the call does not take are garbage.
    pub args: [u64; 6],
    /// `brk`: `mm->brk` at entry. `shmat`, `io_setup`: `mm->total_vm` at entry, pages.
    pub before: u64,
    /// `io_setup`: the context it returned, which is the address of its ring.
    pub context: u64,
    /// The key of the caller's stack, which a [`StackRecord`] before this one has; 0 if none.
    pub stack: u64,
}

/// A [`CallRecord`] of a call that may place a mapping, and who called it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct PlacingRecord {
    /// The call.
    pub call: CallRecord,
    /// The instruction behind the system call, 0 if unknown.
    pub ip: u64,
    /// The top of the user's stack, lowest address first; zeros if unreadable.
    pub stack: [u64; STACK_WORDS],
}

/// A [`PlacingRecord`] of an `mmap` of a file, and which file that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FileRecord {
    /// The call.
    pub placing: PlacingRecord,
    /// `i_ino`, 0 if unknown.
    pub inode: u64,
    /// `s_dev` as the kernel keeps it: `major << 20 | minor`.
    pub device: u64,
    /// How many of `parts` are filled; 0 if the path is not known. A path whose last part
    /// is not empty goes on beyond them.
    pub count: u64,
    /// The parts of the path, the file's own name first, each ended by a zero byte; empty
    /// where a mount is crossed and behind the root.
    pub parts: [[u8; PATH_PART_LEN]; PATH_PARTS],
}

/// A `prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, …)` and the name it gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct NamingRecord {
    /// The call.
    pub call: CallRecord,
    /// The name, ended by a zero byte; all zero where the call gave none.
    pub name: [u8; NAME_LEN],
}

/// One `struct iovec` of a `process_madvise` vector.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Iovec {
    /// First byte.
    pub base: u64,
    /// Length in bytes.
    pub len: u64,
}

/// A `process_madvise` and the ranges `first .. first + count` of its vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct RangesRecord {
    /// The call. The first record of a call has `first == 0`.
    pub call: CallRecord,
    /// Index of the first range in this record.
    pub first: u32,
    /// How many of `ranges` are filled.
    pub count: u32,
    /// The ranges.
    pub ranges: [Iovec; RANGES_PER_RECORD],
}

/// A task was made, got a new image, or ended.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct TaskRecord {
    /// Who, when, and the figures of the acting task's address space.
    pub header: Header,
    /// Fork: the new process; else 0.
    pub child_tgid: u32,
    /// Fork: the new thread; else 0.
    pub child_tid: u32,
    /// Exit: 1 if this was the last thread of its process, 0 if not or unknown.
    pub last: u64,
    /// Fork: the figures of the child's address space.
    pub child: Figures,
    /// The name of the acting task's program, ended by a zero byte.
    pub comm: [u8; COMM_LEN],
}

/// A process whose calls leave the kernel: the value of the map of targets.
///
/// `entered` and `exited` count the calls under way that can change VmSize: a sequence
/// lock by which a reader of `total_vm` knows that nothing moved meanwhile.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Target {
    /// Calls entered so far.
    pub entered: u64,
    /// Calls left so far.
    pub exited: u64,
    /// 1 if its children are targets too.
    pub follow: u64,
    /// Since when it is one. Calls under way then are taken as entered then.
    pub since: u64,
    /// How many programs it has executed since.
    pub image: u64,
    /// The call of its first thread: that one needs no look into the table of such calls.
    pub first: InFlight,
}

/// The call that a thread has under way. Kept between its calls: making one anew for each
/// would cost more than everything else at an entry.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct InFlight {
    /// When it was entered.
    pub entered: u64,
    /// [`CallRecord::before`].
    pub before: u64,
    /// [`Target::since`] of its process: one left by an earlier observation is of none. 0
    /// before the first.
    pub observation: u64,
    /// Its number, or [`InFlight::NONE`].
    pub nr: u64,
    /// Calls of the process entered before it, if it was alone then; else a number that
    /// none comes to.
    pub alone: u64,
}

impl InFlight {
    /// No call is under way.
    pub const NONE: u64 = u64::MAX;
    /// Of a thread that has made no call so far.
    pub const NEW: Self = Self {
        entered: 0,
        before: 0,
        observation: 0,
        nr: Self::NONE,
        alone: 0,
    };
}

/// Stands in the programs for a call of the kernel's function `bpf_rdonly_cast` (Linux 6.2 and
/// newer), whose number differs from kernel to kernel: an instruction that calls a helper that no
/// kernel has. User space replaces it before loading, or leaves it where no path leads to it.
pub const CAST_CALL: u64 = 0x7ace_0001_0000_0085;

/// Byte offsets in this kernel's structures, resolved from its BTF at load.
///
/// `known == 0` switches every read of kernel memory off.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Layout {
    /// 1 if the offsets below are valid.
    pub known: u32,
    /// 1 if the running task and what it points to may be loaded from like any memory: the
    /// verifier knows their types. That takes `bpf_get_current_task_btf` and
    /// `bpf_task_pt_regs`, which are there since Linux 5.15.
    pub direct: u32,
    /// The number of the kernel's function that gives an address a type, which [`CAST_CALL`]
    /// calls; 0 if it has none, and where nothing is loaded directly.
    pub cast: u32,
    /// The number of the type `struct pt_regs`, if there is that function.
    pub registers: u32,
    /// `task_struct.mm`.
    pub task_mm: u32,
    /// `task_struct.tgid`.
    pub task_tgid: u32,
    /// `task_struct.pid`.
    pub task_pid: u32,
    /// `task_struct.signal`.
    pub task_signal: u32,
    /// `signal_struct.live`.
    pub signal_live: u32,
    /// Where the part of `mm_struct` begins that is copied ([`MM_WINDOW`]).
    pub mm_window: u32,
    /// `mm_struct.total_vm`, from there on, as the next four.
    pub mm_total_vm: u32,
    /// `mm_struct.stack_vm`.
    pub mm_stack_vm: u32,
    /// `mm_struct.brk`.
    pub mm_brk: u32,
    /// `mm_struct.start_brk`.
    pub mm_start_brk: u32,
    /// `mm_struct.hiwater_rss`.
    pub mm_hiwater_rss: u32,
    /// The first counter of `mm_struct.rss_stat`: file pages.
    pub mm_rss: u32,
    /// Bytes from one counter of `rss_stat` to the next.
    pub rss_stride: u32,
    /// 1 if the offsets below are valid: they lead from a descriptor to a path.
    pub files: u32,
    /// `task_struct.files`.
    pub task_files: u32,
    /// `files_struct.fdt`.
    pub files_fdt: u32,
    /// `fdtable.fd`.
    pub fdt_fd: u32,
    /// `file.f_path.mnt`.
    pub file_mnt: u32,
    /// `file.f_path.dentry`.
    pub file_dentry: u32,
    /// `dentry.d_parent`.
    pub dentry_parent: u32,
    /// `dentry.d_name.name`.
    pub dentry_name: u32,
    /// `dentry.d_inode`.
    pub dentry_inode: u32,
    /// `inode.i_ino`.
    pub inode_ino: u32,
    /// `inode.i_sb`.
    pub inode_sb: u32,
    /// `super_block.s_dev`.
    pub sb_dev: u32,
    /// `mount.mnt`.
    pub mount_mnt: u32,
    /// `mount.mnt_parent`.
    pub mount_parent: u32,
    /// `mount.mnt_mountpoint`.
    pub mount_mountpoint: u32,
    /// `vfsmount.mnt_root`.
    pub vfsmount_root: u32,
}

impl Layout {
    /// The same, but that nothing is loaded directly.
    #[must_use]
    pub const fn without_direct_loads(self) -> Self {
        Self {
            direct: 0,
            cast: 0,
            ..self
        }
    }

    /// Nothing known.
    pub const UNKNOWN: Self = zerocopy::transmute!([0u8; size_of::<Self>()]);
}
