//! What attribution says: plain, serialisable, ready for any view.

use std::sync::Arc;

use serde::Serialize;

use super::{
    Owner,
    evidence::{Frame, PageMethod, StackEnd},
};
use crate::{
    event::Syscall,
    units::{Bytes, Span},
};

/// The explanation of one process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Every byte of VmSize, exactly once.
    pub ledger: Vec<LedgerRow>,
    /// What is in memory, and what was returned to the kernel.
    pub residency: Residency,
    /// Allocators in the process.
    pub allocators: Vec<AllocatorFound>,
    /// Who mapped and released how much since the attach, largest growth first.
    pub growth: Vec<GrowthRow>,
    /// Why bytes are still there, largest first.
    pub findings: Vec<Finding>,
    /// Settings in force that bear on it, each with its source.
    pub settings: Vec<InForce>,
    /// The answer in one sentence.
    pub verdict: Verdict,
    /// What each distinct caller mapped, still has and gave back, the weightiest first.
    #[serde(skip)]
    pub paths: Vec<CallPath>,
    /// Of how many calls the caller's stack is known.
    pub stacks: StackCoverage,
    /// Who owns each piece of the address space, in order of address.
    #[serde(skip)]
    pub owners: Vec<(Span, Owner)>,
}

/// What the calls of one call path did since the attach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallPath {
    /// Whose memory it is about, by the frame that decides.
    pub owner: Owner,
    /// Which part of an allocator made the calls, where its functions tell.
    pub part: Option<&'static str>,
    /// Its frames, innermost first; none if no stack is known.
    pub frames: Arc<[Frame]>,
    /// Where the stack ends; `None` if it was not unwound.
    pub end: Option<StackEnd>,
    /// The frame that decides whose memory it is.
    pub decided: Option<usize>,
    /// The frame that asked the allocator, or made the call itself.
    pub asked: Option<usize>,
    /// Calls that mapped.
    pub calls: u64,
    /// Bytes they mapped.
    pub mapped: Bytes,
    /// What of them was unmapped again, by whatever call.
    pub unmapped: Bytes,
    /// What of them is still mapped.
    pub still_mapped: Bytes,
    /// What of that was given back: the address space is kept.
    pub retained: Bytes,
    /// Calls that unmapped or gave back.
    pub releases: u64,
    /// Bytes they unmapped, whoever had mapped them.
    pub released: Bytes,
    /// Bytes they gave back by advice, counted each time.
    pub purged: Bytes,
}

impl CallPath {
    /// Bytes that its calls moved in any way.
    #[must_use]
    pub fn weight(&self) -> Bytes {
        self.mapped + self.released + self.purged
    }
}

/// Of how many calls that mapped or gave back the caller's stack is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StackCoverage {
    /// Such calls.
    pub calls: u64,
    /// Those whose stack was unwound.
    pub unwound: u64,
    /// Those of them whose stack is known down to the thread's first function.
    pub complete: u64,
    /// Distinct stacks.
    pub distinct: u64,
}

/// An amount of VmSize with one owner and one state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LedgerRow {
    /// Whose.
    pub owner: Owner,
    /// In what state.
    pub state: State,
    /// How much.
    pub bytes: Bytes,
    /// How much of it is in memory, if that can be told.
    pub resident: Option<Bytes>,
}

/// The state of bytes of VmSize.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// In use by the application, or freed and cached by the allocator: calls cannot tell.
    LiveOrCached,
    /// In use by the application: handed out by the allocator and not given back.
    Live,
    /// Kept by the allocator: freed by the application, not handed out yet, or for its own use.
    Cached,
    /// Pages given back to the kernel, address space kept.
    ReleasedButRetained,
    /// Address space that was never accessible.
    Reserved,
    /// Mapped by an allocator beyond what it was using.
    OverMapped,
    /// Offered to the kernel by `MADV_FREE`; resident until it takes them.
    LazilyFreed,
    /// A file's pages, program and libraries included.
    File,
    /// A thread's stack.
    Stack,
    /// None of these.
    Other,
}

