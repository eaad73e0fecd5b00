//! Arguments in, what is meant by them out. Nothing here acts on it.
//!
//! `args` is what may be typed, [`intent`] is what it means once it is known to make sense.

mod args;
mod audit;
pub mod exit;
pub mod generate;
mod help;
pub mod intent;
mod serve;
mod values;
mod watch;

use std::ffi::OsString;

use clap::{Command, CommandFactory as _, FromArgMatches as _};

pub use exit::Exit;
pub use intent::Intent;
pub use serve::{LONGEST_FILE, with_file};

/// The command line's definition: help, completions and the man page are made from it.
#[must_use]
pub fn command() -> Command {
    args::Args::command()
}

/// What `args`, the program's name first, mean.
///
/// # Errors
/// The text to print and, by [`clap::Error::exit_code`], the code to end with: 2
/// ([`Exit::Usage`]) for arguments that make no sense, 0 for `--help` and `--version`.
pub fn parse<I, T>(args: I) -> Result<Intent, clap::Error>
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let mut command = command();
    let matches = command.try_get_matches_from_mut(args)?;
    args::Args::from_arg_matches(&matches)
        .and_then(|args| Intent::try_from(args).map_err(|conflict| conflict.into_error()))
        .map_err(|error| error.format(&mut command))
}

#[cfg(test)]
mod tests;
