//! What attribution works from. Plain data, gathered elsewhere.

use crate::{
    space::{Space, piece::FileId},
    units::{Addr, Bytes, Span},
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
    /// The walk through glibc's main heap; `None` if not made or not possible.
    pub heap: Option<&'a HeapWalk>,
    /// VmSize over the run.
    pub vm_size: Trend,
    /// RSS over the run; the end may be unknown.
    pub rss: Trend,
    /// Anonymous RSS at the end, if known: bounds what can have been touched.
    pub rss_anon_at_end: Option<Bytes>,
    /// What could not be observed.
    pub doubt: Doubt,
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

/// Where a mapping call came from: the innermost return addresses found on the stack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallSite {
    /// Innermost first: the caller of the C library's `mmap`, `sbrk`, …, or that function
    /// itself. Only addresses that follow a call instruction, where the file could be read.
    pub frames: Vec<Frame>,
}

/// One return address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The object it lies in.
    pub file: FileId,
    /// Offset in the file, bytes.
    pub offset: u64,
    /// The path or name of that object as `/proc/<pid>/maps` shows it.
    pub module: String,
    /// The function whose symbol covers it; `None` where no symbol does (stripped).
    pub function: Option<String>,
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
    /// `nr` in `VmFlags`.
    pub no_reserve: bool,
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
