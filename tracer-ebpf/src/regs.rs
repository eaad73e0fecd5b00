//! The registers a thread entered the kernel with, as a system call saved them.

use aya_ebpf::helpers::generated::{bpf_probe_read_kernel, bpf_task_pt_regs};
use tracer_ebpf::STACK_REGISTERS;

use crate::{
    cast::{can_cast, registers_at},
    memory::{Running, load, loads_directly},
};

/// What a call was made with.
pub struct Registers {
    /// Its arguments; those it does not take are garbage.
    pub args: [u64; 6],
    /// Its number, in the table that the thread's mode chose.
    pub nr: u64,
    /// The instruction behind it.
    pub ip: u64,
    /// The stack pointer.
    pub sp: u64,
    /// Whether the thread runs 32-bit code, whose calls have other numbers.
    pub is_32_bit: bool,
}

/// Where a call saved the registers.
#[derive(Clone, Copy)]
pub struct Saved(u64);

impl Saved {
    /// Those of the running task, which its hook was given at an address in the kernel.
    #[inline(always)]
    pub fn at(address: u64) -> Self {
        if !loads_directly() {
            return Self(address);
        }
        if can_cast() {
            return Self(registers_at(address));
        }
        // SAFETY: the helper takes a task and cannot fail.
        Self(unsafe { bpf_task_pt_regs(Running::task().pointer() as *mut _) } as u64)
    }

    /// Their address in the kernel.
    #[inline(always)]
    pub const fn address(self) -> u64 {
        self.0
    }

    /// The number of the call, where that alone costs little to know.
    #[inline(always)]
    pub fn nr(self) -> Option<u64> {
        loads_directly().then(|| Registers::loaded_nr(self.0))
    }

    /// The number of the call, whatever that costs.
    #[inline(always)]
    pub fn number(self) -> u64 {
        match self.nr() {
            Some(nr) => nr,
            None => Registers::copied_nr(self.0),
        }
    }

    /// All that is of interest.
    #[inline(always)]
    pub fn read(self) -> Registers {
        if loads_directly() {
            Registers::loaded(self.0)
        } else {
            Registers::copied(self.0)
        }
    }
}

/// `struct pt_regs` of `arch/x86/include/asm/ptrace.h`.
#[cfg(bpf_target_arch = "x86_64")]
impl Registers {
    /// `__USER32_CS`.
    const CODE_32_BIT: u16 = 0x23;

    #[inline(always)]
    fn loaded_nr(regs: u64) -> u64 {
        load(regs, 15 * 8)
    }

    #[inline(always)]
    fn loaded(regs: u64) -> Self {
        let word = |index: u32| load::<u64>(regs, index * 8);
        Self {
            args: [word(14), word(13), word(12), word(7), word(9), word(8)],
            nr: Self::loaded_nr(regs),
            ip: word(16),
            sp: word(19),
            is_32_bit: load::<u16>(regs, 17 * 8) == Self::CODE_32_BIT,
        }
    }

    #[inline(always)]
    fn copied_nr(address: u64) -> u64 {
        let [nr]: [u64; 1] = copy(address + 15 * 8);
        nr
    }

    #[inline(always)]
    fn copied(address: u64) -> Self {
        /// `pt_regs.r10`, the first of those wanted.
        const FIRST: u64 = 7 * 8;
        let words: [u64; 13] = copy(address + FIRST);
        let [r10, r9, r8, _, _, rdx, rsi, rdi, nr, ip, cs, _, sp] = words;
        Self {
            args: [rdi, rsi, rdx, r10, r8, r9],
            nr,
            ip,
            sp,
            is_32_bit: cs as u16 == Self::CODE_32_BIT,
        }
    }
}

/// `struct pt_regs` of `arch/arm64/include/asm/ptrace.h`.
#[cfg(bpf_target_arch = "aarch64")]
impl Registers {
    /// `pt_regs.sp`, behind the 31 general registers.
    const SP: u32 = 31 * 8;
    /// `PSR_MODE32_BIT`.
    const MODE_32_BIT: u64 = 0x10;

    #[inline(always)]
    fn loaded_nr(regs: u64) -> u64 {
        u64::from(load::<u32>(regs, Self::SP + 32))
    }

    #[inline(always)]
    fn loaded(regs: u64) -> Self {
        let word = |offset: u32| load::<u64>(regs, offset);
        // `sp`, `pc`, `pstate`, `orig_x0`, `syscallno`: x0 has the result by the time the call
        // is left.
        Self {
            args: [
                word(Self::SP + 24),
                word(8),
                word(16),
                word(24),
                word(32),
                word(40),
            ],
            nr: Self::loaded_nr(regs),
            ip: word(Self::SP + 8),
            sp: word(Self::SP),
            is_32_bit: word(Self::SP + 16) & Self::MODE_32_BIT != 0,
        }
    }

    #[inline(always)]
    fn copied_nr(address: u64) -> u64 {
        let [nr]: [u64; 1] = copy(address + u64::from(Self::SP) + 32);
        nr & 0xffff_ffff
    }

    #[inline(always)]
    fn copied(address: u64) -> Self {
        let [_, x1, x2, x3, x4, x5]: [u64; 6] = copy(address);
        let [sp, ip, pstate, x0, nr]: [u64; 5] = copy(address + u64::from(Self::SP));
        Self {
            args: [x0, x1, x2, x3, x4, x5],
            nr: nr & 0xffff_ffff,
            ip,
            sp,
            is_32_bit: pstate & Self::MODE_32_BIT != 0,
        }
    }
}

/// The registers that a callee leaves as they were, in the order of
/// [`tracer_ebpf::StackRecord::registers`]: of a `struct pt_regs` at an address in the kernel.
#[cfg(bpf_target_arch = "x86_64")]
#[inline(always)]
pub fn kept_by_callees(address: u64) -> [u64; STACK_REGISTERS] {
    let [r15, r14, r13, r12, rbp, rbx]: [u64; 6] = copy(address);
    [rbp, rbx, r12, r13, r14, r15, 0, 0, 0, 0, 0, 0]
}

/// The same.
#[cfg(bpf_target_arch = "aarch64")]
#[inline(always)]
pub fn kept_by_callees(address: u64) -> [u64; STACK_REGISTERS] {
    /// `pt_regs.regs[19]`.
    const FIRST: u64 = 19 * 8;
    let [x19, x20, x21, x22, x23, x24, x25, x26, x27, x28, x29, x30]: [u64; STACK_REGISTERS] =
        copy(address + FIRST);
    [x29, x30, x19, x20, x21, x22, x23, x24, x25, x26, x27, x28]
}

#[inline(always)]
fn copy<const WORDS: usize>(address: u64) -> [u64; WORDS] {
    let mut words = [0u64; WORDS];
    // SAFETY: the destination is a local of the size given; the helper zeroes it where the
    // source cannot be read.
    unsafe {
        bpf_probe_read_kernel(
            words.as_mut_ptr().cast(),
            (WORDS * size_of::<u64>()) as u32,
            address as *const _,
        )
    };
    words
}
