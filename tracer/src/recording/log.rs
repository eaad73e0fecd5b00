//! The pen: items in, frames on a store out, up to a limit. Knows nothing of questions.

use std::{
    fs::File,
    io::{self, Seek as _, SeekFrom, Write},
};

use serde::{Deserialize, Serialize};

use super::{
    frame::{self, HEAD, Kind, Sum, TAIL},
    header::Header,
    item::{self, Item},
};
use crate::units::Bytes;

/// Items are put into a frame until it has this size, bytes.
const FULL: usize = 16 << 10;
/// What is kept free below the limit for the last frame, bytes.
const RESERVE: u64 = 4096;

/// Where frames go.
pub trait Store: Write {
    /// Takes back what lies behind the first `len` bytes.
    ///
    /// # Errors
    /// It cannot.
    fn cut(&mut self, len: u64) -> io::Result<()>;

    /// Makes sure that what was written stays.
    ///
    /// # Errors
    /// It cannot.
    fn settle(&mut self) -> io::Result<()>;
}

impl Store for File {
    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)?;
        self.seek(SeekFrom::Start(len)).map(drop)
    }

    fn settle(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

impl Store for Vec<u8> {
    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.truncate(usize::try_from(len).unwrap_or(usize::MAX));
        Ok(())
    }

    fn settle(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How large a recording may get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit(pub Bytes);

/// Why recording stopped before the run did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhyStopped {
    /// It has reached its limit, bytes.
    Limit(Bytes),
    /// It could not be written, in words.
    Failed(String),
}

/// What was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Records of events.
    pub records: u64,
    /// The size of the recording.
    pub size: Bytes,
    /// Why it ends before the run, if so.
    pub stopped: Option<WhyStopped>,
}

/// A recording that is being written.
pub struct Log<S> {
    store: S,
    sum: Sum,
    batch: Vec<u8>,
    /// Records in it.
    in_batch: u64,
    limit: u64,
    kept: Kept,
}

impl<S: Store> Log<S> {
    /// Begins a recording: what the store has is overwritten.
    pub fn begin(store: S, limit: Limit, header: &Header) -> Self {
        let mut log = Self {
            store,
            sum: Sum::default(),
            batch: Vec::with_capacity(2 * FULL),
            in_batch: 0,
            limit: limit.0.0,
            kept: Kept {
                records: 0,
                size: Bytes(0),
                stopped: None,
            },
        };
        log.write_first(header);
        log
    }

    /// Why nothing more is recorded, if so.
    pub const fn stopped(&self) -> Option<&WhyStopped> {
        self.kept.stopped.as_ref()
    }

    /// Bytes that wait to be written.
    pub const fn waiting(&self) -> usize {
        self.batch.len()
    }

    /// A record of the ring. Costs one copy.
    pub fn record(&mut self, bytes: &[u8]) {
        if self.kept.stopped.is_none() {
            self.in_batch += 1;
            self.put(Item::Record(bytes));
        }
    }

    /// Any other input.
    pub fn put(&mut self, item: Item<'_>) {
        if self.kept.stopped.is_some() {
            return;
        }
        // Left out if it is too long: it will count as not recorded.
        let begun = self.batch.len();
        let _ = item::put(&mut self.batch, item);
        if self.batch.len() - begun > frame::MOST_PAYLOAD - 2 * FULL {
            self.batch.truncate(begun);
        }
        if self.batch.len() >= FULL {
            self.flush();
        }
    }

    /// Writes what waits.
    pub fn flush(&mut self) {
        if self.batch.is_empty() || self.kept.stopped.is_some() {
            return;
        }
        let batch = std::mem::take(&mut self.batch);
        let records = std::mem::take(&mut self.in_batch);
        let needed = (HEAD + batch.len() + TAIL) as u64;
        if self.kept.size.0 + needed + RESERVE > self.limit {
            self.stop(WhyStopped::Limit(Bytes(self.limit)));
        } else {
            self.write_or_stop(Kind::Items, &batch);
            if self.kept.stopped.is_none() {
                self.kept.records += records;
            }
        }
        self.batch = batch;
        self.batch.clear();
        // After an answer of unusual size.
        self.batch.shrink_to(2 * FULL);
    }

    /// Ends the recording with the run.
    pub fn end(mut self) -> Kept {
        self.flush();
        if self.kept.stopped.is_none() {
            self.write_or_stop(Kind::End, b"{}");
        }
        if self.kept.stopped.is_none()
            && let Err(error) = self.store.settle()
        {
            self.kept.stopped = Some(WhyStopped::Failed(error.to_string()));
        }
        self.kept
    }

    fn write_first(&mut self, header: &Header) {
        let begun = self
            .store
            .cut(0)
            .and_then(|()| self.write_raw(&frame::preamble()));
        if let Err(error) = begun {
            let _ = self.store.cut(0);
            self.kept.size = Bytes(0);
            self.kept.stopped = Some(WhyStopped::Failed(error.to_string()));
            return;
        }
        let header = serde_json::to_vec(header).unwrap_or_default();
        self.write_or_stop(Kind::Header, &header);
    }

    fn write_or_stop(&mut self, kind: Kind, payload: &[u8]) {
        let (size, sum) = (self.kept.size, self.sum);
        if let Err(error) = self.write_frame(kind, payload) {
            // What may have been written of the frame goes, so that all that is left is
            // sound.
            (self.kept.size, self.sum) = (size, sum);
            let _ = self.store.cut(size.0);
            self.stop(WhyStopped::Failed(error.to_string()));
        }
    }

    fn stop(&mut self, why: WhyStopped) {
        let text = serde_json::to_vec(&why).unwrap_or_default();
        let size = self.kept.size;
        // On a full disk there may be room for this little; if not, the recording ends
        // without it.
        if self.write_frame(Kind::Stopped, &text).is_err() {
            self.kept.size = size;
            let _ = self.store.cut(size.0);
        }
        self.kept.stopped = Some(why);
    }

    fn write_frame(&mut self, kind: Kind, payload: &[u8]) -> io::Result<()> {
        let head = frame::head(kind, payload.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        self.write_raw(&head)?;
        self.write_raw(payload)?;
        let sum = self.sum.bytes();
        self.store.write_all(&sum)?;
        self.kept.size += Bytes(TAIL as u64);
        Ok(())
    }

    fn write_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sum.add(bytes);
        self.kept.size += Bytes(bytes.len() as u64);
        self.store.write_all(bytes)
    }
}
