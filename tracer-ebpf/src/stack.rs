//! The stack of a caller: registers in, a key out, and once for each key a slice of the stack
//! into the ring. Nothing is unwound here.
//!
//! A slice costs microseconds, so one is sent only for a stack that has not been seen. What
//! tells stacks apart without unwinding them: user space unwinds the first one of a place (an
//! instruction and a stack pointer) and says where on the stack its return addresses are
//! ([`Spot`]); from then on the words at those slots are the key. Data on the stack does not
//! matter then, so a loop has one key. What a key cannot tell apart: stacks of which only
//! return addresses beyond the first [`tracer_ebpf::SPOT_SLOTS`] differ; code at the same
//! addresses that was replaced by other code; and, until the first one of a place was unwound,
//! stacks that are equal in their first [`TOP`] words.

use aya_ebpf::{
    helpers::generated::{bpf_get_smp_processor_id, bpf_ktime_get_ns, bpf_probe_read_user},
    macros::map,
    maps::{LruHashMap, PerCpuArray},
};
use tracer_ebpf::{
    MOST_STACK, NO_STACK_SLOTS, SPOT_SLOTS, SPOT_WINDOW, Spot, SpotKey, StackLimits, StackRecord,
    Target, kind, no_stack, plan,
};

use crate::{
    emit,
    maps::{EVENTS, Plan},
    memory,
    opaque::opaque,
    regs::{self, Registers},
};

/// Words at the top of the stack that tell stacks of a new place apart.
const TOP: usize = 16;
/// The smallest pages there are: what of them is readable is readable as a whole.
const PAGE: u64 = 4096;
/// A word as good as any to begin with; and an odd one that spreads its factor's bits.
const SEED: u64 = 0x243f_6a88_85a3_08d3;
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

// include/uapi/asm-generic/mman-common.h
const MADV_DONTNEED: u64 = 4;
const MADV_FREE: u64 = 8;
const MADV_REMOVE: u64 = 9;
const MADV_DONTNEED_LOCKED: u64 = 24;

/// Places and where their return addresses are. Written by user space.
#[map]
static SPOTS: LruHashMap<SpotKey, Spot> = LruHashMap::with_max_entries(16_384, 0);

/// Keys of stacks that were sent.
#[map]
static STACKS_SENT: LruHashMap<u64, u64> = LruHashMap::with_max_entries(65_536, 0);

/// The top of a stack, while its slots are looked at.
#[map]
static STACK_WINDOW: PerCpuArray<[u64; SPOT_WINDOW]> = PerCpuArray::with_max_entries(1, 0);

/// When the next new stack may be sent if they came at the highest rate all the time.
#[map]
static STACK_BUDGET: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// How much of a stack can be read, on its way from who found out.
#[map]
static STACK_LENGTH: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// Stacks that were not copied, by [`no_stack`].
#[map]
static STACKS_MISSED: PerCpuArray<u64> = PerCpuArray::with_max_entries(NO_STACK_SLOTS, 0);

/// Set by user space before the programs are loaded.
#[unsafe(no_mangle)]
static STACK_LIMITS: StackLimits = StackLimits {
    most: 0,
    threshold: 0,
    rate: 0,
    burst: 0,
};

/// Whether the stack of a call that was left is wanted.
#[inline(always)]
pub fn matters(plan: Plan, regs: &Registers, ret: i64, before: u64) -> bool {
    // Known when the program is loaded: without stacks the kernel leaves all of this out.
    limit(&STACK_LIMITS.most) != 0
        && plan.has(plan::STACK)
        && is_about_enough(plan, regs, ret, before)
}

/// A function of the kernel's too: what it finds out of the arguments on its ways is forgotten
/// behind it, or the verifier would follow the rest of the caller once for each.
#[inline(never)]
fn is_about_enough(plan: Plan, regs: &Registers, ret: i64, before: u64) -> bool {
    if (-4095..0).contains(&ret) {
        return false;
    }
    if plan.has(plan::BRK_BEFORE) {
        return ret as u64 != before;
    }
    let [_, length, third, fourth, ..] = regs.args;
    if plan.has(plan::STACK_BY_FOURTH) {
        return releases(fourth);
    }
    let long = !plan.has(plan::STACK_BY_LENGTH) || length >= limit(&STACK_LIMITS.threshold);
    let released = !plan.has(plan::STACK_BY_ADVICE) || releases(third);
    long && released
}

