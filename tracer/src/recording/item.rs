//! Items: what one frame of inputs holds, in the order in which the session got it.

use crate::world::Turn;

/// Bytes of an item before its content: its tag and the content's length.
const HEAD: usize = 1 + 4;

const TURN: u8 = 1;
const RECORD: u8 = 2;
const DRAINED: u8 = 3;
const ANSWER: u8 = 4;

const WAKE: u8 = 0;
const TICK: u8 = 1;
const CHECKPOINT: u8 = 2;
const END: u8 = 3;

/// One input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// The session got a turn.
    Turn(Turn),
    /// A record of the ring, as it was.
    Record(&'a [u8]),
    /// The ring gave no more for now.
    Drained,
    /// The session asked.
    Answer(Answer<'a>),
    /// Something that a newer version knows.
    Unknown,
}

/// An answer and its question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    pub question: Question,
    /// What it was about: JSON.
    pub key: &'a [u8],
    /// JSON.
    pub value: &'a [u8],
}

/// What can be asked, by its number in a recording. Numbers are never given anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Question {
    Now = 1,
    CheckObservable = 2,
    AddTarget = 3,
    Losses = 4,
    Words = 5,
    Hold = 6,
    Load = 7,
    Resume = 8,
    Target = 9,
    Settings = 10,
    Memory = 11,
    Reading = 12,
    Maps = 13,
    Residency = 14,
    HeapWalk = 15,
    IsAlive = 16,
    Is32Bit = 17,
    PidOfPidFd = 18,
    ObjectFile = 19,
    Calls = 20,
    Pages = 21,
    Unwind = 22,
    Symbols = 23,
    MadeCode = 24,
    OwnCost = 25,
    CpuUsed = 26,
    HeapLook = 27,
    HeapSums = 28,
}

impl Question {
    const ALL: [Self; 28] = [
        Self::Now,
        Self::CheckObservable,
        Self::AddTarget,
        Self::Losses,
        Self::Words,
        Self::Hold,
        Self::Load,
        Self::Resume,
        Self::Target,
        Self::Settings,
        Self::Memory,
        Self::Reading,
        Self::Maps,
        Self::Residency,
        Self::HeapWalk,
        Self::IsAlive,
        Self::Is32Bit,
        Self::PidOfPidFd,
        Self::ObjectFile,
        Self::Calls,
        Self::Pages,
        Self::Unwind,
        Self::Symbols,
        Self::MadeCode,
        Self::OwnCost,
        Self::CpuUsed,
        Self::HeapLook,
        Self::HeapSums,
    ];

    fn of(code: u8) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|question| *question as u8 == code)
    }
}

/// Appends an item; `None`, with nothing appended, if it is too long.
pub fn put(batch: &mut Vec<u8>, item: Item<'_>) -> Option<()> {
    match item {
        Item::Turn(turn) => put_parts(batch, TURN, &[&[turn_code(turn)]]),
        Item::Record(bytes) => put_parts(batch, RECORD, &[bytes]),
        Item::Drained => put_parts(batch, DRAINED, &[]),
        Item::Answer(answer) => {
            let key_len = u16::try_from(answer.key.len()).ok()?.to_le_bytes();
            let head = [answer.question as u8, key_len[0], key_len[1]];
            put_parts(batch, ANSWER, &[&head, answer.key, answer.value])
        }
        Item::Unknown => Some(()),
    }
}

/// Takes the first item off `rest`; `None` if there is none, or nonsense.
pub fn take<'a>(rest: &mut &'a [u8]) -> Option<Item<'a>> {
    let (&[tag, a, b, c, d], behind) = rest.split_first_chunk::<HEAD>()?;
    let len = usize::try_from(u32::from_le_bytes([a, b, c, d])).ok()?;
    let (content, behind) = behind.split_at_checked(len)?;
    let item = match tag {
        TURN => Item::Turn(turn(*content.first()?)),
        RECORD => Item::Record(content),
        DRAINED => Item::Drained,
        ANSWER => {
            let (&[question, low, high], content) = content.split_first_chunk::<3>()?;
            let key_len = usize::from(u16::from_le_bytes([low, high]));
            let (key, value) = content.split_at_checked(key_len)?;
            match Question::of(question) {
                Some(question) => Item::Answer(Answer {
                    question,
                    key,
                    value,
                }),
                None => Item::Unknown,
            }
        }
        _ => Item::Unknown,
    };
    *rest = behind;
    Some(item)
}

fn put_parts(batch: &mut Vec<u8>, tag: u8, parts: &[&[u8]]) -> Option<()> {
    let len = parts.iter().map(|part| part.len()).sum::<usize>();
    let len = u32::try_from(len).ok()?;
    batch.push(tag);
    batch.extend_from_slice(&len.to_le_bytes());
    parts.iter().for_each(|part| batch.extend_from_slice(part));
    Some(())
}

const fn turn_code(turn: Turn) -> u8 {
    match turn {
        Turn::Wake => WAKE,
        Turn::Tick { checkpoint: false } => TICK,
        Turn::Tick { checkpoint: true } => CHECKPOINT,
        Turn::End => END,
    }
}

/// A reason that a newer version knows is as good as any to take a turn.
const fn turn(code: u8) -> Turn {
    match code {
        TICK => Turn::Tick { checkpoint: false },
        CHECKPOINT => Turn::Tick { checkpoint: true },
        END => Turn::End,
        _ => Turn::Wake,
    }
}
