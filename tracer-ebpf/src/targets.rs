//! The table of targets: by tgid, with a place of its own for most of them.
//!
//! A look into a hash table is a call into the kernel, a look into an array is a few instructions
//! of the program itself. User space gives a process that it adds the place which its tgid leads
//! to, if that is free; all others are in [`TARGETS`], children that were made in sight too. So
//! only user space gives places and takes them back, and no two can be given the same. Kernels that
//! let nobody load from their structures know no places: their verifiers would follow the programs
//! for long, once for each table that a pointer may be from.

use tracer_ebpf::{TARGET_PLACES, Target};

use crate::{
    maps::{OWNERS, TARGETS, TARGETS_PLACED},
    memory::loads_directly,
};

/// What is kept of a target; `None` if the process is none.
///
/// The pointer is good while the program runs: none of the maps is LRU, and user space lets a place
/// rest before it gives it to another.
#[inline(always)]
pub fn find(tgid: u32) -> Option<*mut Target> {
    if owns_its_place(tgid)
        && let Some(target) = TARGETS_PLACED.get_ptr_mut(place(tgid))
    {
        return Some(target);
    }
    TARGETS.get_ptr_mut(tgid)
}

/// Adds one; `false` if there is no room.
#[inline(always)]
pub fn add(tgid: u32, target: &Target) -> bool {
    // An earlier process of this id, the end of which was not seen.
    disown(tgid);
    TARGETS.insert(tgid, target, 0).is_ok()
}

/// It has ended.
#[inline(always)]
pub fn remove(tgid: u32) {
    disown(tgid);
    let _ = TARGETS.remove(tgid);
}

#[inline(always)]
fn disown(tgid: u32) {
    if owns_its_place(tgid)
        && let Some(owner) = OWNERS.get_ptr_mut(place(tgid))
    {
        // SAFETY: the map's value lives as long as the map; volatile because other processors
        // read it. No other process is given it before user space has taken it back.
        unsafe { owner.write_volatile(0) };
    }
}

#[inline(always)]
fn owns_its_place(tgid: u32) -> bool {
    if !loads_directly() {
        return false;
    }
    // SAFETY: the map's value lives as long as the map; volatile because user space writes it.
    OWNERS
        .get_ptr(place(tgid))
        .is_some_and(|owner| unsafe { owner.read_volatile() } == tgid)
}

#[inline(always)]
const fn place(tgid: u32) -> u32 {
    tgid % TARGET_PLACES
}