#[inline(always)]
fn releases(advice: u64) -> bool {
    advice == MADV_DONTNEED
        || advice == MADV_FREE
        || advice == MADV_REMOVE
        || advice == MADV_DONTNEED_LOCKED
}

/// The key of a stack of the running thread, sent if it is new; 0 if it could not be.
///
/// `ip` and `sp` are those of the stack, the other registers are at `saved` in the kernel
/// (`struct pt_regs`). For any program that runs as the thread: at a system call, or at a
/// function of its own.
///
/// A function of the kernel's too, so that the verifier has forgotten all of its ways when it
/// goes on behind it: it would follow the rest of the caller once for each.
#[inline(never)]
pub fn capture(id: u64, target: *mut Target, ip: u64, sp: u64, saved: u64) -> u64 {
    let place = SpotKey {
        tgid: id >> 32,
        // SAFETY: the value lives as long as the program runs (the map is not LRU).
        image: unsafe { (*target).image },
        ip,
        sp,
    };
    let outcome = match key_of(&place) {
        0 => Err(no_stack::UNREADABLE),
        key if STACKS_SENT.get_ptr(key).is_some() => return key,
        key if within_budget() => send(id, &place, key, saved).map(|()| key),
        _ => Err(no_stack::RATE),
    };
    match outcome {
        Ok(key) => {
            let _ = STACKS_SENT.insert(key, 1, 0);
            key
        }
        Err(reason) => {
            if let Some(count) = STACKS_MISSED.get_ptr_mut(reason) {
                // SAFETY: the map's value lives as long as the map, and is this processor's.
                unsafe { *count += 1 };
            }
            0
        }
    }
}

/// 0 if the stack cannot be read. A function of the kernel's too, as its ways are as many as slots.
#[inline(never)]
fn key_of(place: &SpotKey) -> u64 {
    let mut key = mix(SEED, place.tgid | place.image << 32);
    key = mix(key, place.ip);
    key = mix(key, place.sp);
    // A window that another program fills which runs in between gives a key that nothing has.
    let Some(window) = STACK_WINDOW.get_ptr_mut(0) else {
        return 0;
    };
    match SPOTS.get_ptr(place) {
        Some(spot) => {
            // A value that user space replaces meanwhile gives such a key too.
            // SAFETY: the values live as long as the maps do.
            let len = u32::from(unsafe { (*spot).window }).min(SPOT_WINDOW as u32) * 8;
            // SAFETY: the destination is at least that large.
            if unsafe { bpf_probe_read_user(window.cast(), len, place.sp as *const _) } != 0 {
                return 0;
            }
            for index in 0..SPOT_SLOTS {
                // SAFETY: as above, and the index is below the length.
                let slot = usize::from(unsafe { (*spot).slots[index] });
                if slot == 0 {
                    break;
                }
                let word = if slot <= SPOT_WINDOW {
                    // SAFETY: as above.
                    unsafe { (*window)[opaque(slot - 1) & (SPOT_WINDOW - 1)] }
                } else {
                    memory::read_user_u64(place.sp.wrapping_add((slot as u64 - 1) * 8))
                };
                key = mix(key, word);
            }
        }
        None => {
            // SAFETY: the destination is larger; the helper zeroes what it cannot read.
            unsafe { bpf_probe_read_user(window.cast(), (TOP * 8) as u32, place.sp as *const _) };
            for index in 0..TOP {
                // SAFETY: the value lives as long as the map does.
                key = mix(key, unsafe { (*window)[index] });
            }
        }
    }
    key | 1
}

#[inline(always)]
const fn mix(key: u64, word: u64) -> u64 {
    let product = (key ^ word).wrapping_mul(SPREAD);
    product ^ product >> 32
}

/// Whether one more new stack is within the rate: one that comes early takes from the burst.
#[inline(always)]
fn within_budget() -> bool {
    const SECOND: u64 = 1_000_000_000;
    let Some(next) = STACK_BUDGET.get_ptr_mut(0) else {
        return false;
    };
    let each = SECOND / (limit(&STACK_LIMITS.rate) | 1);
    // SAFETY: the helper takes nothing; the value is this processor's.
    unsafe {
        let now = bpf_ktime_get_ns();
        let earliest = now.saturating_sub(each * limit(&STACK_LIMITS.burst));
        let due = if *next > earliest { *next } else { earliest };
        if due > now {
            return false;
        }
        *next = due + each;
    }
    true
}

