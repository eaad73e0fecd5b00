//! The one writer of the ring: reserve, fill in place, submit; what does not fit is counted.

use aya_ebpf::{
    bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP, BPF_RB_RING_SIZE},
    maps::ring_buf::RingBufEntry,
};
use tracer_ebpf::{LOSS_SLOTS, loss};

use crate::maps::{EVENTS, LOST, WRITTEN, look_every};

/// Bytes waiting in the ring at which the reader is woken before its next turn. It reads on
/// a timer otherwise: waking it for each record would cost the traced process far more.
const WAKE_AT: u64 = 256 << 10;

/// Room for a record, or `None` with the loss counted in `slot`.
#[inline(always)]
pub fn reserve<T: 'static>(slot: u32) -> Option<RingBufEntry<T>> {
    let entry = EVENTS.reserve::<T>(0);
    if entry.is_none() {
        count_lost(slot);
    }
    entry
}

/// Hands a filled record to the reader. `urgent` ones wake it at once.
#[inline(always)]
pub fn submit<T>(entry: RingBufEntry<T>, urgent: bool) {
    let flags = if urgent || (is_time_to_look(size_of::<T>() as u64) && is_filling()) {
        BPF_RB_FORCE_WAKEUP
    } else {
        BPF_RB_NO_WAKEUP
    };
    entry.submit(u64::from(flags));
}

/// Whether so little waits in the ring that what could be done without may be put there too:
/// no record of a call must be lost for it.
#[inline(always)]
pub fn has_room_to_spare() -> bool {
    let waiting = EVENTS.query(u64::from(BPF_RB_AVAIL_DATA));
    waiting < EVENTS.query(u64::from(BPF_RB_RING_SIZE)) / 4
}

/// Counts what this processor writes, and whether that is enough for a look at how much waits:
/// one at each record would cost the traced process more than all else here.
#[inline(always)]
fn is_time_to_look(bytes: u64) -> bool {
    let Some(written) = WRITTEN.get_ptr_mut(0) else {
        return true;
    };
    // SAFETY: the map's value lives as long as the map, and no other processor uses it. Where one
    // program interrupts another, a look comes a little later.
    unsafe {
        *written += bytes;
        let is_time = *written >= look_every();
        if is_time {
            *written = 0;
        }
        is_time
    }
}

/// Whether so much waits that the reader is to be woken.
#[inline(always)]
fn is_filling() -> bool {
    EVENTS.query(u64::from(BPF_RB_AVAIL_DATA)) >= WAKE_AT
}

/// Counts one lost record on this processor.
#[inline(always)]
pub fn count_lost(slot: u32) {
    let slot = if slot < LOSS_SLOTS {
        slot
    } else {
        loss::IN_FLIGHT
    };
    if let Some(count) = LOST.get_ptr_mut(slot) {
        // SAFETY: the map's value lives as long as the map, and no other processor uses it.
        unsafe { *count += 1 };
    }
}
