//! What a scenario is given to run with.

use std::thread;

use crate::allocator::Allocator;
use crate::error::Error;
use crate::report::{Event, Reporter};
use crate::units::{Bytes, Seconds};

/// The settings of a run, and the way to report its steps.
#[derive(Debug)]
pub struct Stage {
    /// Where memory comes from.
    pub allocator: Allocator,
    /// How much of it the scenario takes.
    pub size: Bytes,
    /// How long a scenario that idles does so.
    pub idle: Seconds,
    /// How long to sleep after each step.
    pub sleep: Seconds,
    /// Prints the steps.
    pub reporter: Reporter,
}

impl Stage {
    /// Reports a step, then sleeps as long as the user asked.
    pub fn step(&mut self, event: Event) -> Result<(), Error> {
        self.reporter.step(event)?;
        thread::sleep(self.sleep.0);
        Ok(())
    }
}