/// Sends what of the stack can be read, in the smallest room that it fits.
#[inline(always)]
fn send(id: u64, place: &SpotKey, key: u64, saved: u64) -> Result<(), u32> {
    if !emit::has_room_to_spare() {
        return Err(no_stack::RING);
    }
    let Some(found) = STACK_LENGTH.get_ptr_mut(0) else {
        return Err(no_stack::UNREADABLE);
    };
    readable(place.sp, found);
    // SAFETY: the map's value lives as long as the map. If another program wrote there in between,
    // the slice is longer or shorter than it could be.
    let len = unsafe { core::ptr::read_volatile(found) };
    if len == 0 {
        return Err(no_stack::UNREADABLE);
    }
    if len <= 2 << 10 {
        slice::<{ 2 << 10 }>(id, place, key, saved, len)
    } else if len <= 4 << 10 {
        slice::<{ 4 << 10 }>(id, place, key, saved, len)
    } else if len <= 8 << 10 {
        slice::<{ 8 << 10 }>(id, place, key, saved, len)
    } else if len <= 16 << 10 {
        slice::<{ 16 << 10 }>(id, place, key, saved, len)
    } else {
        slice::<MOST_STACK>(id, place, key, saved, len)
    }
}

/// Bytes from the stack pointer on that are in memory, as far as they are wanted. Told in a map's
/// value: of what comes from there the verifier knows nothing, so it goes on once, and not once for
/// each number of pages.
#[inline(never)]
fn readable(sp: u64, found: *mut u64) {
    let most = limit(&STACK_LIMITS.most);
    let first = PAGE - (sp & (PAGE - 1));
    let mut len = 0;
    let mut probe = sp;
    for page in 0..=(MOST_STACK as u64 / PAGE) {
        let mut byte = 0u8;
        // SAFETY: the destination is a local of the size given.
        let failed = unsafe { bpf_probe_read_user((&raw mut byte).cast(), 1, probe as *const _) };
        if failed != 0 || len >= most {
            break;
        }
        len = first + page * PAGE;
        probe = sp + len;
    }
    // SAFETY: the caller's pointer is to a map's value.
    unsafe { core::ptr::write_volatile(found, if len < most { len } else { most }) };
}

/// A slice with room for `ROOM` bytes, a power of two.
#[repr(C)]
struct Slice<const ROOM: usize> {
    record: StackRecord,
    bytes: [u8; ROOM],
}

#[inline(always)]
fn slice<const ROOM: usize>(
    id: u64,
    place: &SpotKey,
    key: u64,
    saved: u64,
    len: u64,
) -> Result<(), u32> {
    let Some(mut entry) = EVENTS.reserve::<Slice<ROOM>>(0) else {
        return Err(no_stack::RING);
    };
    let slice = entry.as_mut_ptr();
    // SAFETY: the entry is ours until it is submitted or discarded; every field is written, and
    // the bytes behind `len` are never looked at.
    let failed = unsafe {
        let record = &raw mut (*slice).record;
        (*record).kind = kind::STACK;
        (*record).cpu = bpf_get_smp_processor_id();
        (*record).tgid = (id >> 32) as u32;
        (*record).tid = id as u32;
        (*record).key = key;
        (*record).image = place.image;
        (*record).ip = place.ip;
        (*record).sp = place.sp;
        (*record).registers = regs::kept_by_callees(saved);
        (*record).len = len;
        // It is from 1 to `ROOM`, which the verifier has forgotten, and forgets again of a copy that
        // waits on the stack: so here. A comparison would be two ways to follow.
        let len = (opaque(len as usize - 1) & (ROOM - 1)) + 1;
        bpf_probe_read_user(
            (&raw mut (*slice).bytes).cast(),
            len as u32,
            place.sp as *const _,
        )
    };
    if failed != 0 {
        entry.discard(0);
        return Err(no_stack::UNREADABLE);
    }
    // The sooner it is unwound, the sooner stacks of its place are told apart by it.
    emit::submit(entry, true);
    Ok(())
}

/// One field of [`STACK_LIMITS`], as the loader left it.
#[inline(always)]
fn limit(value: &'static u64) -> u64 {
    // SAFETY: a reference is readable; volatile because the loader replaces the value after
    // the compiler has seen the zeros above.
    unsafe { core::ptr::read_volatile(value) }
}
