//! The kernel side: system calls in, records out.
//!
//! One file per subject: [`hook`] and [`trampoline`] are where system calls come in, [`call`] follows them from
//! entry to exit, which [`in_flight`] keeps meanwhile, and [`record`] writes them down, [`task`] follows processes, and [`targets`] knows which; [`regs`],
//! [`memory`] and [`file`] read what the kernel knows; [`stack`] copies callers' stacks; [`emit`] is the
//! one writer of the ring and counts what it loses, [`maps`] holds what they share. [`count`] stands apart: it counts
//! the calls of every process, where nobody is traced. [`opaque`] hides values from the compiler
//! where the verifier needs to see what is done with them, [`cast`] tells it the types of others. [`allocator`] is the heap view, a family
//! of its own: its programs are loaded only if it is asked for, and add up in [`allocator_maps`]
//! what others write into the ring.
#![cfg_attr(target_arch = "bpf", no_std, no_main, feature(asm_experimental_arch))]

#[cfg(target_arch = "bpf")]
mod allocator;
#[cfg(target_arch = "bpf")]
mod allocator_maps;
#[cfg(target_arch = "bpf")]
mod call;
#[cfg(target_arch = "bpf")]
mod cast;
#[cfg(target_arch = "bpf")]
mod count;
#[cfg(target_arch = "bpf")]
mod emit;
#[cfg(target_arch = "bpf")]
mod file;
#[cfg(target_arch = "bpf")]
mod hook;
#[cfg(target_arch = "bpf")]
mod in_flight;
#[cfg(target_arch = "bpf")]
mod kinds;
#[cfg(target_arch = "bpf")]
mod maps;
#[cfg(target_arch = "bpf")]
mod memory;
#[cfg(target_arch = "bpf")]
mod opaque;
#[cfg(target_arch = "bpf")]
mod record;
#[cfg(target_arch = "bpf")]
mod regs;
#[cfg(target_arch = "bpf")]
mod stack;
#[cfg(target_arch = "bpf")]
mod targets;
#[cfg(target_arch = "bpf")]
mod task;
#[cfg(target_arch = "bpf")]
mod trampoline;

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}

/// The kernel loads only programs that say they are GPL compatible into tracing hooks.
#[cfg(target_arch = "bpf")]
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[cfg(not(target_arch = "bpf"))]
fn main() {
    eprintln!("this program runs in the kernel: build it for bpfel-unknown-none");
}
