//! The command line: arguments in, one scenario run.

use std::thread;

use clap::{Parser, Subcommand};

use crate::allocator::Allocator;
use crate::bulk;
use crate::error::Error;
use crate::floor;
use crate::fuzz;
use crate::input::Input;
use crate::pace;
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
  workload fuzz --seed 7 --threads 4 --calls 100000 --hold
      Random calls that change the address space, the same for the same seed.
";

/// Runs one allocation scenario and prints VmSize and VmRSS after every step
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = EXAMPLES,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
pub struct Args {
    #[command(flatten)]
    scenario: Option<ScenarioArgs>,

    #[command(subcommand)]
    other: Option<Other>,
}

/// What is not an allocation scenario.
#[derive(Debug, Subcommand)]
enum Other {
    /// Make random memory calls from several threads, valid and invalid ones
    Fuzz(fuzz::Settings),
    /// Map and unmap from several threads, as fast as they can
    Storm(bulk::Storm),
    /// Have as many mappings as asked for
    Mappings(bulk::Mappings),
    /// Have as many sleeping children as asked for
    Children(bulk::Children),
    /// Time calls, as many and as fast as lines on standard input say
    Pace(pace::Settings),
    /// Attach programs that do nothing to system calls: the least that tracing them costs
    Floor(floor::Floor),
    /// Make a number of calls that is known
    Calls(bulk::Calls),
    /// Have many processes that make calls at a rate
    Crowd(bulk::Crowd),
}

/// An allocation scenario and how to run it.
#[derive(Debug, clap::Args)]
struct ScenarioArgs {
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

    /// Add the allocator's own statistics to each line (JSON only)
    #[arg(long)]
    stats: bool,

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
    /// Runs what was asked for.
    pub fn run(self) -> Result<(), Error> {
        match (self.other, self.scenario) {
            (Some(Other::Fuzz(settings)), _) => fuzz::run(settings),
            (Some(Other::Storm(storm)), _) => storm.run(),
            (Some(Other::Mappings(mappings)), _) => mappings.run(),
            (Some(Other::Children(children)), _) => children.run(),
            (Some(Other::Pace(settings)), _) => settings.run(),
            (Some(Other::Floor(floor)), _) => floor.run(),
            (Some(Other::Calls(calls)), _) => calls.run(),
            (Some(Other::Crowd(crowd)), _) => crowd.run(),
            (None, Some(scenario)) => scenario.run(),
            // clap refuses a command line with neither.
            (None, None) => Ok(()),
        }
    }
}

impl ScenarioArgs {
    fn run(self) -> Result<(), Error> {
        let size = self.size_mib.map(|n| Bytes::mib(n as usize));
        let subject = Subject {
            scenario: self.scenario,
            allocator: self.allocator,
        };
        let input = Input::open()?;
        self.allocator.prepare()?;
        let mut stage = Stage {
            allocator: self.allocator,
            size: size.unwrap_or_else(|| self.scenario.default_size()),
            idle: self.idle,
            sleep: self.sleep,
            reporter: Reporter::open(self.format, subject, self.stats)?,
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
