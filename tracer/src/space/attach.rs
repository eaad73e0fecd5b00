//! What the kernel places for other calls than `mmap`: segments of System V shared memory,
//! rings of asynchronous I/O, shadow stacks.

use super::{
    Space,
    edit::Over,
    effect::{Doubt, Effect},
    piece::{Backing, Piece, Prot},
};
use crate::{
    event::{Call, Event},
    units::{Addr, Bytes, Span},
};

// include/uapi/linux/shm.h
const SHM_RDONLY: u64 = 0o10_000;
pub(super) const SHM_REMAP: u64 = 0o40_000;
const SHM_EXEC: u64 = 0o100_000;

impl Space {
    /// `shmat`. The call does not say how long the segment is: only what VmSize rose by.
    pub(super) fn attach(
        &mut self,
        event: &Event,
        call: &Call,
        result: u64,
        (flags, grown): (u64, Option<Bytes>),
    ) -> Effect {
        let prot = Prot {
            read: true,
            write: flags & SHM_RDONLY == 0,
            exec: flags & SHM_EXEC != 0,
        };
        // SHM_REMAP unmaps what is in its way: then VmSize rises by less than the size.
        let size = grown.filter(|_| flags & SHM_REMAP == 0);
        self.place_file(event, call, Addr(result), size, prot)
    }

    /// `io_setup`: `aio_setup_ring` maps the ring shared.
    pub(super) fn ring_setup(
        &mut self,
        event: &Event,
        call: &Call,
        ring: Addr,
        grown: Option<Bytes>,
    ) -> Effect {
        self.place_file(event, call, ring, grown, Prot::from_bits(3))
    }

    /// `map_shadow_stack`: `alloc_shstk` maps private anonymous memory, writable to the
    /// processor alone but shown as `rw-p`.
    pub(super) fn shadow_stack(
        &mut self,
        event: &Event,
        call: &Call,
        result: u64,
        len: u64,
    ) -> Effect {
        let span = self.placed(result, len);
        if span.is_empty() {
            return Effect::default();
        }
        let origin = self.origin(event, call, span.len());
        self.place(span, Over::Free, self.plain(origin));
        Effect {
            concerned: span.len(),
            ..Effect::default()
        }
    }

    fn place_file(
        &mut self,
        event: &Event,
        call: &Call,
        at: Addr,
        size: Option<Bytes>,
        prot: Prot,
    ) -> Effect {
        let size = size.filter(|_| event.quiet).unwrap_or_default();
        let span = self.placed(at.0, size.0);
        if span.is_empty() {
            return Effect {
                doubt: Some(Doubt::UnknownSize(Span::new(at, 0))),
                ..Effect::default()
            };
        }
        let origin = self.origin(event, call, span.len());
        let piece = Piece {
            prot,
            shared: true,
            backing: Backing::File {
                file: self.seen_file(None),
                bias: 0u64.wrapping_sub(span.start.0),
            },
            ..self.plain(origin)
        };
        self.place(span, Over::Free, piece);
        Effect {
            concerned: span.len(),
            ..Effect::default()
        }
    }
}
