//! The ring: bytes of the kernel side in, events out, in the order of the ring.

use std::{
    io,
    os::fd::{AsFd as _, OwnedFd},
};

use aya::maps::{MapData, RingBuf};
use tokio::io::{Interest, unix::AsyncFd};

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

    /// What becomes readable when the kernel side wakes the reader. Within a tokio runtime.
    ///
    /// # Errors
    /// The descriptor cannot be watched.
    pub fn wakeups(&self) -> io::Result<AsyncFd<OwnedFd>> {
        let fd = self.map.as_fd().try_clone_to_owned()?;
        #[expect(unsafe_code, reason = "tokio offers no safe way to watch a descriptor")]
        // SAFETY: an `OwnedFd` has one descriptor all its life and is the only one to close
        // it; the `AsyncFd` owns it.
        let watched = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) };
        watched.map_err(io::Error::from)
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
