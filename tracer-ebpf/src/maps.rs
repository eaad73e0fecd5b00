//! The maps that the programs share with each other and with user space.

use core::ptr;

use aya_ebpf::{
    macros::map,
    maps::{Array, HashMap, PerCpuArray, RingBuf},
};
use tracer_ebpf::{CALL_SLOTS, InFlight, LOSS_SLOTS, TARGET_PLACES, THREAD_PLACES, Target, plan};

use crate::opaque::opaque;

/// The processes whose calls leave the kernel, by tgid, but for those in [`TARGETS_PLACED`].
#[map]
pub static TARGETS: HashMap<u32, Target> = HashMap::with_max_entries(16_384, 0);

/// Those that have a place of their own, by place. See [`crate::targets`].
#[map]
pub static TARGETS_PLACED: Array<Target> = Array::with_max_entries(TARGET_PLACES, 0);

/// Whose each place is: a tgid, 0 if it is free.
#[map]
pub static OWNERS: Array<u32> = Array::with_max_entries(TARGET_PLACES, 0);

/// Calls between entry and exit, by pid and tgid, but for those kept elsewhere. See
/// [`crate::in_flight`].
#[map]
pub static IN_FLIGHT: HashMap<u64, InFlight> = HashMap::with_max_entries(65_536, 0);

/// Those of threads that have a place of their own, by place.
#[map]
pub static THREADS_PLACED: Array<InFlight> = Array::with_max_entries(THREAD_PLACES, 0);

/// Whose each of these places is, by pid and tgid; 0 if it is free.
#[map]
pub static THREADS: Array<u64> = Array::with_max_entries(THREAD_PLACES, 0);

/// Which of them are not free.
#[map]
pub static CLAIMED: HashMap<u32, u8> = HashMap::with_max_entries(THREAD_PLACES, 0);

/// The records. User space sets the size.
#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(8 << 20, 0);

/// Records lost, by call number (or [`tracer_ebpf::loss`]) and processor.
#[map]
pub static LOST: PerCpuArray<u64> = PerCpuArray::with_max_entries(LOSS_SLOTS, 0);

/// Bytes written to the ring since the last look at how many wait, by processor.
#[map]
pub static WRITTEN: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// How many bytes a processor writes between two such looks. Set by user space before loading,
/// which knows the ring's size and how many processors may fill it.
#[unsafe(no_mangle)]
static LOOK_EVERY: u64 = 0;

/// [`LOOK_EVERY`], as the loader left it.
#[inline(always)]
pub fn look_every() -> u64 {
    // SAFETY: a static is readable; volatile because the loader replaces the value after the
    // compiler has seen the zero above.
    unsafe { ptr::read_volatile(&raw const LOOK_EVERY) }
}

/// What is done at each call, by its number. Set by user space before loading, which knows
/// the numbers of this architecture.
#[unsafe(no_mangle)]
static PLANS: [u16; CALL_SLOTS] = [0; CALL_SLOTS];

/// What is done at a call: see [`plan`].
#[derive(Clone, Copy)]
pub struct Plan(u16);

impl Plan {
    /// The plan for a call; `None` for calls that are not ours.
    #[inline(always)]
    pub fn of(nr: u64) -> Option<Self> {
        if nr >= CALL_SLOTS as u64 {
            return None;
        }
        let index = opaque(nr as usize) & (CALL_SLOTS - 1);
        // SAFETY: the index is below the length, which is a power of two; volatile because the
        // loader replaces the values after the compiler has seen the zeros above.
        let bits = unsafe { ptr::read_volatile((&raw const PLANS).cast::<u16>().add(index)) };
        (bits != 0).then_some(Self(bits))
    }

    /// The kind of its record, one of [`tracer_ebpf::kind`].
    #[inline(always)]
    pub fn kind(self) -> u32 {
        u32::from(self.0 & plan::KIND)
    }

    /// Whether one of the flags of [`plan`] is set.
    #[inline(always)]
    pub fn has(self, flag: u16) -> bool {
        self.0 & flag != 0
    }
}
