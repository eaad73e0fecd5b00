//! Runs one allocation scenario and prints VmSize and VmRSS after every step.
//!
//! An independent witness for tools that watch the memory of a process: it
//! shares no code with them, and reads its own figures from
//! `/proc/self/status`.
//!
//! What runs while a scenario runs disturbs it as little as possible:
//!
//! * Memory under test comes from the allocator chosen on the command line and
//!   so does the table of pointers to many small blocks, as in a C program.
//! * Lines are formatted into fixed buffers and written with one write(2) each.
//! * Everything else that allocates (arguments, files, Rust's own start-up)
//!   uses the C library and is done before the first line.
//!
//! All allocators are linked in. jemalloc and mimalloc initialise themselves
//! before `main` whichever one is chosen, so every run starts with their first
//! mappings (8 MiB and 2.25 MiB); snmalloc and rpmalloc do so when they are
//! called, which is before the first line if they are chosen. `c/seed.c` has
//! none of this.
//!
//! It is a library so that it can be a program on an allocator that takes malloc's
//! place in a whole program too: `hardened/` and `tcmalloc/` are such programs.

mod allocator;
mod bulk;
mod cli;
mod cxx;
mod error;
mod floor;
mod fuzz;
mod input;
mod memory;
mod pace;
mod random;
mod report;
mod rpmalloc;
mod scenario;
mod sizes;
mod stage;
mod stats;
mod status;
mod thread;
mod units;

use std::process::ExitCode;

use clap::Parser;

use crate::error::Error;

pub use crate::stats::Malloc;

/// Runs what the command line says, on the C library's malloc where it says "system".
pub fn run() -> ExitCode {
    match cli::Args::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        // The reader has seen all it wanted: not a failure.
        Err(Error::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("workload: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The same where another malloc has taken the place of the C library's.
pub fn run_on(malloc: &'static Malloc) -> ExitCode {
    stats::replace(malloc);
    run()
}
