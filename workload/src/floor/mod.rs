//! Two programs that do nothing on the raw tracepoints of system calls: what any tracer there costs
//! at least. They stay until the end of standard input.

mod kernel;

use std::io::{self, Write as _};

use crate::error::Error;
use crate::input::Input;

/// Attach two programs that do nothing to the entry and exit of system calls
#[derive(Debug, Clone, clap::Args)]
pub struct Floor {}

impl Floor {
    /// Attaches them, says so, and waits.
    pub fn run(self) -> Result<(), Error> {
        let input = Input::open()?;
        let _attached = kernel::attach().map_err(Error::Floor)?;
        let mut output = io::stdout().lock();
        writeln!(output, "ready")
            .and_then(|()| output.flush())
            .map_err(Error::Output)?;
        while input.line()?.is_some() {}
        Ok(())
    }
}
