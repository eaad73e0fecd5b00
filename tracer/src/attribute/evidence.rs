//! What attribution works from. Plain data, gathered elsewhere.

use std::sync::Arc;

use crate::{
    heap::{ProbedFile, Tracked},
    space::{Space, piece::FileId},
    units::{Addr, Bytes, Nanos, Span},
};

/// All that is known of one process when it is to be explained.
#[derive(Debug)]
pub struct Evidence<'a> {
    /// The address space as rebuilt from events, with its origins and flows.
    pub space: &'a Space,
    /// Call sites, in the order of [`crate::space::piece::SiteId`]; entry 0 is "unknown".
    pub sites: &'a [CallSite],
    /// The objects mapped now or seen mapped before, with what their ELF files say.
    pub modules: &'a [Module],
    /// Settings in force.
    pub settings: &'a Settings,
    /// What is in memory, by `/proc/<pid>/smaps`; `None` if the process was gone.
    pub residency: Option<&'a [Resident]>,
    /// Which pages are in memory, range by range; `None` if the process was gone or its pages
    /// may not be looked at.
    pub pages: Option<&'a PageCensus>,
    /// The walk through glibc's main heap; `None` if not made or not possible.
    pub heap: Option<&'a HeapWalk>,
    /// What the program holds by its own calls of its allocators; `None` if they were not watched.
    pub held: Option<&'a Held<'a>>,
    /// VmSize over the run.
    pub vm_size: Trend,
    /// RSS over the run; the end may be unknown.
    pub rss: Trend,
    /// Anonymous RSS at the end, if known: bounds what can have been touched.
    pub rss_anon_at_end: Option<Bytes>,
    /// What could not be observed.
    pub doubt: Doubt,
    /// When the observation began and ended, by the clock of events.
    pub observed: (Nanos, Nanos),
}

/// What a program holds, by probes in the functions of its allocators.
#[derive(Clone, Debug)]
pub struct Held<'a> {
    /// Blocks handed out in each piece of the space, in order of address.
    pub pieces: &'a [Tracked],
    /// Since when every function of an allocator that was mapped was probed.
    pub whole_since: Nanos,
    /// Whether every block since then is accounted for, whatever its size.
    pub exact: bool,
    /// What is probed.
    pub files: &'a [ProbedFile],
    /// Who asked for the most of what is held, in words, with how much that is.
    pub places: Vec<(String, Bytes)>,
}

/// A quantity at attach, at its highest and at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Trend {
    /// When the tracer attached.
    pub at_attach: Option<Bytes>,
    /// The highest value seen.
    pub peak: Option<Bytes>,
    /// The last value.
    pub at_end: Option<Bytes>,
}

/// Where a call came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallSite {
    /// Innermost first. Of an unwound stack all frames, inlined ones too. Else the caller of the
    /// C library's `mmap`, `sbrk`, …, or that function itself, and more that looks like return
    /// addresses on top of the stack: only addresses that follow a call instruction, where the
    /// file could be read.
    pub frames: Arc<[Frame]>,
    /// Where the stack ends; `None` if it was not unwound.
    pub end: Option<StackEnd>,
}

/// How a frame was found.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum FoundBy {
    /// It is the instruction that made the call, or one that a signal interrupted.
    Registers,
    /// By the unwind tables of its callee's file.
    Tables,
    /// By the frame pointer, where its callee's file has no table.
    FramePointer,
    /// It looks like a return address and is the next one on the stack: a guess.
    #[default]
    Scan,
}

/// Where an unwound stack ends.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum StackEnd {
    /// At the thread's first function.
    Root,
    /// Where the copied slice does.
    Slice,
    /// Where nothing tells how to go on.
    #[default]
    Lost,
    /// After as many frames as are kept.
    Limit,
}

/// One frame, or what looks like one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The object it lies in; none of the space's if that is not known there.
    pub file: FileId,
    /// Offset in the file, bytes.
    pub offset: u64,
    /// The path or name of that object as `/proc/<pid>/maps` shows it.
    pub module: String,
    /// The function whose symbol covers it; `None` where no symbol does (stripped).
    pub function: Option<String>,
    /// The source file and the line of it.
    pub line: Option<(String, u32)>,
    /// Whether the function was inlined into the next frame's.
    pub inlined: bool,
    /// How it was found.
    pub by: FoundBy,
}

/// A mapped object file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Which file in the space.
    pub file: FileId,
    /// Its path as `/proc/<pid>/maps` shows it.
    pub path: String,
    /// Whether it is the program itself.
    pub is_program: bool,
    /// Why its symbols could not be read, if so.
    pub unreadable: Option<String>,
    /// Functions it defines (not imports) that tell of an allocator: `mallctl`,
    /// `_rjem_malloc`, `mi_malloc`, `tc_malloc`, … and plain `malloc`.
    pub telling_symbols: Vec<String>,
    /// Read-only strings that tell of an allocator where symbols were stripped.
    pub telling_strings: Vec<String>,
}

/// Settings that govern how allocators keep memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Settings {
    /// Environment variables that an allocator obeys, from `/proc/<pid>/environ`:
    /// `MALLOC_*`, `_RJEM_MALLOC_CONF`, `GLIBC_TUNABLES`, `MIMALLOC_*`, `TCMALLOC_*`, …
    pub environment: Vec<(String, String)>,
    /// Where `/etc/malloc.conf` points, if it exists (jemalloc reads it).
    pub etc_malloc_conf: Option<String>,
    /// `RLIMIT_AS`, bytes, if limited.
    pub address_space_limit: Option<Bytes>,
    /// `RLIMIT_DATA`, if limited: bounds private writable memory (`VmData`).
    #[serde(default)]
    pub data_limit: Option<Bytes>,
    /// `RLIMIT_STACK`, if limited: the size of a thread's stack by default.
    #[serde(default)]
    pub stack_limit: Option<Bytes>,
    /// The kernel's.
    #[serde(default)]
    pub kernel: KernelSettings,
    /// The limits of its memory control group, if it is in one.
    #[serde(default)]
    pub memory_group: Option<MemoryGroup>,
}

