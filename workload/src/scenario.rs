//! The scenarios by name. Each is a file of its own.

mod decay;
mod fragmented;
mod pinned_top;
mod realloc;
mod seed;
mod small;
mod threads;
mod threshold;

use std::fmt;

use clap::ValueEnum;

use crate::error::Error;
use crate::stage::Stage;
use crate::units::Bytes;

/// Something to do with an allocator. In brackets: how much it takes by
/// default, in all for most, the largest block for `Threshold` and `Realloc`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// 8 blocks, not written, freed one by one [1024 MiB]
    Seed,
    /// seed with every page written [1024 MiB]
    Touched,
    /// Blocks of 64 B to 4 KiB, written, all freed [1024 MiB]
    Small,
    /// small with every 100th block kept [1024 MiB]
    Fragmented,
    /// 16 threads at once, each with blocks of 16 B to 256 KiB [256 MiB]
    Threads,
    /// Two sweeps of sizes around 128 KiB and up, each freed at once [33 MiB]
    Threshold,
    /// One buffer grown in steps of a half from 64 KiB, then freed [768 MiB]
    Realloc,
    /// Blocks of 64 KiB, freed below one small block that is kept [512 MiB]
    PinnedTop,
    /// Blocks of 8 KiB to 6 MiB, freed, then idle, then small ones [512 MiB]
    Decay,
}

impl Scenario {
    /// The size unless the user gives another.
    pub fn default_size(self) -> Bytes {
        match self {
            Self::Seed | Self::Touched | Self::Small | Self::Fragmented => Bytes::mib(1024),
            Self::Threads => Bytes::mib(256),
            Self::Threshold => Bytes::mib(33),
            Self::Realloc => Bytes::mib(768),
            Self::PinnedTop | Self::Decay => Bytes::mib(512),
        }
    }

    /// Runs it between the first line and the last.
    pub fn run(self, stage: &mut Stage) -> Result<(), Error> {
        match self {
            Self::Seed => seed::run(stage, seed::Pages::Untouched),
            Self::Touched => seed::run(stage, seed::Pages::Written),
            Self::Small => small::run(stage),
            Self::Fragmented => fragmented::run(stage),
            Self::Threads => threads::run(stage),
            Self::Threshold => threshold::run(stage),
            Self::Realloc => realloc::run(stage),
            Self::PinnedTop => pinned_top::run(stage),
            Self::Decay => decay::run(stage),
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Seed => "seed",
            Self::Touched => "touched",
            Self::Small => "small",
            Self::Fragmented => "fragmented",
            Self::Threads => "threads",
            Self::Threshold => "threshold",
            Self::Realloc => "realloc",
            Self::PinnedTop => "pinned-top",
            Self::Decay => "decay",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_shown_as_it_is_given() {
        for &scenario in Scenario::value_variants() {
            let shown = scenario.to_string();
            assert_eq!(Scenario::from_str(&shown, false), Ok(scenario));
        }
    }
}
