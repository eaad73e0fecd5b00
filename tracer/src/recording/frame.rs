//! Frames: the envelopes that a recording consists of, each with a checksum that depends on
//! all before it. Nothing here knows what is in them.

/// What a recording begins with: not text, and changed by transfers that take it for text.
pub const MAGIC: [u8; 8] = *b"\x89TRACE\r\n";
/// The version of the format, which follows the magic. It goes up with every change that an
/// older reader would misunderstand.
pub const VERSION: u32 = 1;
/// Bytes of magic and version.
pub const PREAMBLE: usize = MAGIC.len() + 4;
/// Bytes of a frame before its payload: its kind and the payload's length.
pub const HEAD: usize = 1 + 4;
/// Bytes of a frame behind its payload: the checksum.
pub const TAIL: usize = 4;
/// Bytes of payload at most: what a reader must be ready to hold.
pub const MOST_PAYLOAD: usize = 64 << 20;

/// What is in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Who recorded whom: the first frame.
    Header,
    /// Inputs of the session, see [`super::item`].
    Items,
    /// Recording stopped before the run did; nothing follows.
    Stopped,
    /// The run ended; nothing follows.
    End,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Header, Self::Items, Self::Stopped, Self::End];

    const fn code(self) -> u8 {
        match self {
            Self::Header => 1,
            Self::Items => 2,
            Self::Stopped => 3,
            Self::End => 4,
        }
    }

    fn of(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

/// Magic and version.
pub fn preamble() -> [u8; PREAMBLE] {
    let mut bytes = [0; PREAMBLE];
    bytes[..MAGIC.len()].copy_from_slice(&MAGIC);
    bytes[MAGIC.len()..].copy_from_slice(&VERSION.to_le_bytes());
    bytes
}

/// The checksum (CRC-32C, Castagnoli) over all bytes so far but checksums.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum(u32);

impl Sum {
    pub fn add(&mut self, bytes: &[u8]) {
        self.0 = crc32c::crc32c_append(self.0, bytes);
    }

    pub const fn bytes(self) -> [u8; TAIL] {
        self.0.to_le_bytes()
    }
}

/// The head of a frame; `None` if the payload is larger than any may be.
pub fn head(kind: Kind, payload: usize) -> Option<[u8; HEAD]> {
    let len = u32::try_from(payload).ok()?;
    if payload > MOST_PAYLOAD {
        return None;
    }
    let [a, b, c, d] = len.to_le_bytes();
    Some([kind.code(), a, b, c, d])
}

/// What a head says; `None` if it can be none.
pub fn parse_head([code, a, b, c, d]: [u8; HEAD]) -> Option<(Kind, usize)> {
    let len = usize::try_from(u32::from_le_bytes([a, b, c, d])).ok()?;
    let kind = Kind::of(code)?;
    (len <= MOST_PAYLOAD).then_some((kind, len))
}
