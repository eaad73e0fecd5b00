//! The ring: records of the kernel side out, as bytes and in the order of the ring.

use std::{
    io,
    os::fd::{AsFd as _, OwnedFd},
    thread,
    time::{Duration, Instant},
};

use aya::maps::{MapData, RingBuf};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::io::{Interest, unix::AsyncFd};

/// How long a record is waited for. Writing one takes a microsecond, unless its processor is
/// taken away meanwhile.
const LONGEST_WAIT: Duration = Duration::from_millis(20);

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
    ///
    /// A record that is still being written hides those behind it, which other processors
    /// have finished: it is waited for, so that what was finished before this call is handed
    /// over by it.
    pub fn drain(&mut self, most: usize, mut take: impl FnMut(&[u8])) -> usize {
        let mut drained = 0;
        let mut waited: Option<Instant> = None;
        while drained < most {
            if let Some(record) = self.map.next() {
                take(&record);
                drained += 1;
                waited = None;
                continue;
            }
            let since = *waited.get_or_insert_with(Instant::now);
            if !self.has_more() || since.elapsed() > LONGEST_WAIT {
                break;
            }
            thread::yield_now();
        }
        drained
    }

    /// Whether something was reserved that has not been read: the kernel calls the ring
    /// readable as long as its two positions differ (`ringbuf_map_poll_kern`).
    fn has_more(&self) -> bool {
        let mut ring = [PollFd::new(self.map.as_fd(), PollFlags::POLLIN)];
        poll(&mut ring, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
    }
}
