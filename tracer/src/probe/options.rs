//! What the user wants of the probes, as plain data.

use tracer_ebpf::{MOST_STACK, StackLimits};

use super::attach::CaptureWish;
use crate::{heap::Wish, units::Bytes};

/// How to load.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Size of the ring; a power of two, at least a page.
    pub ring: Bytes,
    /// Whether children of targets become targets.
    pub follow: bool,
    /// How calls are to be captured.
    pub capture: CaptureWish,
    /// What is copied of callers' stacks.
    pub stacks: StackWish,
    /// What the heap view is to track, if it is wanted.
    pub heap: Option<Wish>,
}

/// What is copied of callers' stacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StackWish {
    /// Of one stack at most; none if 0.
    pub most: Bytes,
    /// Of calls that are about at least this much.
    pub threshold: Bytes,
}

impl StackWish {
    /// No stack is copied.
    pub const NONE: Self = Self {
        most: Bytes(0),
        threshold: Bytes(0),
    };
    /// New stacks a second and processor: 16 MiB a second of the largest at most.
    const RATE: u64 = 1000;
    /// New stacks at once.
    const BURST: u64 = 256;

    /// What the kernel side is told of it.
    pub(super) const fn limits(self) -> StackLimits {
        StackLimits {
            most: if self.most.0 < MOST_STACK as u64 {
                self.most.0
            } else {
                MOST_STACK as u64
            },
            threshold: self.threshold.0,
            rate: Self::RATE,
            burst: Self::BURST,
        }
    }
}

impl Default for StackWish {
    fn default() -> Self {
        Self {
            most: Bytes(16 << 10),
            threshold: Bytes(0),
        }
    }
}
