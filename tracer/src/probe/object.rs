//! The object that holds the programs: as it was built, and with what only the running kernel knows
//! put into it.

use std::sync::OnceLock;

use aya::include_bytes_aligned;
use tracer_ebpf::{CAST_CALL, Layout};
use zerocopy::IntoBytes as _;

static BUILT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/tracer-ebpf"));

/// As it was built; empty if this build has no kernel side.
pub const fn built() -> &'static [u8] {
    BUILT
}

/// For the running kernel. One that cannot cast gets it as it was built: its programs are told by
/// [`Layout::cast`] not to.
pub fn for_kernel(layout: &Layout) -> &'static [u8] {
    static PATCHED: OnceLock<Vec<u64>> = OnceLock::new();
    match layout.cast {
        0 => BUILT,
        cast => PATCHED.get_or_init(|| patched(BUILT, cast)).as_bytes(),
    }
}

/// The call of a function of the kernel, as an instruction.
const fn call(function: u32) -> u64 {
    /// `BPF_JMP | BPF_CALL`.
    const CALL: u64 = 0x85;
    /// `BPF_PSEUDO_KFUNC_CALL`, as the source register.
    const OF_THE_KERNEL: u64 = 2 << 12;
    CALL | OF_THE_KERNEL | (function as u64) << 32
}

/// An object whose casts call a function of the kernel. Sections with instructions lie at multiples of eight
/// bytes, as each instruction has eight.
fn patched(object: &[u8], cast: u32) -> Vec<u64> {
    let words = object.chunks(size_of::<u64>()).map(|bytes| {
        // The last bytes of the file may be no whole word, and are no instruction.
        let mut word = [0; size_of::<u64>()];
        word.iter_mut()
            .zip(bytes)
            .for_each(|(to, from)| *to = *from);
        let word = u64::from_le_bytes(word);
        (if word == CAST_CALL { call(cast) } else { word }).to_le()
    });
    words.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn casts_alone_are_filled_in() {
        let mut object = vec![0x11; 8];
        object.extend(CAST_CALL.to_le_bytes());
        object.extend([0x22; 5]);
        let done = patched(&object, 0x1234);
        let bytes = done.as_bytes();
        assert_eq!(bytes[..8], [0x11; 8]);
        assert_eq!(bytes[8..16], [0x85, 0x20, 0, 0, 0x34, 0x12, 0, 0]);
        assert_eq!(bytes[16..], [0x22, 0x22, 0x22, 0x22, 0x22, 0, 0, 0]);
    }

    #[test]
    fn there_are_casts_in_what_was_built() {
        let whole = BUILT.chunks_exact(8);
        let casts = whole
            .filter(|word| **word == CAST_CALL.to_le_bytes())
            .count();
        assert!(BUILT.is_empty() || casts > 0);
    }
}
