//! Calls at a pace, timed: lines on standard input in, the time they took out.
//!
//! Each line `CALL COUNT [PER_SECOND]` makes every thread make the call so often, as fast as it
//! can or at that many a second, and is answered by a line `CALL COUNT NANOSECONDS`: the mean of the
//! threads' times. Nothing but the calls is timed, and nothing is allocated meanwhile.

mod kernel;

use std::io::{self, Write as _};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use crate::bulk;
use crate::error::Error;
use crate::input::Input;
use kernel::Pace;

/// How long calls are made without a look at the clock when there is a pace to keep.
const BURST: Duration = Duration::from_micros(500);

/// Times calls, as told on standard input.
#[derive(Debug, Clone, clap::Args)]
pub struct Settings {
    /// How many threads make each call
    #[arg(long, value_name = "T", default_value = "1", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
    /// Have this many mappings meanwhile
    #[arg(long, value_name = "N", default_value = "0")]
    mappings: usize,
}

/// What is asked for in one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Order {
    pace: Pace,
    count: u32,
    per_second: Option<u32>,
}

impl Settings {
    /// Carries out orders until the end of input.
    pub fn run(self) -> Result<(), Error> {
        let input = Input::open()?;
        bulk::scatter(self.mappings)?;
        print("ready")?;
        while let Some(line) = input.line()? {
            let order = Order::parse(&line).ok_or(Error::Order(line))?;
            let took = order.carry_out(usize::from(self.threads))?;
            print(&format!(
                "{} {} {}",
                order.pace.name(),
                order.count,
                took.as_nanos()
            ))?;
        }
        Ok(())
    }
}

impl Order {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let pace = Pace::named(words.next()?)?;
        let count = words.next()?.parse().ok()?;
        let per_second = words.next().map(str::parse).transpose().ok()?;
        (words.next().is_none() && per_second != Some(0)).then_some(Self {
            pace,
            count,
            per_second,
        })
    }

    /// The mean time that a thread took.
    fn carry_out(self, threads: usize) -> Result<Duration, Error> {
        if threads == 1 {
            return self.one_thread();
        }
        let line = Barrier::new(threads);
        let one = || {
            line.wait();
            self.one_thread()
        };
        let sum = thread::scope(|scope| {
            let started: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
            let ended = started.into_iter().map(|thread| thread.join());
            let took = ended.map(|took| took.unwrap_or(Ok(Duration::ZERO)));
            took.sum::<Result<Duration, Error>>()
        });
        let threads = u32::try_from(threads).unwrap_or(u32::MAX);
        sum.map(|sum| sum / threads)
    }

    fn one_thread(self) -> Result<Duration, Error> {
        let place = kernel::Place::new().map_err(|e| Error::Bulk("map a page", e))?;
        let begun = Instant::now();
        let Some(per_second) = self.per_second else {
            (0..self.count).for_each(|_| self.pace.once(&place));
            return Ok(begun.elapsed());
        };
        let mut made = 0;
        while made < self.count {
            let due = begun.elapsed() + BURST;
            let due = due.as_nanos() * u128::from(per_second) / 1_000_000_000;
            let due = u32::try_from(due).unwrap_or(u32::MAX).min(self.count);
            (made..due).for_each(|_| self.pace.once(&place));
            made = made.max(due);
            thread::sleep(BURST / 2);
        }
        Ok(begun.elapsed())
    }
}

fn print(line: &str) -> Result<(), Error> {
    let mut output = io::stdout().lock();
    writeln!(output, "{line}")
        .and_then(|()| output.flush())
        .map_err(Error::Output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read() {
        let order = Order::parse("pair 100").expect("an order");
        assert_eq!((order.count, order.per_second), (100, None));
        let order = Order::parse("getppid 7 1000\n").expect("an order");
        assert_eq!((order.count, order.per_second), (7, Some(1000)));
        for wrong in ["", "pair", "pair x", "fork 1", "pair 1 0", "pair 1 1 1"] {
            assert_eq!(Order::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn every_call_can_be_paced() {
        for pace in Pace::ALL {
            let order = Order {
                pace,
                count: 3,
                per_second: None,
            };
            assert_eq!(Pace::named(pace.name()), Some(pace));
            assert!(order.carry_out(2).expect("it runs") > Duration::ZERO);
        }
    }
}
