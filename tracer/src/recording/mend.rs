//! Checksums made to fit, so that tests reach what lies behind them.

use super::frame::{HEAD, MAGIC, PREAMBLE, Sum, TAIL, VERSION};

/// `bytes` as a recording whose magic, version, lengths and checksums are right, whatever
/// else it is. Of a sound recording it is a copy. For tests: mending does not make damage
/// good.
#[must_use]
pub fn mended(bytes: &[u8]) -> Vec<u8> {
    let mut mended = bytes.to_vec();
    let Some((preamble, mut rest)) = mended.split_at_mut_checked(PREAMBLE) else {
        return mended;
    };
    let mut sum = Sum::default();
    preamble[..MAGIC.len()].copy_from_slice(&MAGIC);
    preamble[MAGIC.len()..].copy_from_slice(&VERSION.to_le_bytes());
    sum.add(preamble);
    while rest.len() >= HEAD + TAIL {
        let claimed = u32::from_le_bytes([rest[1], rest[2], rest[3], rest[4]]);
        let most = rest.len() - HEAD - TAIL;
        let len = usize::try_from(claimed).map_or(most, |len| len.min(most));
        if let Ok(len) = u32::try_from(len) {
            rest[1..HEAD].copy_from_slice(&len.to_le_bytes());
        }
        let (frame, behind) = rest.split_at_mut(HEAD + len);
        sum.add(frame);
        let (tail, behind) = behind.split_at_mut(TAIL);
        tail.copy_from_slice(&sum.bytes());
        rest = behind;
    }
    mended
}
