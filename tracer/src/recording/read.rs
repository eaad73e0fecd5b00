//! The reader: bytes of a stranger in, items out, one frame in memory at a time.

use std::{
    error::Error,
    fmt,
    io::{self, Read},
};

use super::{
    frame::{self, HEAD, Kind, MAGIC, PREAMBLE, Sum, TAIL, VERSION},
    header::{Header, WrongHeader},
    item::{self, Item},
    log::WhyStopped,
};

/// How a recording ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With its run.
    Whole,
    /// Before its run.
    Stopped(WhyStopped),
    /// In damage.
    Damaged(Damage),
}

/// What is wrong behind the intact part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damage {
    /// It has no end: this many bytes are sound.
    CutShort(u64),
    /// What follows this many bytes is not what was written.
    Corrupt(u64),
    /// It could not be read further than that, in words.
    Unreadable(u64, String),
}

/// Why something is no recording that can be read.
#[derive(Debug)]
pub enum NoRecording {
    /// It begins with something else.
    Foreign,
    /// Its format is of a version that this tracer does not know.
    Newer(u32),
    /// It ends, or is damaged, before it tells what it is.
    NoHeader(Damage),
    /// It is of a kind that this build cannot read.
    Wrong(WrongHeader),
}

/// A recording that is being read.
pub struct Reader<R> {
    source: R,
    sum: Sum,
    /// Bytes that were found sound.
    sound: u64,
    payload: Vec<u8>,
    /// How much of the payload was taken.
    taken: usize,
    ending: Option<Ending>,
}

impl<R: Read> Reader<R> {
    /// Begins to read.
    ///
    /// # Errors
    /// It is no recording, or not one that this build can read.
    pub fn open(source: R) -> Result<(Self, Header), NoRecording> {
        let mut reader = Self {
            source,
            sum: Sum::default(),
            sound: 0,
            payload: Vec::new(),
            taken: 0,
            ending: None,
        };
        let mut begin = Vec::new();
        (&mut reader.source)
            .take(PREAMBLE as u64)
            .read_to_end(&mut begin)
            .map_err(|error| NoRecording::NoHeader(reader.unreadable(&error)))?;
        let known = begin.len().min(MAGIC.len());
        if begin[..known] != MAGIC[..known] {
            return Err(NoRecording::Foreign);
        }
        let Some(preamble) = begin.first_chunk::<PREAMBLE>() else {
            return Err(NoRecording::NoHeader(Damage::CutShort(begin.len() as u64)));
        };
        let version = preamble.last_chunk().map_or(0, |v| u32::from_le_bytes(*v));
        if version != VERSION {
            return Err(NoRecording::Newer(version));
        }
        reader.sum.add(preamble);
        reader.sound = PREAMBLE as u64;
        let header = match reader.read_frame() {
            Ok(Kind::Header) => serde_json::from_slice::<Header>(&reader.payload),
            Ok(_) => return Err(NoRecording::NoHeader(Damage::Corrupt(PREAMBLE as u64))),
            Err(damage) => return Err(NoRecording::NoHeader(damage)),
        };
        let Ok(header) = header else {
            return Err(NoRecording::NoHeader(Damage::Corrupt(PREAMBLE as u64)));
        };
        header.check().map_err(NoRecording::Wrong)?;
        reader.taken = reader.payload.len();
        Ok((reader, header))
    }

