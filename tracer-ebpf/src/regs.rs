//! The registers a thread entered the kernel with, as a system call saved them.

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;

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

impl Registers {
    /// Reads `struct pt_regs` at an address in the kernel (`arch/x86/include/asm/ptrace.h`).
    #[cfg(bpf_target_arch = "x86_64")]
    #[inline(always)]
    pub fn read(address: u64) -> Self {
        /// `pt_regs.r10`, the first of those wanted.
        const FIRST: u64 = 7 * 8;
        /// `__USER32_CS`.
        const CODE_32_BIT: u64 = 0x23;
        let words: [u64; 13] = copy(address + FIRST);
        let [r10, r9, r8, _, _, rdx, rsi, rdi, nr, ip, cs, _, sp] = words;
        Self {
            args: [rdi, rsi, rdx, r10, r8, r9],
            nr,
            ip,
            sp,
            is_32_bit: cs & 0xffff == CODE_32_BIT,
        }
    }

    /// Reads `struct pt_regs` at an address in the kernel (`arch/arm64/include/asm/ptrace.h`).
    #[cfg(bpf_target_arch = "aarch64")]
    #[inline(always)]
    pub fn read(address: u64) -> Self {
        /// `pt_regs.sp`, behind the 31 general registers.
        const SP: u64 = 31 * 8;
        /// `PSR_MODE32_BIT`.
        const MODE_32_BIT: u64 = 0x10;
        let [_, x1, x2, x3, x4, x5]: [u64; 6] = copy(address);
        // x0 has the result by the time the call is left.
        let [sp, ip, pstate, x0, nr]: [u64; 5] = copy(address + SP);
        Self {
            args: [x0, x1, x2, x3, x4, x5],
            nr: nr & 0xffff_ffff,
            ip,
            sp,
            is_32_bit: pstate & MODE_32_BIT != 0,
        }
    }
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
