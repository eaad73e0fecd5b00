//! Newtypes for the quantities that cross module borders. No arithmetic beyond what
//! keeps a unit a unit.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A virtual address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Addr(pub u64);

/// A size in bytes.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Bytes(pub u64);

/// A process: the kernel's tgid, in the initial pid namespace.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Pid(pub u32);

/// A thread: the kernel's pid, in the initial pid namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Tid(pub u32);

/// A stack that was unwound, by its place among those of the run; 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StackId(pub u32);

/// The identity of an address space: the address of its `mm_struct`, 0 if unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MmId(pub u64);

/// A moment: nanoseconds of `CLOCK_MONOTONIC`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Nanos(pub u64);

/// The size of a page, bytes; a power of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSize(pub u64);

/// A half-open range of addresses, `start <= end`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(try_from = "(Addr, Addr)", into = "(Addr, Addr)")]
pub struct Span {
    /// First byte.
    pub start: Addr,
    /// First byte behind.
    pub end: Addr,
}

impl PageSize {
    /// `value` rounded up to a page; saturates at the last page of the address space.
    #[must_use]
    pub const fn up(self, value: u64) -> u64 {
        match value.checked_add(self.0 - 1) {
            Some(sum) => sum & !(self.0 - 1),
            None => !(self.0 - 1),
        }
    }

    /// `value` rounded down to a page.
    #[must_use]
    pub const fn down(self, value: u64) -> u64 {
        value & !(self.0 - 1)
    }

    /// The size of `pages` pages.
    #[must_use]
    pub const fn pages(self, pages: u64) -> Bytes {
        Bytes(pages.saturating_mul(self.0))
    }
}

impl Span {
    /// The range of `len` bytes at `start`; cut at the end of the address space.
    #[must_use]
    pub const fn new(start: Addr, len: u64) -> Self {
        Self {
            start,
            end: Addr(start.0.saturating_add(len)),
        }
    }

    /// From `start` to `end`; empty at `start` if `end` lies before it.
    #[must_use]
    pub fn between(start: Addr, end: Addr) -> Self {
        Self {
            start,
            end: end.max(start),
        }
    }

    /// Its size.
    #[must_use]
    pub const fn len(self) -> Bytes {
        Bytes(self.end.0 - self.start.0)
    }

    /// Whether it holds no byte.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.start.0 == self.end.0
    }

    /// Whether `addr` lies in it.
    #[must_use]
    pub const fn contains(self, addr: Addr) -> bool {
        self.start.0 <= addr.0 && addr.0 < self.end.0
    }

    /// The part that both cover, if any.
    #[must_use]
    pub fn intersect(self, other: Self) -> Option<Self> {
        let start = self.start.max(other.start);
        let end = self.end.min(other.end);
        (start < end).then_some(Self { start, end })
    }
}

impl Nanos {
    /// Nanoseconds from `earlier` to `self`, 0 if it lies behind.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl std::ops::Add for Bytes {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl std::ops::AddAssign for Bytes {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl std::ops::Sub for Bytes {
    type Output = Self;
    /// Saturates at zero.
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl std::iter::Sum for Bytes {
    fn sum<I: Iterator<Item = Self>>(sizes: I) -> Self {
        sizes.fold(Self(0), |sum, size| sum + size)
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl Serialize for Addr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Addr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits = text.strip_prefix("0x");
        let digits = digits.ok_or_else(|| de::Error::custom("an address begins with 0x"))?;
        u64::from_str_radix(digits, 16)
            .map(Self)
            .map_err(de::Error::custom)
    }
}

impl From<Span> for (Addr, Addr) {
    fn from(span: Span) -> Self {
        (span.start, span.end)
    }
}

impl TryFrom<(Addr, Addr)> for Span {
    type Error = &'static str;

    fn try_from((start, end): (Addr, Addr)) -> Result<Self, Self::Error> {
        if start <= end {
            Ok(Self { start, end })
        } else {
            Err("a range begins before it ends")
        }
    }
}

impl fmt::Display for Bytes {
    /// A size for people: `1,552.0 MiB`, exact below 1 KiB.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
        if self.0 < 1024 {
            return f.pad(&format!("{} B", self.0));
        }
        #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
        let mut value = self.0 as f64 / 1024.0;
        let mut unit = 0;
        while value >= 1024.0 && unit + 1 < UNITS.len() {
            value /= 1024.0;
            unit += 1;
        }
        let digits = if value < 10.0 { 2 } else { 1 };
        f.pad(&format!("{value:.digits$} {}", UNITS[unit]))
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Tid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_round_both_ways() {
        let page = PageSize(4096);
        assert_eq!(page.up(1), 4096);
        assert_eq!(page.up(4096), 4096);
        assert_eq!(page.down(8191), 4096);
        assert_eq!(page.up(u64::MAX), !4095);
    }

    #[test]
    fn sizes_read_as_people_write_them() {
        assert_eq!(Bytes(512).to_string(), "512 B");
        assert_eq!(Bytes(128 << 20).to_string(), "128.0 MiB");
        assert_eq!(Bytes(1536 << 20).to_string(), "1.50 GiB");
    }

    #[test]
    fn spans_meet_only_where_both_are() {
        let a = Span::new(Addr(0x1000), 0x2000);
        let b = Span::new(Addr(0x2000), 0x2000);
        assert_eq!(a.intersect(b), Some(Span::new(Addr(0x2000), 0x1000)));
        assert_eq!(a.intersect(Span::new(Addr(0x3000), 0x1000)), None);
    }
}
