//! `mmap`: new bytes at the address that the kernel gave.

use super::{
    Space,
    edit::Over,
    effect::{Doubt, Effect},
    piece::{Backing, Content, Piece, Prot, Traits},
};
use crate::{
    event::{Call, Errno, Event, Request},
    units::{Addr, Nanos, Span},
};

// include/uapi/linux/mman.h, include/uapi/asm-generic/mman-common.h and mman.h
const TYPE: u64 = 0xf;
const SHARED: u64 = 0x1;
const SHARED_VALIDATE: u64 = 0x3;
const FIXED: u64 = 0x10;
const GROWSDOWN: u64 = 0x100;
const LOCKED: u64 = 0x2000;
const NORESERVE: u64 = 0x4000;
const STACK: u64 = 0x2_0000;
const HUGETLB: u64 = 0x4_0000;
const FIXED_NOREPLACE: u64 = 0x10_0000;
/// The binary logarithm of the size of a huge page, 0 for the default size.
const HUGE_SHIFT: u64 = 26;
const HUGE_MASK: u64 = 0x3f;

impl Space {
    pub(super) fn map_memory(&mut self, event: &Event, call: &Call, result: u64) -> Effect {
        let Request::Map {
            len,
            prot,
            flags,
            fd,
            offset,
            ref file,
        } = call.request
        else {
            return Effect::default();
        };
        let span = self.placed(result, self.mapped_len(len, flags));
        if span.is_empty() {
            return Effect::default();
        }
        let shared = matches!(flags & TYPE, SHARED | SHARED_VALIDATE);
        let prot = Prot::from_bits(prot);
        // The kernel makes a file for shared and for huge anonymous memory too
        // (`shmem_zero_setup`, `hugetlb_file_setup`), and shows it as one.
        let is_anonymous = fd.is_none() && !shared && flags & HUGETLB == 0;
        let backing = if is_anonymous {
            Backing::Anonymous
        } else {
            let is_shmem = fd.is_none() && flags & HUGETLB == 0;
            let offset = if is_shmem { 0 } else { self.page.down(offset) };
            Backing::File {
                file: self.seen_file(file.as_deref()),
                bias: offset.wrapping_sub(span.start.0),
            }
        };
        let origin = self.origin(event, call, span.len());
        let piece = Piece {
            prot,
            shared,
            backing,
            traits: self.traits(flags),
            content: content_of_new(prot, is_anonymous),
            ..self.plain(origin)
        };
        self.maps_stacks |= flags & GROWSDOWN != 0;
        let over = if replaces(flags) {
            Over::Occupied
        } else {
            Over::Free
        };
        if piece.content == Content::NeverAccessible && over == Over::Occupied {
            self.reserve(span, piece);
        } else {
            self.place(span, over, piece);
        }
        Effect {
            concerned: span.len(),
            ..Effect::default()
        }
    }

    /// `MAP_FIXED` unmaps what is in its way. If the file then refuses to be mapped, or memory
    /// runs out, there is a gap.
    pub(super) fn map_failed(&self, call: &Call, errno: Errno) -> Effect {
        let Request::Map { len, flags, fd, .. } = call.request else {
            return Effect::default();
        };
        let start = call.args[0];
        let span = self.range(Addr(start), len);
        let is_checked = flags & (FIXED | FIXED_NOREPLACE) == FIXED
            && self.page.down(start | call.args[5]) == start | call.args[5]
            && !matches!(errno, Errno::EBADF | Errno::EACCES)
            && (fd.is_some() || errno == Errno::ENOMEM);
        let is_there = self.map.overlapping(span).next().is_some();
        Effect {
            doubt: (is_checked && is_there).then_some(Doubt::PartialFailure(span)),
            ..Effect::default()
        }
    }

    /// Maps inaccessible memory over what is there: the way some allocators give pages
    /// back but keep the addresses. What had pages is told from what never had.
    fn reserve(&mut self, span: Span, piece: Piece) {
        let holes = self.holes(span);
        let old = self.clear(span, Over::Occupied, piece.origin.at);
        self.note_replaced(&old, &piece);
        for hole in holes {
            self.put(hole, piece);
        }
        for (span, old) in old {
            let content = content_below(&old, piece.origin.at);
            self.put(span, Piece { content, ..piece });
        }
        self.flows.of(&piece).calls += 1;
    }

    /// The length that `mmap` maps when asked for `len` bytes with `flags`.
    pub(super) fn mapped_len(&self, len: u64, flags: u64) -> u64 {
        if flags & HUGETLB == 0 {
            len
        } else {
            self.huge_len(len, flags >> HUGE_SHIFT & HUGE_MASK)
        }
    }

    /// A length rounded up to huge pages of 2^`shift` bytes, or of the default size: what
    /// one page of page-table entries maps (`HPAGE_PMD_SIZE`, 2 MiB with pages of 4 KiB).
    pub(super) fn huge_len(&self, len: u64, shift: u64) -> u64 {
        let huge = match shift {
            0 => (self.page.0 / 8).saturating_mul(self.page.0),
            _ => 1 << shift,
        };
        len.checked_next_multiple_of(huge.max(1)).unwrap_or(len)
    }

    fn traits(&self, flags: u64) -> Traits {
        Traits {
            no_reserve: flags & NORESERVE != 0,
            stack: flags & STACK != 0,
            grows_down: flags & GROWSDOWN != 0,
            huge_tlb: flags & HUGETLB != 0,
            locked: flags & LOCKED != 0 || self.locks_future,
            ..Traits::default()
        }
    }
}

/// Whether `mmap` takes the place of what is at its address.
pub(super) const fn replaces(flags: u64) -> bool {
    flags & (FIXED | FIXED_NOREPLACE) == FIXED
}

/// What new bytes hold.
pub(super) fn content_of_new(prot: Prot, is_anonymous: bool) -> Content {
    if prot.is_none() && is_anonymous {
        Content::NeverAccessible
    } else {
        Content::Unknown
    }
}

/// What inaccessible memory holds that took the place of a piece.
fn content_below(old: &Piece, at: Nanos) -> Content {
    if !old.is_anonymous() {
        return Content::NeverAccessible;
    }
    match old.content {
        Content::Unknown | Content::LazilyFreed { .. } => Content::Overlaid { at },
        Content::NeverAccessible | Content::Overlaid { .. } | Content::Discarded { .. } => {
            old.content
        }
    }
}
