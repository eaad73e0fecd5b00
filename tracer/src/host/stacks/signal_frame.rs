//! Frames that the kernel makes for a signal: the code behind a handler and the stack there in,
//! what the signal interrupted out.
//!
//! Unwind tables tell it with expressions that read memory, which framehop does not evaluate, and
//! on aarch64 not at all: what is saved is the kernel's, at places that are a part of its ABI.

use framehop::UnwindRegsNative;

use crate::units::Addr;

/// The longest code that a handler returns to, bytes.
pub const LONGEST: usize = 9;

/// What a signal interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupted {
    /// The instruction that comes next there.
    pub ip: Addr,
    /// Where on the stack that is kept.
    pub slot: Addr,
}

/// `mov $15, %rax; syscall`, as C libraries have it, or `mov $15, %eax; syscall`.
#[cfg(target_arch = "x86_64")]
const RETURNS: [&[u8]; 2] = [
    &[0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05],
    &[0xb8, 0x0f, 0, 0, 0, 0x0f, 0x05],
];
/// `mov x8, #139; svc #0`, as the kernel's own code has it.
#[cfg(target_arch = "aarch64")]
const RETURNS: [&[u8]; 1] = [&[0x68, 0x11, 0x80, 0xd2, 0x01, 0, 0, 0xd4]];

/// Whether code is what a handler returns to: nothing but the call `rt_sigreturn`.
pub fn is_return(code: &[u8]) -> bool {
    RETURNS.iter().any(|returns| code.starts_with(returns))
}

/// What was interrupted, by the stack where a handler returned; `registers` become those that it
/// had.
pub fn interrupted(
    word: impl Fn(Addr) -> Option<u64>,
    registers: &mut UnwindRegsNative,
) -> Option<Interrupted> {
    let sp = registers.sp();
    let at = |offset: u64| sp.checked_add(offset).map(Addr);
    let saved = |offset: u64| word(at(offset)?);
    let slot = at(place::IP)?;
    let ip = Addr(word(slot)?);
    let (frame, stack) = (saved(place::FRAME)?, saved(place::STACK)?);
    #[cfg(target_arch = "x86_64")]
    {
        registers.set_ip(ip.0);
        registers.set_bp(frame);
    }
    #[cfg(target_arch = "aarch64")]
    {
        registers.set_lr(saved(place::LINK)?);
        registers.set_fp(frame);
    }
    registers.set_sp(stack);
    Some(Interrupted { ip, slot })
}

/// Where registers are kept, from the stack pointer on: the general registers of a `ucontext`,
/// with which the kernel's `struct rt_sigframe` begins once the handler has returned.
#[cfg(target_arch = "x86_64")]
mod place {
    /// `uc_flags`, `uc_link`, `uc_stack`.
    const REGISTERS: u64 = 40;
    pub const FRAME: u64 = REGISTERS + 10 * 8;
    pub const STACK: u64 = REGISTERS + 15 * 8;
    pub const IP: u64 = REGISTERS + 16 * 8;
}

/// The same, behind a `siginfo`, and with the mask of signals before it.
#[cfg(target_arch = "aarch64")]
mod place {
    const INFO: u64 = 128;
    /// `uc_flags`, `uc_link`, `uc_stack`, 1,024 signals, room for alignment, `fault_address`.
    const REGISTERS: u64 = INFO + 40 + 128 + 8 + 8;
    pub const FRAME: u64 = REGISTERS + 29 * 8;
    pub const LINK: u64 = REGISTERS + 30 * 8;
    pub const STACK: u64 = REGISTERS + 31 * 8;
    pub const IP: u64 = REGISTERS + 32 * 8;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_return_of_a_signal_is_one() {
        for returns in RETURNS {
            assert!(returns.len() <= LONGEST);
            assert!(is_return(&[returns, &[0; 2]].concat()));
            assert!(!is_return(returns.get(1..).unwrap_or_default()));
        }
        assert!(!is_return(&[]));
    }

    /// Against the definitions of the C library.
    #[test]
    #[cfg(target_arch = "x86_64")]
    fn registers_are_where_the_c_library_has_them() {
        use std::mem::{offset_of, size_of};
        let registers =
            offset_of!(libc::ucontext_t, uc_mcontext) + offset_of!(libc::mcontext_t, gregs);
        let place = |register: libc::c_int| {
            let index = usize::try_from(register).expect("an index");
            (registers + index * size_of::<libc::greg_t>()) as u64
        };
        assert_eq!(place::FRAME, place(libc::REG_RBP));
        assert_eq!(place::STACK, place(libc::REG_RSP));
        assert_eq!(place::IP, place(libc::REG_RIP));
    }

    /// Against the definitions of the C library.
    #[test]
    #[cfg(target_arch = "aarch64")]
    fn registers_are_where_the_c_library_has_them() {
        use std::mem::{offset_of, size_of};
        let context =
            (size_of::<libc::siginfo_t>() + offset_of!(libc::ucontext_t, uc_mcontext)) as u64;
        let registers = context + offset_of!(libc::mcontext_t, regs) as u64;
        assert_eq!(place::FRAME, registers + 29 * 8);
        assert_eq!(place::LINK, registers + 30 * 8);
        assert_eq!(
            place::STACK,
            context + offset_of!(libc::mcontext_t, sp) as u64
        );
        assert_eq!(place::IP, context + offset_of!(libc::mcontext_t, pc) as u64);
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn what_is_not_on_the_slice_is_not_made_up() {
        let mut registers = UnwindRegsNative::new(1, 0x1000, 2);
        let all = |addr: Addr| Some(addr.0 - 0x1000);
        let found = interrupted(all, &mut registers).expect("it is all there");
        assert_eq!((found.ip, found.slot), (Addr(168), Addr(0x10a8)));
        assert_eq!(
            (registers.ip(), registers.sp(), registers.bp()),
            (168, 160, 120)
        );

        let mut registers = UnwindRegsNative::new(1, 0x1000, 2);
        let cut = |addr: Addr| (addr.0 < 0x1000 + place::IP).then_some(7);
        assert_eq!(interrupted(cut, &mut registers), None);
        assert_eq!(
            (registers.ip(), registers.sp(), registers.bp()),
            (1, 0x1000, 2)
        );
        let mut registers = UnwindRegsNative::new(1, u64::MAX, 2);
        assert_eq!(interrupted(|_| Some(7), &mut registers), None);
    }
}
