//! The ring: bytes of the kernel side in, events out, in the order of the ring.

use std::os::fd::{AsRawFd, RawFd};

use aya::maps::{MapData, RingBuf};

use crate::{
    event::{Event, decode},
    units::PageSize,
};

/// The reader of the ring.
pub struct Ring {
    map: RingBuf<MapData>,
    page: PageSize,
}

impl Ring {
    pub(super) const fn new(map: RingBuf<MapData>, page: PageSize) -> Self {
        Self { map, page }
    }

    /// Hands up to `most` waiting events to `take`; returns how many there were, and how
    /// many records could not be decoded.
    pub fn drain(&mut self, most: usize, mut take: impl FnMut(Event)) -> Drained {
        let mut drained = Drained::default();
        while drained.events + drained.undecodable < most {
            let Some(record) = self.map.next() else {
                break;
            };
            match decode::decode(&record, self.page) {
                Ok(event) => {
                    drained.events += 1;
                    take(event);
                }
                Err(_) => drained.undecodable += 1,
            }
        }
        drained
    }
}

/// What one turn at the ring gave.
#[derive(Clone, Copy, Debug, Default)]
pub struct Drained {
    /// Events handed over.
    pub events: usize,
    /// Records that were none: the two sides do not fit.
    pub undecodable: usize,
}

impl AsRawFd for Ring {
    fn as_raw_fd(&self) -> RawFd {
        self.map.as_raw_fd()
    }
}
