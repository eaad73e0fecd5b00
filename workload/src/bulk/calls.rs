//! Calls in a number that is known: from one process, or from a crowd of them at a rate.

use std::thread;
use std::time::{Duration, Instant};

use super::{kernel, print};
use crate::error::Error;
use crate::input::Input;

/// A number of calls, made and then said.
#[derive(Debug, Clone, clap::Args)]
pub struct Calls {
    /// How often to map, protect, advise and unmap: five calls each
    #[arg(long, value_name = "N", default_value = "1000")]
    gusts: u32,
    /// Execute this program anew in between, when there is a line on standard input
    #[arg(long)]
    again: bool,
}

/// Processes that make calls at a rate until this one ends.
#[derive(Debug, Clone, clap::Args)]
pub struct Crowd {
    /// How many processes
    #[arg(long, value_name = "N", default_value = "2000")]
    count: u32,
    /// Calls per second of all of them together
    #[arg(long, value_name = "C", default_value = "50000")]
    rate: u32,
    /// Address space of each, reserved and never used, in MiB
    #[arg(long, value_name = "MIB", default_value = "32")]
    size_mib: u32,
}

impl Calls {
    /// Waits for a line, makes them, says so, and waits for another.
    pub fn run(self) -> Result<(), Error> {
        let input = Input::open()?;
        print("ready")?;
        input.wait("start")?;
        (0..self.gusts).for_each(|_| kernel::gust());
        print("made")?;
        input.wait("exit")?;
        if self.again {
            let error = kernel::execute_anew(self.gusts);
            return Err(Error::Bulk("execute", error));
        }
        Ok(())
    }
}

impl Crowd {
    /// Makes them and waits.
    pub fn run(self) -> Result<(), Error> {
        let input = Input::open()?;
        let size = usize::try_from(self.size_mib).unwrap_or(0) << 20;
        let per_process = f64::from(self.rate) / f64::from(self.count.max(1));
        let turn =
            Duration::from_secs_f64(f64::from(kernel::CALLS_PER_GUST) / per_process.max(0.1));
        for index in 0..self.count {
            // Spread over the turn, so that they do not all call at once.
            let first = turn * index / self.count;
            let life = move || {
                let _ = kernel::reserve(size);
                let mut next = Instant::now() + first;
                loop {
                    thread::sleep(next.saturating_duration_since(Instant::now()));
                    kernel::gust();
                    next += turn;
                }
            };
            kernel::child_that(life).map_err(|e| Error::Bulk("fork", e))?;
        }
        print("crowd")?;
        input.wait("exit")
    }
}
