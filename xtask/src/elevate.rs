//! Root where it is needed and nowhere else: one program in, that program run as root out.
//!
//! Cargo is never elevated: builds run as the user, only apt and the tracer run as root.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{IsTerminal, stdin};
use std::process::Command;

use anyhow::{Result, bail};

use crate::exec;

/// How this process can run a program as root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Elevation {
    /// It is root already.
    Root,
    /// Through sudo.
    Sudo,
    /// Not at all.
    Unavailable,
}

impl Elevation {
    /// Looks at this process and for sudo on the path.
    pub fn find() -> Self {
        if is_root() {
            Self::Root
        } else if exec::probe(Command::new("sudo").arg("-V")).is_some() {
            Self::Sudo
        } else {
            Self::Unavailable
        }
    }

    /// A command that runs `program` as root with exactly these extra variables.
    pub fn command(self, program: &OsStr, variables: &[(&str, &OsStr)]) -> Result<Command> {
        match self {
            Self::Root => {
                let mut command = Command::new(program);
                command.envs(variables.iter().copied());
                Ok(command)
            }
            Self::Sudo => {
                let mut command = Command::new("sudo");
                if !stdin().is_terminal() {
                    command.arg("-n");
                }
                // Through env(1): assignments given to sudo itself need the SETENV privilege.
                command.arg("env");
                command.args(
                    variables
                        .iter()
                        .map(|(name, value)| assignment(name, value)),
                );
                command.arg(program);
                Ok(command)
            }
            Self::Unavailable => bail!(
                "{} needs root, and this is neither root nor a system with sudo: run this as root",
                program.display()
            ),
        }
    }

    /// Lets sudo ask for the password now, before output is redirected.
    pub fn prepare(self) -> Result<()> {
        if self == Self::Sudo && stdin().is_terminal() {
            exec::stream(Command::new("sudo").arg("-v"), "sudo")?;
        }
        Ok(())
    }
}

/// Refuses `sudo cargo xtask …`, which would leave root's files among the user's.
pub fn refuse_under_sudo() -> Result<()> {
    match env::var("SUDO_USER") {
        Ok(user) if is_root() && user != "root" => bail!(
            "this runs under sudo, which would build as root: run it as {user} without sudo, it elevates only what needs it"
        ),
        _ => Ok(()),
    }
}

fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    effective_uid(&status) == Some(0)
}

/// The second number of the `Uid:` line of `/proc/PID/status`.
fn effective_uid(status: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn assignment(name: &str, value: &OsStr) -> OsString {
    let mut text = OsString::from(name);
    text.push("=");
    text.push(value);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_effective_uid_is_the_second_one() {
        let status = "Name:\tx\nUid:\t1000\t0\t0\t0\nGid:\t1\t1\t1\t1\n";
        assert_eq!(effective_uid(status), Some(0));
        assert_eq!(effective_uid("Name:\tx\n"), None);
    }

    #[test]
    fn sudo_passes_variables_through_env() {
        let command = Elevation::Sudo
            .command(OsStr::new("/bin/x"), &[("A", OsStr::new("1"))])
            .expect("sudo can run anything");
        let words: Vec<_> = command.get_args().filter(|word| *word != "-n").collect();
        assert_eq!(command.get_program(), "sudo");
        assert_eq!(words, ["env", "A=1", "/bin/x"]);
    }

    #[test]
    fn without_sudo_the_error_says_what_to_do() {
        let error = Elevation::Unavailable
            .command(OsStr::new("apt-get"), &[])
            .expect_err("nothing can elevate");
        assert!(error.to_string().contains("run this as root"));
    }
}