/// Settings of the kernel that bear on address spaces. What could not be read is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct KernelSettings {
    /// `vm.overcommit_memory`: 0 heuristic, 1 always, 2 never.
    pub overcommit_memory: Option<u8>,
    /// `vm.overcommit_ratio`, percent; 0 if `vm.overcommit_kbytes` is used instead.
    pub overcommit_ratio: Option<u64>,
    /// `vm.overcommit_kbytes`; 0 if `vm.overcommit_ratio` is used instead.
    pub overcommit_kbytes: Option<Bytes>,
    /// `CommitLimit` of `/proc/meminfo`: holds if `vm.overcommit_memory` is 2.
    pub commit_limit: Option<Bytes>,
    /// `Committed_AS` of `/proc/meminfo`, of the whole system.
    pub committed: Option<Bytes>,
    /// `vm.max_map_count`: mappings that one process may have.
    pub max_map_count: Option<u64>,
    /// `transparent_hugepage/enabled`: `always`, `madvise` or `never`.
    pub huge_pages: Option<String>,
    /// `transparent_hugepage/defrag`.
    pub huge_pages_defrag: Option<String>,
    /// `transparent_hugepage/shmem_enabled`.
    pub huge_pages_shmem: Option<String>,
    /// `transparent_hugepage/khugepaged/max_ptes_none`: pages of 512 that may be missing where
    /// khugepaged makes a huge page.
    pub khugepaged_max_ptes_none: Option<u64>,
}

/// Limits of a memory control group, those of the groups around it included.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct MemoryGroup {
    /// Its path below the root of the hierarchy, as `/proc/<pid>/cgroup` shows it.
    pub path: String,
    /// 1 or 2.
    pub version: u8,
    /// `memory.max` (`memory.limit_in_bytes`): the lowest on the way to the root.
    pub max: Option<Bytes>,
    /// `memory.high` (`memory.soft_limit_in_bytes` of version 1): likewise.
    pub high: Option<Bytes>,
    /// `memory.current` (`memory.usage_in_bytes`) of the group itself when it was read.
    pub current: Option<Bytes>,
}

/// What is in memory of one VMA, as `/proc/<pid>/smaps` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Resident {
    /// The VMA.
    pub span: Span,
    /// `Rss`.
    pub rss: Bytes,
    /// `Anonymous`.
    pub anonymous: Bytes,
    /// `LazyFree`: still in `rss`, free for the taking.
    pub lazy_free: Bytes,
    /// `Swap`.
    pub swap: Bytes,
    /// `AnonHugePages`: of `rss`, in transparent huge pages.
    #[serde(default)]
    pub anon_huge: Bytes,
    /// `Private_Hugetlb` and `Shared_Hugetlb`: not in `rss`.
    #[serde(default)]
    pub huge_tlb: Bytes,
    /// `nr` in `VmFlags`.
    pub no_reserve: bool,
}

/// Which pages are in memory, by the page tables themselves.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PageCensus {
    /// How it was read.
    pub method: PageMethod,
    /// The ranges that were looked at.
    pub sums: Vec<PageSum>,
    /// Their size.
    pub looked_at: Bytes,
    /// Of the ranges asked about, what was not looked at: there was no time for it.
    pub left_out: Bytes,
    /// How long it took, nanoseconds.
    pub took_ns: u64,
}

/// How page tables were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PageMethod {
    /// By `PAGEMAP_SCAN`.
    #[serde(rename = "pagemap-scan")]
    Scan,
    /// Entry by entry: pages of zeroes that were only read count as in memory, and huge pages
    /// are not told from others.
    #[serde(rename = "pagemap")]
    Entries,
}

/// What is in memory of a range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PageSum {
    /// The range: a piece of the address space.
    pub span: Span,
    /// In memory, as RSS counts it.
    pub resident: Bytes,
    /// Of that, in huge pages.
    pub huge: Bytes,
    /// Read and never written: the kernel's page of zeroes, which RSS does not count.
    pub zero: Bytes,
    /// Swapped out.
    pub swapped: Bytes,
    /// Runs of pages in memory without a gap.
    pub runs: u64,
}

/// glibc's main heap, chunk by chunk, read from the process' memory.
///
/// Chunk headers are those of glibc's `malloc/malloc.c` (`struct malloc_chunk`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct HeapWalk {
    /// The heap: `start_brk` to `brk`.
    pub span: Span,
    /// Bytes in chunks that are in use, or in a cache that glibc marks as in use
    /// (tcache, fastbins).
    pub in_use: Bytes,
    /// Bytes in free chunks below the top.
    pub free: Bytes,
    /// The top chunk: free, at the end.
    pub top: Bytes,
    /// The last chunk in use below the top, which pins everything under it.
    pub pin: Option<Pin>,
}

/// A chunk that keeps the heap from shrinking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Pin {
    /// Its address.
    pub addr: Addr,
    /// Its size with header.
    pub size: Bytes,
}

/// What could not be observed, and so what a verdict must not rest on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Doubt {
    /// Events that the kernel side could not deliver.
    pub lost: u64,
    /// Disagreements with the kernel's figures that were found and healed.
    pub mismatches: u64,
    /// Bytes by which the model differs from the kernel at the end.
    pub drift: Bytes,
    /// Whether the process was gone before its map could be read.
    pub unread: bool,
}
