//! Values of which the compiler knows nothing, so that what it would leave out is there for the
//! verifier to see.

/// The same value. A mask behind it stays, although the compiler could have known that it changes
/// nothing: the verifier does not see by itself what was found out of a copy of the value, nor, on
/// Linux 5.10, that what is not 0 is at least 1.
#[inline(always)]
pub fn opaque(value: usize) -> usize {
    let mut value = value;
    // SAFETY: it writes the register its own value.
    unsafe { core::arch::asm!("{0} = {0}", inout(reg) value, options(pure, nomem, nostack)) };
    value
}
