//! From frame to frame: a slice of a stack and the code of its process in, return addresses
//! out, and where on the stack they were.

use framehop::{
    CacheNative, FrameAddress, MayAllocateDuringUnwind, UnwindRegsNative, Unwinder as _,
};
use smallvec::SmallVec;

use super::{FoundBy, StackEnd, code::Code, signal_frame};
use crate::{event::StackSlice, units::Addr};

/// Frames kept of one stack.
const MOST_FRAMES: usize = 192;
/// Words that are looked at for the next return address where nothing else tells.
const MOST_SCANNED: u64 = 256;
/// How often that is done in one stack.
const MOST_SCANS: usize = 4;

/// What came of it.
pub struct Walk {
    /// Innermost first: an address within the instruction that each executes.
    pub frames: Vec<(Addr, FoundBy)>,
    /// Where on the stack return addresses were: words from its pointer, plus one.
    pub slots: Vec<u16>,
    /// Where it ends.
    pub end: StackEnd,
    /// Whether something that should be code is not known to be.
    pub met_unknown: bool,
}

/// Walks a stack.
pub fn walk(
    code: &Code,
    cache: &mut CacheNative<MayAllocateDuringUnwind>,
    slice: &StackSlice,
) -> Walk {
    let mut walk = Walk {
        frames: vec![(slice.ip, FoundBy::Registers)],
        slots: Vec::new(),
        end: StackEnd::Limit,
        met_unknown: !code.contains(slice.ip),
    };
    let mut registers = first_registers(slice, code);
    let mut address = FrameAddress::from_instruction_pointer(slice.ip.0);
    let mut scans = 0;
    while walk.frames.len() < MOST_FRAMES {
        if code.is_signal_return(Addr(address.address()))
            && let Some(found) = signal_frame::interrupted(|at| slice.word(at), &mut registers)
        {
            // The kernel set this return address: no call comes before it.
            if let Some((returns, _)) = walk.frames.last_mut() {
                *returns = Addr(address.address());
            }
            walk.slots.extend(slot_of(found.slot, slice));
            walk.frames.push((found.ip, FoundBy::Registers));
            walk.met_unknown |= !code.contains(found.ip);
            address = FrameAddress::from_instruction_pointer(found.ip.0);
            continue;
        }
        let before = registers;
        let by = if code.has_tables(Addr(address.address_for_lookup())) {
            FoundBy::Tables
        } else {
            FoundBy::FramePointer
        };
        let mut read = SmallVec::<[(Addr, u64); 4]>::new();
        let (mut beyond, mut outermost) = (false, false);
        let mut look = |addr| {
            let word = slice.word(Addr(addr));
            // A frame pointer of 0 marks the outermost frame (System V ABI), and start-up code
            // has no tables.
            outermost |= addr < 16;
            beyond |= word.is_none() && addr >= slice.sp.0;
            read.extend(word.map(|word| (Addr(addr), word)));
            word.ok_or(())
        };
        let stepped = code
            .unwinder()
            .unwind_frame(address, &mut registers, cache, &mut look);
        let is_outermost = match stepped {
            Ok(found) => found.is_none(),
            Err(_) => outermost,
        };
        // Not where execution was: a function that no table covers may have had anything in that
        // register, and zeros on top of the stack.
        if is_outermost && address.is_return_address() {
            walk.end = StackEnd::Root;
            return walk;
        }
        let found = stepped.ok().flatten();
        let found = found.and_then(|found| FrameAddress::from_return_address(strip(found, code)));
        if let Some(next) = found
            && code.contains(Addr(next.address_for_lookup()))
        {
            let slot = read
                .iter()
                .rev()
                .find(|(_, word)| strip(*word, code) == next.address());
            walk.slots
                .extend(slot.and_then(|(addr, _)| slot_of(*addr, slice)));
            walk.frames.push((Addr(next.address_for_lookup()), by));
            address = next;
            continue;
        }
        if code.is_entry(Addr(address.address_for_lookup())) {
            walk.end = StackEnd::Root;
            return walk;
        }
        walk.met_unknown |= found.is_some();
        registers = before;
        scans += 1;
        let sp = Addr(registers.sp());
        let guess = (scans <= MOST_SCANS)
            .then(|| scan(code, slice, sp))
            .flatten();
        let Some((slot, word)) = guess else {
            walk.end = if beyond {
                StackEnd::Slice
            } else {
                StackEnd::Lost
            };
            return walk;
        };
        walk.slots.extend(slot_of(slot, slice));
        let Some(next) = FrameAddress::from_return_address(word.0) else {
            return walk;
        };
        walk.frames
            .push((Addr(next.address_for_lookup()), FoundBy::Scan));
        registers.set_sp(slot.0 + 8);
        address = next;
    }
    walk
}

/// The next word from an address on that looks like a return address.
fn scan(code: &Code, slice: &StackSlice, from: Addr) -> Option<(Addr, Addr)> {
    (0..MOST_SCANNED).find_map(|index| {
        let slot = Addr(from.0.checked_add(index * 8)?);
        let word = Addr(strip(slice.word(slot)?, code));
        code.follows_call(word).then_some((slot, word))
    })
}

fn slot_of(addr: Addr, slice: &StackSlice) -> Option<u16> {
    let words = addr.0.checked_sub(slice.sp.0)? / 8;
    u16::try_from(words + 1).ok()
}

#[cfg(target_arch = "x86_64")]
fn first_registers(slice: &StackSlice, _code: &Code) -> UnwindRegsNative {
    UnwindRegsNative::new(slice.ip.0, slice.sp.0, slice.registers[0])
}

#[cfg(target_arch = "aarch64")]
fn first_registers(slice: &StackSlice, code: &Code) -> UnwindRegsNative {
    let mask = framehop::aarch64::PtrAuthMask(mask(code));
    let [fp, lr, ..] = slice.registers;
    UnwindRegsNative::new_with_ptr_auth_mask(mask, lr, slice.sp.0, fp)
}

#[cfg(target_arch = "x86_64")]
const fn strip(address: u64, _code: &Code) -> u64 {
    address
}

/// Without the signature that the processor may have put into the upper bits.
#[cfg(target_arch = "aarch64")]
fn strip(address: u64, code: &Code) -> u64 {
    address & mask(code)
}

#[cfg(target_arch = "aarch64")]
fn mask(code: &Code) -> u64 {
    u64::MAX >> code.unwinder().max_known_code_address().leading_zeros()
}
