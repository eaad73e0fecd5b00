//! Stacks as the kernel side copied them: bytes of a ring record in, a [`StackSlice`] out.
//! Nothing here unwinds.

use tracer_ebpf::{STACK_REGISTERS, StackRecord, kind};
use zerocopy::FromBytes as _;

use super::decode::DecodeError;
use crate::units::{Addr, Pid, Tid};

/// What the kernel side calls a stack: of one process, and one image of it.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(transparent)]
pub struct StackKey(pub u64);

/// The stack of a thread at a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackSlice {
    /// The process.
    pub pid: Pid,
    /// The thread.
    pub tid: Tid,
    /// What calls refer to it by.
    pub key: StackKey,
    /// How many programs the process had executed since it was observed.
    pub image: u64,
    /// The instruction behind the call.
    pub ip: Addr,
    /// The stack pointer.
    pub sp: Addr,
    /// x86-64: rbp, rbx, r12 to r15, then zeros. arm64: x29, x30, x19 to x28.
    pub registers: [u64; STACK_REGISTERS],
    /// The stack from the stack pointer on, as much as was copied.
    pub bytes: Vec<u8>,
}

impl StackSlice {
    /// The word at an address, if it was copied.
    #[must_use]
    pub fn word(&self, addr: Addr) -> Option<u64> {
        let at = usize::try_from(addr.0.checked_sub(self.sp.0)?).ok()?;
        let bytes = self.bytes.get(at..)?.first_chunk()?;
        Some(u64::from_ne_bytes(*bytes))
    }
}

/// Decodes a record that is a stack; `None` if it is another one.
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<Result<StackSlice, DecodeError>> {
    if bytes.first_chunk().map(|kind| u32::from_ne_bytes(*kind)) != Some(kind::STACK) {
        return None;
    }
    Some(slice(bytes).ok_or(DecodeError::Short))
}

/// The record of a stack without the stack, which may hold anything that the process knows;
/// `None` if it is another record.
#[must_use]
pub fn without_content(bytes: &[u8]) -> Option<StackRecord> {
    decode(bytes)?.ok()?;
    let (record, _) = StackRecord::read_from_prefix(bytes).ok()?;
    Some(StackRecord { len: 0, ..record })
}

fn slice(bytes: &[u8]) -> Option<StackSlice> {
    let (record, behind) = StackRecord::read_from_prefix(bytes).ok()?;
    let len = usize::try_from(record.len).ok()?;
    Some(StackSlice {
        pid: Pid(record.tgid),
        tid: Tid(record.tid),
        key: StackKey(record.key),
        image: record.image,
        ip: Addr(record.ip),
        sp: Addr(record.sp),
        registers: record.registers,
        bytes: behind.get(..len)?.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use zerocopy::IntoBytes as _;

    use super::*;

    #[test]
    fn words_are_found_where_they_were() {
        let record = StackRecord {
            kind: kind::STACK,
            key: 7,
            sp: 0x1000,
            len: 16,
            ..StackRecord::default()
        };
        let mut bytes = record.as_bytes().to_vec();
        bytes.extend(1_u64.to_ne_bytes());
        bytes.extend(2_u64.to_ne_bytes());
        bytes.extend([0; 2032]);
        let slice = decode(&bytes).expect("a stack").expect("a whole one");
        assert_eq!((slice.key, slice.bytes.len()), (StackKey(7), 16));
        assert_eq!(slice.word(Addr(0x1008)), Some(2));
        assert_eq!(slice.word(Addr(0x1009)), None);
        assert_eq!(slice.word(Addr(0xff8)), None);
        let cut = decode(&bytes[..size_of::<StackRecord>() + 8]);
        assert_eq!(cut, Some(Err(DecodeError::Short)));
        assert!(decode(&[1, 0, 0, 0]).is_none());
        let kept = without_content(&bytes).expect("a stack");
        let slice = decode(kept.as_bytes())
            .expect("a stack")
            .expect("a whole one");
        assert_eq!((slice.key, slice.bytes.len()), (StackKey(7), 0));
    }
}
