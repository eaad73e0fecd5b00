//! Waiting for lines on standard input, one byte at a time so that each wait
//! takes exactly one line.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::os::fd::AsFd;

use crate::error::Error;

/// Standard input without a buffer.
#[derive(Debug)]
pub struct Input(File);

impl Input {
    /// Takes a duplicate of the descriptor.
    pub fn open() -> Result<Self, Error> {
        let descriptor = io::stdin().as_fd().try_clone_to_owned();
        Ok(Self(File::from(descriptor.map_err(Error::Input)?)))
    }

    /// Waits for a whole line or the end of input. `purpose` completes "press
    /// Enter to" for a person at a terminal.
    pub fn wait(&self, purpose: &str) -> Result<(), Error> {
        if self.0.is_terminal() {
            eprintln!("press Enter to {purpose}");
        }
        self.line().map(drop)
    }

    /// Waits for a whole line; `None` at the end of input.
    pub fn line(&self) -> Result<Option<String>, Error> {
        let (mut line, mut byte) = (Vec::new(), [0]);
        loop {
            match (&self.0).read(&mut byte) {
                Ok(0) => return Ok(None),
                Ok(_) if byte[0] == b'\n' => break,
                Ok(_) => line.push(byte[0]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::Input(error)),
            }
        }
        Ok(Some(String::from_utf8_lossy(&line).into_owned()))
    }
}
