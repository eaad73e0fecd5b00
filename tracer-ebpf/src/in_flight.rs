//! The call that each thread of a target has under way, kept from its entry to its exit.
//!
//! That of a process' first thread is with its [`Target`]. Of the others each takes, at its first
//! call, the place which its id leads to, if nobody has that; then it needs no look into the hash
//! table [`IN_FLIGHT`], which is a call into the kernel. [`CLAIMED`] makes sure that no two take the
//! same: of those that insert what is not there, one succeeds. Not so on kernels that let nobody load
//! from their structures; see [`crate::targets`].

use aya_ebpf::bindings::BPF_NOEXIST;
use tracer_ebpf::{InFlight, THREAD_PLACES, Target};

use crate::{
    maps::{CLAIMED, IN_FLIGHT, THREADS, THREADS_PLACED},
    memory::loads_directly,
};

/// Where the call is kept that a thread of a target has under way; `None` before its first.
#[inline(always)]
pub fn slot_of(id: u64, target: *mut Target) -> Option<*mut InFlight> {
    if is_first(id) {
        // SAFETY: the value lives as long as the program runs (`targets::find`).
        return Some(unsafe { &raw mut (*target).first });
    }
    if owns_its_place(id)
        && let Some(slot) = THREADS_PLACED.get_ptr_mut(place(id))
    {
        return Some(slot);
    }
    IN_FLIGHT.get_ptr_mut(id)
}

/// Keeps the first call of a thread; `false` if there is no room.
#[inline(always)]
pub fn begin(id: u64, call: &InFlight) -> bool {
    let place = place(id);
    if loads_directly()
        && CLAIMED.insert(place, 1, u64::from(BPF_NOEXIST)).is_ok()
        && let (Some(slot), Some(owner)) = (
            THREADS_PLACED.get_ptr_mut(place),
            THREADS.get_ptr_mut(place),
        )
    {
        // SAFETY: the maps' values live as long as the maps. Nobody else writes them: the place
        // has been claimed, and only its thread, which runs this, looks for it.
        unsafe {
            slot.write(*call);
            owner.write_volatile(id);
        }
        return true;
    }
    IN_FLIGHT.insert(id, call, 0).is_ok()
}

/// The thread is no more, whether its process is a target still or not.
#[inline(always)]
pub fn forget(id: u64) {
    if is_first(id) {
        return;
    }
    if owns_its_place(id) {
        if let Some(owner) = THREADS.get_ptr_mut(place(id)) {
            // SAFETY: as above.
            unsafe { owner.write_volatile(0) };
        }
        // After it is nobody's, so that this does not undo what the next one does.
        let _ = CLAIMED.remove(place(id));
    } else {
        let _ = IN_FLIGHT.remove(id);
    }
}

#[inline(always)]
fn owns_its_place(id: u64) -> bool {
    if !loads_directly() {
        return false;
    }
    let owner = THREADS.get_ptr(place(id));
    // SAFETY: the map's value lives as long as the map; volatile because other processors write it.
    owner.is_some_and(|owner| unsafe { owner.read_volatile() } == id)
}

/// Whether a thread is the first of its process.
#[inline(always)]
const fn is_first(id: u64) -> bool {
    (id >> 32) as u32 == id as u32
}

#[inline(always)]
const fn place(id: u64) -> u32 {
    id as u32 % THREAD_PLACES
}
