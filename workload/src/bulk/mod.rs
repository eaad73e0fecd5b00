//! Much of one thing, to see what observing it costs: calls, mappings or
//! children. Prints a line when there is as much as was asked for, and stays
//! until standard input says more.

mod calls;
mod kernel;

pub use calls::{Calls, Crowd};

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::error::Error;
use crate::input::Input;
use crate::thread::{Body, Thread};
use crate::units::Bytes;

const STACK: Bytes = Bytes::kib(256);

/// Threads that map, protect, advise and unmap as fast as they can.
#[derive(Debug, Clone, clap::Args)]
pub struct Storm {
    /// How many threads
    #[arg(long, value_name = "T", default_value = "8", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
    /// Wait for a line on standard input, or its end, before the storm
    #[arg(long)]
    wait_start: bool,
}

/// Mappings that the kernel cannot join.
#[derive(Debug, Clone, clap::Args)]
pub struct Mappings {
    /// How many there are in the end, those of the program itself among them
    #[arg(long, value_name = "N", default_value = "65530")]
    count: usize,
}

/// Children that sleep until this process ends.
#[derive(Debug, Clone, clap::Args)]
pub struct Children {
    /// How many
    #[arg(long, value_name = "N", default_value = "5000")]
    count: usize,
    /// Wait for a line on standard input, or its end, before the first
    #[arg(long)]
    wait_start: bool,
}

/// Whether the storm is to go on, and threads that are still in it.
static STORMING: AtomicBool = AtomicBool::new(true);
static LEFT: AtomicUsize = AtomicUsize::new(0);

impl Storm {
    /// Storms until there is a line on standard input, or its end; then stays until the next.
    pub fn run(self) -> Result<(), Error> {
        let input = Input::open()?;
        if self.wait_start {
            print("ready")?;
            input.wait("start")?;
        }
        LEFT.store(usize::from(self.threads), Ordering::Relaxed);
        for index in 0..usize::from(self.threads) {
            Thread::start::<Caller>(index, STACK)?;
        }
        print("start")?;
        input.wait("end the storm")?;
        STORMING.store(false, Ordering::Relaxed);
        while LEFT.load(Ordering::Acquire) > 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        print("end")?;
        input.wait("exit")
    }
}

/// A thread of the storm. It stays afterwards.
struct Caller;

impl Body for Caller {
    fn run(_index: usize) {
        while STORMING.load(Ordering::Relaxed) {
            kernel::gust();
        }
        LEFT.fetch_sub(1, Ordering::Release);
        kernel::park();
    }
}

impl Mappings {
    /// Makes them and waits.
    pub fn run(self) -> Result<(), Error> {
        let input = Input::open()?;
        let mapped = kernel::scatter(self.count).map_err(|e| Error::Bulk("map a page", e))?;
        print(&format!("mappings {mapped}"))?;
        input.wait("exit")
    }
}

impl Children {
    /// Makes them and waits.
    pub fn run(self) -> Result<(), Error> {
        let input = Input::open()?;
        if self.wait_start {
            print("start")?;
            input.wait("start")?;
        }
        let mut ids = String::from("children");
        for _ in 0..self.count {
            let child = kernel::child().map_err(|e| Error::Bulk("fork", e))?;
            ids.push_str(&format!(" {child}"));
        }
        print(&ids)?;
        input.wait("exit")
    }
}

/// Makes mappings until there are so many.
pub fn scatter(count: usize) -> Result<(), Error> {
    kernel::scatter(count)
        .map(drop)
        .map_err(|e| Error::Bulk("map a page", e))
}

fn print(line: &str) -> Result<(), Error> {
    let mut output = io::stdout().lock();
    writeln!(output, "{line}")
        .and_then(|()| output.flush())
        .map_err(Error::Output)
}
