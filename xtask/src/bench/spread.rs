//! A few measurements of the same: their median and how far they lie apart.

use std::fmt;

/// Numbers of one unit.
#[derive(Debug, Clone, Default)]
pub struct Spread(Vec<f64>);

impl Spread {
    /// Of these.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values
            .into_iter()
            .filter(|value| value.is_finite())
            .collect();
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    /// The one in the middle; of an even number the mean of both.
    pub fn median(&self) -> Option<f64> {
        let middle = self.0.len() / 2;
        let upper = *self.0.get(middle)?;
        if self.0.len() % 2 == 1 {
            return Some(upper);
        }
        self.0
            .get(middle.checked_sub(1)?)
            .map(|lower| (lower + upper) / 2.0)
    }

    /// The smallest and the largest.
    pub fn ends(&self) -> Option<(f64, f64)> {
        Some((*self.0.first()?, *self.0.last()?))
    }

    /// `median (smallest–largest)` with so many decimals, or a dash.
    pub fn show(&self, decimals: usize) -> String {
        match (self.median(), self.ends()) {
            (Some(median), Some((low, high))) => {
                format!("{median:.decimals$} ({low:.decimals$}–{high:.decimals$})")
            }
            _ => "–".to_owned(),
        }
    }
}

/// Nanoseconds with as many digits as mean something.
pub struct Nanos(pub f64);

impl fmt::Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ns if ns < 10.0 => write!(f, "{ns:.1} ns"),
            ns if ns < 10_000.0 => write!(f, "{ns:.0} ns"),
            ns if ns < 10_000_000.0 => write!(f, "{:.1} µs", ns / 1e3),
            ns if ns < 10_000_000_000.0 => write!(f, "{:.1} ms", ns / 1e6),
            ns => write!(f, "{:.1} s", ns / 1e9),
        }
    }
}

/// A large number with its thousands apart.
pub fn grouped(number: u64) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]).median(), Some(2.0));
        assert_eq!(Spread::of([4.0, 1.0]).median(), Some(2.5));
        assert_eq!(Spread::of([]).median(), None);
        assert_eq!(Spread::of([f64::NAN, 1.0]).median(), Some(1.0));
        assert_eq!(Spread::of([3.0, 1.0, 2.0]).show(1), "2.0 (1.0–3.0)");
        assert_eq!(Spread::default().show(1), "–");
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(Nanos(3_600.0).to_string(), "3600 ns");
        assert_eq!(Nanos(36_000.0).to_string(), "36.0 µs");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(12), "12");
    }
}
