//! The ring: records of the kernel side out, as bytes and in the order of the ring.

use std::{
    io,
    os::fd::{AsFd as _, OwnedFd},
};

use aya::maps::{MapData, RingBuf};
use tokio::io::{Interest, unix::AsyncFd};

/// The reader of the ring.
pub struct Ring {
    map: RingBuf<MapData>,
}

impl Ring {
    pub(super) const fn new(map: RingBuf<MapData>) -> Self {
        Self { map }
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

    /// Hands up to `most` waiting records to `take`; returns how many there were.
    pub fn drain(&mut self, most: usize, mut take: impl FnMut(&[u8])) -> usize {
        let mut drained = 0;
        while drained < most {
            let Some(record) = self.map.next() else {
                break;
            };
            take(&record);
            drained += 1;
        }
        drained
    }
}
