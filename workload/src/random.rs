//! Reproducible pseudo-random numbers: the same seed, the same numbers, on
//! every machine.

use crate::units::Bytes;

/// Marsaglia's xorshift with 64 bits of state (shifts 13, 7, 17).
#[derive(Debug, Clone)]
pub struct Xorshift(u64);

impl Xorshift {
    /// Starts a sequence. The state must not be zero, so zero is replaced.
    pub fn new(seed: u64) -> Self {
        Self(if seed == 0 { 1 } else { seed })
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `end`, which is not 0, all equally likely.
    pub fn below(&mut self, end: usize) -> usize {
        // The bias of the remainder is below 2^-30 for ends below 2^34.
        (self.next() % end as u64) as usize
    }

    /// True once in `odds` times.
    pub fn once_in(&mut self, odds: usize) -> bool {
        self.below(odds) == 0
    }

    /// One of the choices, which are not none, all equally likely.
    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// A size from `low` to `high`, both included, all equally likely.
    pub fn between(&mut self, low: Bytes, high: Bytes) -> Bytes {
        let span = (high.0 - low.0 + 1) as u64;
        // The bias of the remainder is below 2^-30 for spans below 16 GiB.
        Bytes(low.0 + (self.next() % span) as usize)
    }

    /// A size from `low` to `high`, both included, each doubling of the size
    /// equally likely: half as many at twice the size, as programs allocate.
    pub fn between_doublings(&mut self, low: Bytes, high: Bytes) -> Bytes {
        let doublings = Bytes((high.0 / low.0).ilog2() as usize);
        let floor = low.0 << self.between(Bytes::ZERO, doublings).0;
        self.between(Bytes(floor), Bytes(high.0.min(2 * floor)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_same_numbers() {
        let mut random = Xorshift::new(1);
        let first = [random.next(), random.next()];
        assert_eq!(first, [1_082_269_761, 1_152_992_998_833_853_505]);
    }

    #[test]
    fn sizes_stay_in_range_and_reach_both_ends() {
        let (low, high) = (Bytes(16), Bytes(20));
        let mut random = Xorshift::new(7);
        let drawn: Vec<_> = (0..1000).map(|_| random.between(low, high)).collect();
        assert_eq!(drawn.iter().min(), Some(&low));
        assert_eq!(drawn.iter().max(), Some(&high));
    }

    #[test]
    fn doublings_are_equally_likely() {
        let mut random = Xorshift::new(7);
        let mut small = 0;
        for _ in 0..10_000 {
            let size = random.between_doublings(Bytes(16), Bytes::kib(256));
            assert!((Bytes(16)..=Bytes::kib(256)).contains(&size));
            small += usize::from(size < Bytes::kib(2));
        }
        // Seven of the fifteen classes start below 2 KiB.
        assert!((4_400..=4_950).contains(&small), "{small} of 10000");
    }
}
