//! How large the blocks of a scenario are: a total in, block sizes out.

use crate::random::Xorshift;
use crate::units::{Bytes, Count};

/// Block sizes that add up to a total. A clone yields the same sizes again,
/// so they can be counted or summed without being stored.
#[derive(Debug, Clone)]
pub struct Sizes {
    random: Xorshift,
    draw: Draw,
    low: Bytes,
    high: Bytes,
    left: Bytes,
}

#[derive(Debug, Clone, Copy)]
enum Draw {
    Even,
    Doublings,
}

/// The seed of every sequence, so that two runs allocate the same sizes.
const SEED: u64 = 0x5eed_a110_c8ed;

impl Sizes {
    /// Sizes from `low` to `high`, all equally likely.
    pub fn even(low: Bytes, high: Bytes, total: Bytes) -> Self {
        Self {
            random: Xorshift::new(SEED),
            draw: Draw::Even,
            low,
            high,
            left: total,
        }
    }

    /// Sizes from `low` to `high`, each doubling of the size equally likely.
    pub fn doublings(low: Bytes, high: Bytes, total: Bytes) -> Self {
        Self {
            draw: Draw::Doublings,
            ..Self::even(low, high, total)
        }
    }

    /// The same kind of sizes in another order, one for each `index`.
    pub fn sequence(self, index: usize) -> Self {
        let random = Xorshift::new(SEED + index as u64);
        Self { random, ..self }
    }

    /// How many sizes are left, and their sum.
    pub fn totals(&self) -> (Count, Bytes) {
        (Count(self.clone().count()), self.clone().sum())
    }
}

impl Iterator for Sizes {
    type Item = Bytes;

    /// The last size is cut so that the sum is the total; it is never below
    /// `low`, so the sum may exceed the total by less than `low`.
    fn next(&mut self) -> Option<Bytes> {
        if self.left == Bytes::ZERO {
            return None;
        }
        let drawn = match self.draw {
            Draw::Even => self.random.between(self.low, self.high),
            Draw::Doublings => self.random.between_doublings(self.low, self.high),
        };
        let size = drawn.min(self.left.max(self.low));
        self.left = Bytes(self.left.0.saturating_sub(size.0));
        Some(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_yields_the_same_sizes() {
        let sizes = Sizes::doublings(Bytes(16), Bytes::kib(256), Bytes::mib(16));
        let first: Vec<_> = sizes.clone().collect();
        assert_eq!(first, sizes.clone().collect::<Vec<_>>());
        assert_ne!(first, sizes.sequence(1).collect::<Vec<_>>());
    }

    #[test]
    fn the_sum_is_the_total() {
        let total = Bytes::mib(1);
        let sizes = Sizes::even(Bytes(64), Bytes::kib(4), total);
        let (count, sum) = sizes.totals();
        assert_eq!(count.0, sizes.count());
        assert!(sum >= total && sum < total + Bytes(64), "{sum}");
    }

    #[test]
    fn equal_sizes_divide_the_total() {
        let sizes = Sizes::even(Bytes::kib(64), Bytes::kib(64), Bytes::mib(1));
        assert_eq!(sizes.totals(), (Count(16), Bytes::mib(1)));
    }
}