/// What is in memory of the process' own pages at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Residency {
    /// How pages were looked at; `None` if they were not.
    pub method: Option<PageMethod>,
    /// How much was looked at.
    pub looked_at: Bytes,
    /// What was to be looked at and was not, for want of time.
    pub left_out: Bytes,
    /// How long that took, nanoseconds.
    pub took_ns: u64,
    /// Given back by the last call about it, and still mapped: address space kept.
    pub address_space_kept: Bytes,
    /// Of that, neither in memory nor swapped: physical memory returned. `None` if not all of
    /// it was looked at.
    pub physical_returned: Option<Bytes>,
    /// Of that, there at the end: touched again, or offered lazily and not yet taken.
    pub in_memory_again: Option<Bytes>,
    /// Page by page, by owner and by what calls said of it; only what was looked at.
    pub pages: Vec<PageRow>,
}

/// What is in memory of an owner's private anonymous memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PageRow {
    /// Whose.
    pub owner: Owner,
    /// What calls said of it last.
    pub said: Said,
    /// How much.
    pub bytes: Bytes,
    /// In memory.
    pub resident: Bytes,
    /// Of that, in huge pages.
    pub huge: Bytes,
    /// Read and never written: the kernel's page of zeroes.
    pub zero: Bytes,
    /// Swapped out.
    pub swapped: Bytes,
    /// Neither in memory nor swapped. Of what no call gave back: never touched, or given back
    /// before the attach.
    pub absent: Bytes,
}

/// What calls said last of pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Said {
    /// Nothing: no call gave them back.
    NotReleased,
    /// Given back: `MADV_DONTNEED` and the like, or mapped over with `PROT_NONE`.
    GivenBack,
    /// Offered by `MADV_FREE`.
    Offered,
}

/// How sure a statement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// A hint; other explanations are as good.
    Low,
    /// The best explanation; others are possible.
    Medium,
    /// Direct evidence.
    High,
}

/// An allocator in the process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AllocatorFound {
    /// Lower-case name; equals the [`Owner`] of its bytes.
    pub name: String,
    /// How sure it is that the process uses it.
    pub confidence: Confidence,
    /// What says so.
    pub evidence: Vec<String>,
}

/// What one owner did to VmSize since the attach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GrowthRow {
    /// Whose bytes.
    pub owner: Owner,
    /// Mapped.
    pub mapped: Bytes,
    /// Unmapped again.
    pub unmapped: Bytes,
    /// Given back by advice, address space kept; counted each time.
    pub discarded: Bytes,
    /// The calls that mapped: which, how often, how much.
    pub calls: Vec<(Syscall, u64, Bytes)>,
}

/// A reason why bytes are still there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which reason: a stable identifier, listed in `docs/reasons.md`.
    pub reason: &'static str,
    /// Whose bytes.
    pub owner: Owner,
    /// How many.
    pub bytes: Bytes,
    /// How sure.
    pub confidence: Confidence,
    /// One sentence.
    pub summary: String,
    /// Calls, ranges, settings, figures.
    pub evidence: Vec<String>,
    /// What it cannot exclude; empty if nothing.
    pub cannot_exclude: String,
    /// What would change it, and at what price.
    pub remedy: String,
    /// How to check that the remedy helped; empty if none is needed.
    pub verify: String,
}

/// A setting in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InForce {
    /// Its name, as its maker writes it.
    pub name: String,
    /// Its value, as set.
    pub value: String,
    /// Where it is set, or that it is a default.
    pub source: String,
    /// What it does here.
    pub effect: String,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Which answer.
    pub code: VerdictCode,
    /// The answer in words.
    pub summary: String,
    /// How sure.
    pub confidence: Confidence,
}

/// The answers there are. Documented in `docs/verdicts.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum VerdictCode {
    /// VmSize grew and (nearly) all of it was given back.
    Shrank,
    /// An allocator gave pages back and keeps the address space.
    RetainedByAllocator,
    /// Pages were given back by something that is no known allocator; address space kept.
    PurgedNotUnmapped,
    /// Free memory in the brk heap lies below a chunk in use.
    HeapTopPinned,
    /// Address space reserved for per-thread arenas.
    ArenaReserve,
    /// No call gave the bytes back: in use, or cached by the allocator.
    NotReleased,
    /// The program holds the bytes, by its own calls of the allocator.
    HeldByProgram,
    /// The allocator keeps bytes that the program does not hold.
    CachedByAllocator,
    /// VmSize did not grow.
    NoGrowth,
    /// Several reasons, none of which explains most of it.
    Mixed,
    /// The evidence does not carry an answer.
    Inconclusive,
}
