//! Quantities with their units.

use std::fmt;
use std::iter::Sum;
use std::ops::Add;
use std::str::FromStr;
use std::time::Duration;

/// A size in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub usize);

impl Bytes {
    /// No bytes at all.
    pub const ZERO: Self = Self(0);

    /// `n` KiB (1024 bytes each).
    pub const fn kib(n: usize) -> Self {
        Self(n << 10)
    }

    /// `n` MiB (1024 KiB each).
    pub const fn mib(n: usize) -> Self {
        Self(n << 20)
    }
}

impl Add for Bytes {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl Sum for Bytes {
    fn sum<I: Iterator<Item = Self>>(sizes: I) -> Self {
        sizes.fold(Self::ZERO, Add::add)
    }
}

/// Exact: MiB or KiB when it is a whole number of them, else bytes.
impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("0 B"),
            n if n.is_multiple_of(1 << 20) => write!(f, "{} MiB", n >> 20),
            n if n.is_multiple_of(1 << 10) => write!(f, "{} KiB", n >> 10),
            n => write!(f, "{n} B"),
        }
    }
}

/// A size in the kernel's kB, which is 1024 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kilobytes(pub u64);

/// A number of blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Count(pub usize);

/// The address of a block's first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address(pub usize);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// The number of a printed step; the first is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step(pub u32);

/// A length of time, written in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seconds(pub Duration);

impl FromStr for Seconds {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let seconds = text.parse().ok().map(Duration::try_from_secs_f64);
        match seconds {
            Some(Ok(duration)) => Ok(Self(duration)),
            _ => Err("give a number of seconds, such as 2 or 0.5"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_may_have_a_fraction_but_no_sign() {
        let half = Seconds(Duration::from_millis(500));
        assert_eq!("0.5".parse(), Ok(half));
        for wrong in ["-1", "2s", "nan", "inf", ""] {
            assert!(wrong.parse::<Seconds>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn bytes_are_shown_exactly() {
        let shown = [0, 2000, 1024, 1536, 1 << 20, (1 << 30) + 1].map(|n| Bytes(n).to_string());
        assert_eq!(
            shown,
            ["0 B", "2000 B", "1 KiB", "1536 B", "1 MiB", "1073741825 B"]
        );
    }

    #[test]
    fn addresses_are_hexadecimal() {
        assert_eq!(Address(0x7f00_1000).to_string(), "0x7f001000");
    }
}
