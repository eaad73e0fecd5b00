//! The maps that the programs share with each other and with user space.

use aya_ebpf::{
    macros::map,
    maps::{HashMap, PerCpuArray, RingBuf},
};
use tracer_ebpf::{LOSS_SLOTS, Target};

/// A call under way.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct InFlight {
    /// When it was entered.
    pub entered: u64,
    /// Its number.
    pub nr: u64,
    /// Its arguments; those it does not take are garbage.
    pub args: [u64; 6],
    /// [`tracer_ebpf::CallRecord::before`].
    pub before: u64,
    /// The kind of its record, one of [`tracer_ebpf::kind`].
    pub record: u32,
    /// 1 if it takes part in the sequence lock of [`Target`].
    pub counted: u32,
}

/// The processes whose calls leave the kernel, by tgid.
#[map]
pub static TARGETS: HashMap<u32, Target> = HashMap::with_max_entries(16_384, 0);

/// Calls between entry and exit, by pid and tgid.
#[map]
pub static IN_FLIGHT: HashMap<u64, InFlight> = HashMap::with_max_entries(16_384, 0);

/// The records. User space sets the size.
#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(8 << 20, 0);

/// Records lost, by call number (or [`tracer_ebpf::loss`]) and processor.
#[map]
pub static LOST: PerCpuArray<u64> = PerCpuArray::with_max_entries(LOSS_SLOTS, 0);
