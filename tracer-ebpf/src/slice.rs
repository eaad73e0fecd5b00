//! Stacks on the wire: slices of them, and what tells them apart.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Registers of a [`StackRecord`].
pub const STACK_REGISTERS: usize = 12;
/// Return addresses of a [`Spot`] at most.
pub const SPOT_SLOTS: usize = 27;
/// Words of the top of a stack that are read at once to look at those slots.
pub const SPOT_WINDOW: usize = 512;
/// Bytes of a stack that are copied at most, whatever is asked for.
pub const MOST_STACK: usize = 32 << 10;
/// Slots of the counters of stacks that were not copied: see [`no_stack`].
pub const NO_STACK_SLOTS: u32 = 4;

/// Why the stack of a call was not copied: slots of a counter each.
pub mod no_stack {
    /// Too many new ones in too short a time.
    pub const RATE: u32 = 0;
    /// The slice did not fit the ring.
    pub const RING: u32 = 1;
    /// It is not in memory, or no memory.
    pub const UNREADABLE: u32 = 2;
}

/// The stack of a thread as it was at a call, which [`StackRecord::len`] bytes of it follow.
///
/// Sent once for each key. Two calls have one key if process, image, instruction and stack
/// pointer are the same, and every word of the stack at which a return address was found when
/// an earlier stack of that place was unwound ([`Spot`]); before one was, the top of the stack
/// to the byte.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct StackRecord {
    /// [`crate::kind::STACK`].
    pub kind: u32,
    /// The processor that wrote the record.
    pub cpu: u32,
    /// Process, in the initial pid namespace.
    pub tgid: u32,
    /// Thread, likewise.
    pub tid: u32,
    /// Its key, not 0.
    pub key: u64,
    /// [`crate::Target::image`].
    pub image: u64,
    /// The instruction behind the system call, or the one to be executed.
    pub ip: u64,
    /// The stack pointer: where the copied bytes are from.
    pub sp: u64,
    /// x86-64: rbp, rbx, r12 to r15, then zeros. arm64: x29, x30, x19 to x28.
    pub registers: [u64; STACK_REGISTERS],
    /// Bytes of the stack behind this record.
    pub len: u64,
}

/// A place where stacks were seen: the key of the map of [`Spot`]s.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct SpotKey {
    /// Process, in the initial pid namespace.
    pub tgid: u64,
    /// [`crate::Target::image`].
    pub image: u64,
    /// The instruction pointer.
    pub ip: u64,
    /// The stack pointer.
    pub sp: u64,
}

/// Where on the stack the return addresses were, of stacks that were seen at a place.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Spot {
    /// How many words from the stack pointer on have all slots that lie within
    /// [`SPOT_WINDOW`].
    pub window: u16,
    /// Words from the stack pointer, plus one; those behind the first 0 are none.
    pub slots: [u16; SPOT_SLOTS],
}

/// What is copied of stacks. Set by user space before loading.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct StackLimits {
    /// Bytes of a stack at most; at most [`MOST_STACK`].
    pub most: u64,
    /// Bytes that a call must be about for its stack to matter.
    pub threshold: u64,
    /// New stacks a second on each processor.
    pub rate: u64,
    /// New stacks at once on each processor after a time without any.
    pub burst: u64,
}
