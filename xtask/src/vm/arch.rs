//! The kinds of guests, and what others call them.

use clap::ValueEnum;

use crate::setup::Scope;

/// The architecture of a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Arch {
    /// x86_64
    Amd64,
    /// aarch64
    Arm64,
}

impl Arch {
    /// Debian's name for it.
    pub const fn debian(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// The kernel's and Rust's name for it.
    pub const fn machine(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }

    /// What building for it and emulating it need.
    pub fn scope(self) -> Scope {
        if self.is_native() {
            Scope::Vm
        } else {
            Scope::VmArm64
        }
    }

    /// Whether it is this machine's.
    pub fn is_native(self) -> bool {
        self.machine() == std::env::consts::ARCH
    }
}
