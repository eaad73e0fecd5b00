//! Where code of files lies now: an address in, a place in a file out.

use super::{
    intervals::{Intervals, is_code},
    piece::{Backing, FileId},
    sites::CodeAddress,
};
use crate::units::{Addr, Span};

/// The executable spans of files, in order of address: a small copy of what the map holds
/// among much else.
#[derive(Clone, Debug, Default)]
pub(super) struct Code {
    spans: Vec<(Span, FileId, u64)>,
    version: u64,
}

impl Code {
    /// Brings it up to date with the map.
    pub(super) fn refresh(&mut self, map: &Intervals) {
        if self.version == map.code_version() {
            return;
        }
        self.version = map.code_version();
        self.spans.clear();
        self.spans
            .extend(
                map.iter()
                    .filter(|(_, piece)| is_code(piece))
                    .filter_map(|(span, piece)| match piece.backing {
                        Backing::File { file, bias } => Some((span, file, bias)),
                        _ => None,
                    }),
            );
    }

    /// Changes when the code does.
    pub(super) const fn version(&self) -> u64 {
        self.version
    }

    /// The place in a file of an address, if it is code of one.
    pub(super) fn find(&self, addr: Addr) -> Option<CodeAddress> {
        let behind = self.spans.partition_point(|(span, ..)| span.start <= addr);
        let &(span, file, bias) = self.spans.get(behind.checked_sub(1)?)?;
        span.contains(addr).then(|| CodeAddress {
            file,
            offset: addr.0.wrapping_add(bias),
        })
    }
}
