//! Sampled blocks in, estimates of what all blocks hold out.
//!
//! A block of `s` bytes is tracked with the probability `p = min(1, s / R)`, each by itself. The
//! sum of `s / p` over the tracked ones then estimates the bytes of all without bias, whatever the
//! sizes (Horvitz and Thompson, 1952), and the sum of `(1 - p) s² / p²` estimates the variance of
//! that. With `s < R` these are `R` and `R² - R s` for each block, so counts and sums of bytes are
//! all that is needed.

use serde::{Deserialize, Serialize};

use crate::units::Bytes;

/// Tracked blocks, summed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tracked {
    /// Blocks.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: Bytes,
    /// Those of them smaller than the sampling distance, which stand for others.
    pub sampled: u64,
    /// Their bytes.
    pub sampled_bytes: Bytes,
}

/// How many bytes there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Estimate {
    /// Bytes.
    pub bytes: Bytes,
    /// One standard error of them; 0 if they were counted.
    pub error: Bytes,
}

impl Estimate {
    /// Both together; what was tracked of one says nothing of the other.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let square = |error: Bytes| u128::from(error.0) * u128::from(error.0);
        let error = (square(self.error) + square(other.error)).isqrt();
        Self {
            bytes: self.bytes + other.bytes,
            error: Bytes(u64::try_from(error).unwrap_or(u64::MAX)),
        }
    }
}

impl Tracked {
    /// Adds a block of which `part` bytes count; all of them but at the border of a range.
    pub const fn add(&mut self, size: Bytes, part: Bytes, sample: Option<Bytes>) {
        self.blocks += 1;
        self.bytes.0 += part.0;
        if let Some(sample) = sample
            && size.0 < sample.0
        {
            self.sampled += 1;
            self.sampled_bytes.0 += part.0;
        }
    }

    /// Adds the blocks of another sum.
    pub fn merge(&mut self, other: Self) {
        self.blocks += other.blocks;
        self.bytes += other.bytes;
        self.sampled += other.sampled;
        self.sampled_bytes += other.sampled_bytes;
    }

    /// The bytes of all blocks, tracked or not.
    #[must_use]
    pub fn estimate(&self, sample: Option<Bytes>) -> Estimate {
        let Some(Bytes(sample)) = sample else {
            return Estimate {
                bytes: self.bytes,
                error: Bytes(0),
            };
        };
        let counted = self.bytes - self.sampled_bytes;
        let (blocks, distance) = (u128::from(self.sampled), u128::from(sample));
        let estimated = blocks * distance;
        let variance =
            (estimated * distance).saturating_sub(u128::from(self.sampled_bytes.0) * distance);
        let bytes = |value: u128| Bytes(u64::try_from(value).unwrap_or(u64::MAX));
        Estimate {
            bytes: counted + bytes(estimated),
            error: bytes(variance.isqrt()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_has_no_error() {
        let mut all = Tracked::default();
        all.add(Bytes(100), Bytes(100), None);
        all.add(Bytes(50), Bytes(20), None);
        let estimate = all.estimate(None);
        assert_eq!((estimate.bytes, estimate.error), (Bytes(120), Bytes(0)));
    }

    #[test]
    fn large_blocks_count_as_they_are() {
        let sample = Some(Bytes(1000));
        let mut all = Tracked::default();
        all.add(Bytes(5000), Bytes(5000), sample);
        assert_eq!(
            all.estimate(sample),
            Estimate {
                bytes: Bytes(5000),
                error: Bytes(0)
            }
        );
        all.add(Bytes(400), Bytes(400), sample);
        // 1000² - 1000·400
        assert_eq!(
            all.estimate(sample),
            Estimate {
                bytes: Bytes(6000),
                error: Bytes(774)
            }
        );
    }

    /// Sizes as programs have them, sampled many times: the mean is the truth, and the truth is
    /// as often within one and within three errors as it should be.
    #[test]
    fn estimates_are_unbiased_and_their_error_is_true() {
        let sizes: Vec<u64> = (0..4000).map(|i| 16 + (i * 7919) % 3000).collect();
        let truth: u64 = sizes.iter().sum();
        let sample = Bytes(16 << 10);
        let mut state = 88_172_645_463_325_252_u64;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state >> 32
        };
        let (runs, mut sum, mut within_one, mut within_three) = (400, 0, 0, 0);
        for _ in 0..runs {
            let mut tracked = Tracked::default();
            for &size in &sizes {
                if (random() * sample.0) >> 32 < size {
                    tracked.add(Bytes(size), Bytes(size), Some(sample));
                }
            }
            let estimate = tracked.estimate(Some(sample));
            let off = estimate.bytes.0.abs_diff(truth);
            sum += estimate.bytes.0;
            within_one += u32::from(off <= estimate.error.0);
            within_three += u32::from(off <= 3 * estimate.error.0);
        }
        let mean = sum / runs;
        assert!(mean.abs_diff(truth) * 100 < truth, "{mean} for {truth}");
        assert!((240..=310).contains(&within_one), "{within_one} of {runs}");
        assert!(within_three >= 392, "{within_three} of {runs}");
    }
}
