//! An address of the kernel, given the type of what lies there, so that it can be loaded from. The
//! verifier makes one move of a register of it, where a helper that finds the same costs a call.

use tracer_ebpf::CAST_CALL;

use crate::memory::{LAYOUT, field};

/// Whether this kernel does so. The verifier sees it as constant.
#[inline(always)]
pub fn can_cast() -> bool {
    field(&LAYOUT.cast) != 0
}

/// A pointer to the registers that lie at an address. A load from it that faults is a zero.
#[inline(always)]
pub fn registers_at(address: u64) -> u64 {
    let pointer;
    // SAFETY: the instruction stands for `bpf_rdonly_cast(address, type)`, which reads and writes
    // no memory; calls leave nothing in the registers of arguments.
    unsafe {
        core::arch::asm!(
            ".8byte {call}",
            call = const CAST_CALL,
            inout("r1") address => _,
            inout("r2") u64::from(field(&LAYOUT.registers)) => _,
            lateout("r0") pointer,
            lateout("r3") _,
            lateout("r4") _,
            lateout("r5") _,
            options(nomem, nostack, preserves_flags),
        );
    }
    pointer
}
