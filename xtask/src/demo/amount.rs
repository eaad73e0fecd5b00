//! Bytes in, words out; what is unknown is a question mark.

/// An amount of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

impl Bytes {
    /// From the kernel's kB, which are KiB.
    pub fn from_kib(kib: u64) -> Self {
        Self(kib.saturating_mul(KIB))
    }

    /// With a fitting unit; whole numbers without a fraction.
    pub fn short(self) -> String {
        let (unit, name) = match self.0 {
            0 => return "0".to_owned(),
            bytes if bytes < KIB => (1, "B"),
            bytes if bytes < MIB => (KIB, "KiB"),
            bytes if bytes < GIB => (MIB, "MiB"),
            _ => (GIB, "GiB"),
        };
        let digits = match (self.0 % unit, unit) {
            (0, _) => 0,
            (_, GIB) => 2,
            _ => 1,
        };
        let value = self.0 as f64 / unit as f64;
        format!("{value:.digits$} {name}")
    }

    /// In MiB with one digit, grouped, for columns that name the unit in their head.
    pub fn mib(self) -> String {
        let tenths = (u128::from(self.0) * 10 + u128::from(MIB / 2)) / u128::from(MIB);
        format!("{}.{}", grouped(tenths / 10), tenths % 10)
    }
}

/// `123,456`.
pub fn grouped(number: u128) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number that may be unknown.
pub fn count(number: Option<u64>) -> String {
    number.map_or_else(unknown, |number| grouped(number.into()))
}

/// An amount that may be unknown.
pub fn short(bytes: Option<u64>) -> String {
    bytes.map_or_else(unknown, |bytes| Bytes(bytes).short())
}

/// The change between two amounts in MiB; no change is a dash, so that changes stand out.
pub fn change(from: Option<Bytes>, to: Option<Bytes>) -> String {
    match (from, to) {
        (Some(from), Some(to)) if from == to => "–".to_owned(),
        (Some(from), Some(to)) if from < to => format!("+{}", Bytes(to.0 - from.0).mib()),
        (Some(from), Some(to)) => format!("−{}", Bytes(from.0 - to.0).mib()),
        _ => unknown(),
    }
}

/// What stands where nobody knows.
pub fn unknown() -> String {
    "?".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_well() {
        assert_eq!(Bytes(0).short(), "0");
        assert_eq!(Bytes(132 * KIB).short(), "132 KiB");
        assert_eq!(Bytes(128 * MIB).short(), "128 MiB");
        assert_eq!(Bytes(1_618_001_920).short(), "1.51 GiB");
        assert_eq!(Bytes(100).short(), "100 B");
        assert_eq!(Bytes::from_kib(1_598_252).mib(), "1,560.8");
        assert_eq!(short(None), "?");
    }

    #[test]
    fn changes_are_signed_and_none_is_a_dash() {
        let (small, large) = (Some(Bytes(MIB)), Some(Bytes(3 * MIB)));
        assert_eq!(change(small, large), "+2.0");
        assert_eq!(change(large, small), "−2.0");
        assert_eq!(change(large, large), "–");
        assert_eq!(change(None, large), "?");
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }
}
