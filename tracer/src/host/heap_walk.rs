//! glibc's main heap, chunk by chunk: a process' memory in, a [`HeapWalk`] out.
//!
//! The layout is that of `malloc/malloc.c`: each chunk begins with the size of the one
//! before it (valid only if that is free) and its own size, whose low bits say whether the
//! chunk before it is in use (1), mmapped (2) or of another arena (4); the next chunk
//! follows at once; the last one is the top. The target is not stopped, so a walk that
//! does not end exactly at the heap's end is thrown away and tried again.

use std::{fs::File, os::unix::fs::FileExt as _};

use crate::{
    attribute::evidence::{HeapWalk, Pin},
    units::{Addr, Bytes, Pid, Span},
};

/// Walks are made over heaps of at most this size: a chunk header every 32 bytes at worst
/// means reading all of it.
const LARGEST_HEAP: u64 = 4 << 30;
const TRIES: usize = 3;
const WINDOW: usize = 1 << 20;
const PREVIOUS_IN_USE: u64 = 1;
const IN_MMAP_OR_OTHER_ARENA: u64 = 2 | 4;
/// `MALLOC_ALIGNMENT`.
const ALIGNMENT: u64 = 16;
/// `MINSIZE`.
const SMALLEST_CHUNK: u64 = 32;

/// Walks the heap of a process; `None` if there is none, it is not glibc's, it is larger
/// than 4 GiB, or it would not hold still.
#[must_use]
pub fn walk(pid: Pid, heap: Span) -> Option<HeapWalk> {
    if heap.is_empty() || heap.len().0 > LARGEST_HEAP {
        return None;
    }
    let memory = File::open(format!("/proc/{pid}/mem")).ok()?;
    (0..TRIES).find_map(|_| {
        let mut window = Window {
            memory: &memory,
            at: 0,
            bytes: Vec::new(),
        };
        walk_chunks(heap, |address| window.word(address))
    })
}

/// The walk over words by address.
fn walk_chunks(heap: Span, mut word: impl FnMut(u64) -> Option<u64>) -> Option<HeapWalk> {
    // The first chunk is aligned so that what malloc returns (two words on) is.
    let mut chunk = heap.start.0.checked_next_multiple_of(ALIGNMENT)?;
    let mut walk = HeapWalk {
        span: heap,
        ..HeapWalk::default()
    };
    let mut size = chunk_size(word(chunk + 8)?)?;
    loop {
        let next = chunk.checked_add(size)?;
        if next >= heap.end.0 {
            // Only the top reaches the end, to which brk may have been moved unaligned.
            let exact = next - heap.end.0 < ALIGNMENT.max(1) && next >= heap.end.0;
            walk.top = Bytes(size);
            return (exact && walk.in_use.0 > 0).then_some(walk);
        }
        let following = word(next + 8)?;
        if following & PREVIOUS_IN_USE == 0 {
            walk.free += Bytes(size);
        } else {
            walk.in_use += Bytes(size);
            walk.pin = Some(Pin {
                addr: Addr(chunk),
                size: Bytes(size),
            });
        }
        chunk = next;
        size = chunk_size(following)?;
    }
}

/// The size in a chunk's header, if it can be one of the main arena's.
const fn chunk_size(header: u64) -> Option<u64> {
    let size = header & !7;
    let sound = size >= SMALLEST_CHUNK
        && size.is_multiple_of(ALIGNMENT)
        && header & IN_MMAP_OR_OTHER_ARENA == 0;
    if sound { Some(size) } else { None }
}

/// A part of the target's memory, read in large steps.
struct Window<'a> {
    memory: &'a File,
    at: u64,
    bytes: Vec<u8>,
}

impl Window<'_> {
    fn word(&mut self, address: u64) -> Option<u64> {
        if let Some(word) = self.get(address) {
            return Some(word);
        }
        // Small chunks lie close together and are worth a large step; a jump is not.
        let near = address.wrapping_sub(self.at + self.bytes.len() as u64) < 4096;
        self.bytes.resize(if near { WINDOW } else { 64 }, 0);
        let read = self.memory.read_at(&mut self.bytes, address).ok()?;
        self.bytes.truncate(read);
        self.at = address;
        self.get(address)
    }

    fn get(&self, address: u64) -> Option<u64> {
        let offset = usize::try_from(address.checked_sub(self.at)?).ok()?;
        let word = self.bytes.get(offset..)?.first_chunk()?;
        Some(u64::from_ne_bytes(*word))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// Headers of chunks of these sizes, each with whether it is in use, then the top.
    fn heap(chunks: &[(u64, bool)], top: u64) -> (Span, HashMap<u64, u64>) {
        let start = 0x1000;
        let (mut at, mut previous, mut words) = (start, true, HashMap::new());
        for &(size, used) in chunks.iter().chain([&(top, true)]) {
            words.insert(at + 8, size | u64::from(previous));
            (at, previous) = (at + size, used);
        }
        (Span::between(Addr(start), Addr(at)), words)
    }

    #[test]
    fn a_pinned_heap_tells_what_pins_it() {
        let (span, words) = heap(&[(0x290, true), (0x10000, false), (0x800, true)], 0x20000);
        let walk = walk_chunks(span, |at| words.get(&at).copied()).expect("a heap");
        assert_eq!(
            (walk.in_use, walk.free),
            (Bytes(0x290 + 0x800), Bytes(0x10000))
        );
        assert_eq!(walk.top, Bytes(0x20000));
        let pin = Pin {
            addr: Addr(0x1000 + 0x290 + 0x10000),
            size: Bytes(0x800),
        };
        assert_eq!(walk.pin, Some(pin));
    }

    #[test]
    fn what_is_no_heap_is_none() {
        let span = Span::new(Addr(0x1000), 0x2000);
        assert_eq!(walk_chunks(span, |_| Some(0)), None);
        assert_eq!(
            walk_chunks(span, |_| Some(0x31)),
            None,
            "does not end at the end"
        );
        assert_eq!(walk_chunks(span, |_| Some(u64::MAX)), None);
        assert_eq!(walk_chunks(span, |_| None), None);
    }

    #[test]
    #[cfg(target_env = "gnu")]
    fn this_process_main_heap_can_be_walked() {
        // The main heap belongs to the first thread, which waits while tests run.
        let vmas = crate::host::maps::read_maps(Pid(std::process::id())).expect("own maps");
        let Some(heap) = vmas.iter().find(|vma| vma.name == "[heap]") else {
            return;
        };
        if let Some(walk) = walk(Pid(std::process::id()), heap.span) {
            assert_eq!(walk.in_use + walk.free + walk.top, heap.span.len());
        }
    }
}