    /// The next item, which stays the next one; `None` at the end.
    pub fn peek(&mut self) -> Option<Item<'_>> {
        self.fill();
        item::take(&mut self.payload.get(self.taken..)?)
    }

    /// Takes the next item.
    pub fn next(&mut self) -> Option<Item<'_>> {
        self.fill();
        let mut rest = self.payload.get(self.taken..)?;
        let item = item::take(&mut rest)?;
        self.taken = self.payload.len() - rest.len();
        Some(item)
    }

    /// Reads on to the end and tells how that is.
    pub fn ending(&mut self) -> &Ending {
        while self.ending.is_none() {
            self.taken = self.payload.len();
            self.fill();
        }
        self.ending
            .get_or_insert(Ending::Damaged(Damage::CutShort(self.sound)))
    }

    /// Reads the next frame of items once this one is used up.
    fn fill(&mut self) {
        while self.ending.is_none() && self.taken >= self.payload.len() {
            self.taken = 0;
            let before = self.sound;
            let ending = match self.read_frame() {
                Ok(Kind::Items) if is_items(&self.payload) => continue,
                Ok(Kind::End) => Some(Ending::Whole),
                Ok(Kind::Stopped) => serde_json::from_slice(&self.payload)
                    .ok()
                    .map(Ending::Stopped),
                Ok(Kind::Items | Kind::Header) => None,
                Err(damage) => Some(Ending::Damaged(damage)),
            };
            self.payload.clear();
            let corrupt = Ending::Damaged(Damage::Corrupt(before));
            self.ending = Some(match ending.unwrap_or(corrupt) {
                whole @ (Ending::Whole | Ending::Stopped(_)) => match self.read_array::<1>() {
                    Ok(None) => whole,
                    Ok(Some(_)) => Ending::Damaged(Damage::Corrupt(self.sound)),
                    Err(damage) => Ending::Damaged(damage),
                },
                damaged @ Ending::Damaged(_) => damaged,
            });
        }
    }

    /// Reads a frame into `payload`.
    fn read_frame(&mut self) -> Result<Kind, Damage> {
        self.payload.clear();
        let short = Damage::CutShort(self.sound);
        let head: [u8; HEAD] = self.read_array()?.ok_or_else(|| short.clone())?;
        let (kind, len) = frame::parse_head(head).ok_or(Damage::Corrupt(self.sound))?;
        // Grows with what is there, not with what the length claims.
        let read = (&mut self.source)
            .take(len as u64)
            .read_to_end(&mut self.payload)
            .map_err(|error| self.unreadable(&error))?;
        if read < len {
            return Err(short);
        }
        let claimed: [u8; TAIL] = self.read_array()?.ok_or(short)?;
        self.sum.add(&head);
        self.sum.add(&self.payload);
        if self.sum.bytes() != claimed {
            self.payload.clear();
            return Err(Damage::Corrupt(self.sound));
        }
        self.sound += (HEAD + len + TAIL) as u64;
        Ok(kind)
    }

    /// That many bytes; `None` if there are fewer.
    fn read_array<const N: usize>(&mut self) -> Result<Option<[u8; N]>, Damage> {
        let mut bytes = [0; N];
        match self.source.read_exact(&mut bytes) {
            Ok(()) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(self.unreadable(&error)),
        }
    }

    fn unreadable(&self, error: &io::Error) -> Damage {
        Damage::Unreadable(self.sound, error.to_string())
    }
}

/// Whether a payload consists of items to its end.
fn is_items(mut payload: &[u8]) -> bool {
    while item::take(&mut payload).is_some() {}
    payload.is_empty()
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CutShort(sound) => write!(
                f,
                "the recording is cut short after {sound} bytes: the tracer did not come to its \
                 end, or the file was not copied whole"
            ),
            Self::Corrupt(sound) => write!(
                f,
                "the recording is damaged behind byte {sound}: what follows is not what was \
                 written"
            ),
            Self::Unreadable(sound, why) => {
                write!(f, "the recording cannot be read behind byte {sound}: {why}")
            }
        }
    }
}

impl fmt::Display for NoRecording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign => f.write_str(
                "it is no recording: those are made by `tracer record`, or by tracing with \
                 --record",
            ),
            Self::Newer(version) => write!(
                f,
                "it is a recording of format {version}, this tracer reads format {VERSION}: use \
                 the version that recorded it, or a newer one"
            ),
            Self::NoHeader(damage) => write!(f, "{damage}; nothing can be reported"),
            Self::Wrong(wrong) => wrong.fmt(f),
        }
    }
}

impl Error for NoRecording {}
