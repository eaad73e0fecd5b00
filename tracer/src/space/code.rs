//! Where code of files lies now: an address in, a place in a file out.

use super::{
    intervals::{Intervals, is_code},
    piece::{Backing, FileId, Piece},
    sites::CodeAddress,
};
use crate::units::{Addr, Span};

/// The executable spans of files, in order of address: a small copy of what the map holds
/// among much else.
#[derive(Clone, Debug, Default)]
pub(super) struct Code {
    spans: Vec<(Span, FileId, u64)>,
    /// From the first to the last: most words of a stack are small numbers, or point into it.
    all: Span,
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
        let in_file = |(span, piece): (Span, &Piece)| match piece.backing {
            Backing::File { file, bias } if is_code(piece) => Some((span, file, bias)),
            _ => None,
        };
        self.spans.extend(map.iter().filter_map(in_file));
        if let (Some((first, ..)), Some((last, ..))) = (self.spans.first(), self.spans.last()) {
            self.all = Span::between(first.start, last.end);
        }
    }

    /// Changes when the code does.
    pub(super) const fn version(&self) -> u64 {
        self.version
    }

    /// The place in a file of an address, if it is code of one.
    pub(super) fn find(&self, addr: Addr) -> Option<CodeAddress> {
        if !self.all.contains(addr) {
            return None;
        }
        let behind = self.spans.partition_point(|(span, ..)| span.start <= addr);
        let &(span, file, bias) = self.spans.get(behind.checked_sub(1)?)?;
        span.contains(addr).then(|| CodeAddress {
            file,
            offset: addr.0.wrapping_add(bias),
        })
    }
}
