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
    /// How many of them grow: by 64 MiB a second, of which a sixteenth is touched, up to 1 GiB.
    /// Half of all calls are theirs
    #[arg(long, value_name = "N", default_value = "0")]
    growing: u32,
}

/// What a growing process takes each second, how much of it is touched, and how often.
const STEP: usize = 64 << 20;
const TOUCHED: usize = STEP / 16;
const STEPS: u32 = 16;
const GROWTH: Duration = Duration::from_secs(1);

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
        let growing = self.growing.min(self.count);
        let half = if growing == 0 { 0 } else { self.rate / 2 };
        for index in 0..self.count {
            let life = if index < growing {
                Life::new(half, growing, index, size, STEPS)
            } else {
                let others = self.count - growing;
                Life::new(self.rate - half, others, index - growing, size, 0)
            };
            kernel::child_that(move || life.live()).map_err(|e| Error::Bulk("fork", e))?;
        }
        print("crowd")?;
        input.wait("exit")
    }
}

/// What a process of a crowd does.
struct Life {
    /// Between two gusts.
    turn: Duration,
    /// Before the first: spread over the turn, so that they do not all call at once.
    first: Duration,
    size: usize,
    /// How often it grows.
    steps: u32,
}

impl Life {
    /// That of one of `count` who make `rate` calls a second together.
    fn new(rate: u32, count: u32, index: u32, size: usize, steps: u32) -> Self {
        let per_process = f64::from(rate) / f64::from(count.max(1));
        let turn =
            Duration::from_secs_f64(f64::from(kernel::CALLS_PER_GUST) / per_process.max(0.1));
        Self {
            turn,
            first: turn * index / count.max(1),
            size,
            steps,
        }
    }

    fn live(self) {
        let _ = kernel::reserve(self.size);
        let mut next = Instant::now() + self.first;
        let mut steps = self.steps;
        let mut grows = Instant::now() + GROWTH;
        loop {
            thread::sleep(next.saturating_duration_since(Instant::now()));
            kernel::gust();
            next += self.turn;
            if steps > 0 && grows <= Instant::now() {
                let _ = kernel::take(STEP, TOUCHED);
                (steps, grows) = (steps - 1, grows + GROWTH);
            }
        }
    }
}
