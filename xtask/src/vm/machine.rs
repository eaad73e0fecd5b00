//! An emulated machine: a kernel and an initramfs in, what its console said out.
//!
//! Emulation, not virtualisation: it works wherever the tests run, also inside a virtual machine.
//! What QEMU's exit status says is of no interest; the console tells how it went.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::arch::Arch;
use super::emulator::Emulator;
use super::kernels::Kernel;
use crate::exec;

/// Enough for three processes that each touch 256 MiB, and for the initramfs.
const MEMORY_MIB: u32 = 2048;
const PROCESSORS: u32 = 2;

/// How a run of a machine ended, as seen from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It switched itself off, or crashed.
    Off,
    /// It was switched off because its time was over.
    TimedOut,
}

/// A run that is over.
#[derive(Debug)]
pub struct Run {
    /// All of the console.
    pub console: String,
    /// How it ended.
    pub ending: Ending,
    /// How long it took.
    pub took: Duration,
}

/// Boots a guest (its kind, its kernel, its initramfs) and waits until the machine is off; the console is in `log` all the while.
pub fn run(
    emulator: &Emulator,
    guest: (Arch, &Kernel, &Path),
    log: &Path,
    limit: Duration,
) -> Result<Run> {
    let started = Instant::now();
    let mut command = emulator.command();
    describe(guest, &mut command);
    let ended = exec::logged_for(&mut command, log, limit)?;
    let took = started.elapsed();
    let bytes = fs::read(log).with_context(|| format!("cannot read {}", log.display()))?;
    Ok(Run {
        console: String::from_utf8_lossy(&bytes).replace('\r', ""),
        ending: ended.map_or(Ending::TimedOut, |_| Ending::Off),
        took,
    })
}

/// What the machine consists of, and what it boots.
fn describe((arch, kernel, image): (Arch, &Kernel, &Path), command: &mut Command) {
    let (machine, processor, console) = match arch {
        Arch::Amd64 => ("q35,hpet=off", "qemu64", "ttyS0"),
        Arch::Arm64 => ("virt,gic-version=3", "cortex-a72", "ttyAMA0"),
    };
    let line = format!(
        "console={console} no_timer_check mitigations=off panic=-1 oops=panic loglevel=4 rdinit=/init"
    );
    command
        .args(["-machine", machine, "-cpu", processor])
        // With threads of their own, processors race in the emulator itself when a kernel patches
        // its code, and boots crash.
        .args(["-accel", "tcg,thread=single"])
        .args(["-smp", &PROCESSORS.to_string()])
        .args(["-m", &MEMORY_MIB.to_string()])
        .args(["-nodefaults", "-no-user-config", "-no-reboot"])
        .args(["-display", "none", "-serial", "stdio"])
        .arg("-kernel")
        .arg(&kernel.image)
        .arg("-initrd")
        .arg(image)
        .args(["-append", &line]);
}
