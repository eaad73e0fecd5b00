//! The command line: arguments in, one scenario run.

use std::thread;

use clap::Parser;

use crate::allocator::Allocator;
use crate::error::Error;
use crate::input::Input;
use crate::report::{Action, Event, Format, Reporter, Subject};
use crate::scenario::Scenario;
use crate::stage::Stage;
use crate::units::{Bytes, Seconds};

const EXAMPLES: &str = "\
Examples:
  workload seed
      The first experiment on the C library's malloc: VmSize returns.
  workload seed --allocator jemalloc
      The same on jemalloc: VmSize stays at its peak.
  LD_PRELOAD=libjemalloc.so.2 workload seed --sleep 2
      Replaces the system allocator, slowly enough to watch with top.
  workload decay --allocator jemalloc --idle 30 --format json
      One JSON object per step.
  workload small --wait-start --hold
      Press Enter to begin, and again to let the process end.
";

/// Runs one allocation scenario and prints VmSize and VmRSS after every step
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
pub struct Args {
    /// What to do
    scenario: Scenario,

    /// Where the memory comes from
    #[arg(long, value_name = "NAME", default_value = "system")]
    allocator: Allocator,

    /// How to print the steps
    #[arg(long, default_value = "text")]
    format: Format,

    /// Memory to take, in MiB [default: by scenario, see --help]
    ///
    /// In all; for threshold and realloc the largest block. The default of
    /// each scenario stands in brackets above.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    size_mib: Option<u32>,

    /// Sleep after every step, to watch with another program
    #[arg(long, value_name = "SECONDS", default_value = "0")]
    sleep: Seconds,

    /// How long `decay` does nothing; the other scenarios do not idle
    #[arg(long, value_name = "SECONDS", default_value = "12")]
    idle: Seconds,

    /// Sleep after the "start" line, before the first allocation
    #[arg(long, value_name = "SECONDS", default_value = "0")]
    start_delay: Seconds,

    /// After the "start" line (and --start-delay) wait for a line on standard
    /// input, or its end
    #[arg(long)]
    wait_start: bool,

    /// After the "end" line wait for another line on standard input, or its
    /// end
    #[arg(long)]
    hold: bool,
}

impl Args {
    /// Runs the scenario.
    pub fn run(self) -> Result<(), Error> {
        let size = self.size_mib.map(|n| Bytes::mib(n as usize));
        let subject = Subject {
            scenario: self.scenario,
            allocator: self.allocator,
        };
        let input = Input::open()?;
        let mut stage = Stage {
            allocator: self.allocator,
            size: size.unwrap_or_else(|| self.scenario.default_size()),
            idle: self.idle,
            sleep: self.sleep,
            reporter: Reporter::open(self.format, subject)?,
        };

        stage.step(Event::bare(Action::Start))?;
        thread::sleep(self.start_delay.0);
        if self.wait_start {
            input.wait("start")?;
        }
        self.scenario.run(&mut stage)?;
        stage.reporter.step(Event::bare(Action::End))?;
        if self.hold {
            input.wait("exit")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Args::command().debug_assert();
    }
}
