//! The workload where "system" is hardened_malloc, which takes malloc's place in the whole program.
#![expect(unsafe_code, reason = "asks hardened_malloc for its figures")]

use std::process::ExitCode;

use hardened_malloc_sys as _;
use workload::Malloc;

static HARDENED: Malloc = Malloc {
    name: "hardened_malloc",
    figures,
};

fn main() -> ExitCode {
    workload::run_on(&HARDENED)
}

/// It keeps them only if it was built to (`CONFIG_STATS`, in `.cargo/config.toml`).
fn figures(tell: &mut dyn FnMut(&'static str, usize)) {
    // SAFETY: may be called at any time.
    let info = unsafe { libc::mallinfo2() };
    tell("accessible", info.hblkhd);
    tell("allocated", info.uordblks);
}
