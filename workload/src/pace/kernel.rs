//! The calls that are timed.
#![expect(
    unsafe_code,
    reason = "maps memory, moves the end of the heap, asks the C library"
)]

use std::ffi::c_void;
use std::hint::black_box;
use std::{io, ptr};

/// What is mapped, advised, or added to the heap: 64 KiB, none of which is touched.
const SIZE: usize = 64 << 10;
/// What the allocator is asked for: small, as most blocks are.
const BLOCK: usize = 100;

/// What is done over and over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// `mmap` and `munmap`.
    Pair,
    /// `brk` up and down again.
    Brk,
    /// `madvise(MADV_DONTNEED)` of memory that has no pages.
    Madvise,
    /// A call that changes no memory.
    Getppid,
    /// `malloc` and `free` of the C library, which makes no call for them.
    Malloc,
}

/// Memory that calls are about.
pub struct Place {
    mapping: *mut c_void,
    heap_end: usize,
}

impl Place {
    /// Maps it; it stays.
    pub fn new() -> io::Result<Self> {
        match map() {
            libc::MAP_FAILED => Err(io::Error::last_os_error()),
            mapping => Ok(Self {
                mapping,
                heap_end: move_heap(0),
            }),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // SAFETY: it was mapped by `new`, and nobody else knows it.
        unsafe { libc::munmap(self.mapping, SIZE) };
    }
}

impl Pace {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Pair,
        Self::Brk,
        Self::Madvise,
        Self::Getppid,
        Self::Malloc,
    ];

    /// As it is ordered.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pair => "pair",
            Self::Brk => "brk",
            Self::Madvise => "madvise",
            Self::Getppid => "getppid",
            Self::Malloc => "malloc",
        }
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|pace| pace.name() == name)
    }

    /// Does it once. A call that fails takes its time all the same.
    #[inline]
    pub fn once(self, place: &Place) {
        // SAFETY: a mapping and a block of its own, and `place`, in which nothing lies.
        unsafe {
            match self {
                Self::Pair => {
                    libc::munmap(map(), SIZE);
                }
                Self::Brk => {
                    move_heap(place.heap_end + SIZE);
                    move_heap(place.heap_end);
                }
                Self::Madvise => {
                    libc::madvise(place.mapping, SIZE, libc::MADV_DONTNEED);
                }
                Self::Getppid => {
                    libc::syscall(libc::SYS_getppid);
                }
                Self::Malloc => libc::free(black_box(libc::malloc(black_box(BLOCK)))),
            }
        }
    }
}

fn map() -> *mut c_void {
    const ACCESS: i32 = libc::PROT_READ | libc::PROT_WRITE;
    const FLAGS: i32 = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping at an address of the kernel's choice.
    unsafe { libc::mmap(ptr::null_mut(), SIZE, ACCESS, FLAGS, -1, 0) }
}

/// Moves the end of the heap, if there is room; returns where it is.
fn move_heap(end: usize) -> usize {
    // SAFETY: longer at its end, or as it was before: nobody allocates meanwhile.
    let end = unsafe { libc::syscall(libc::SYS_brk, end) };
    usize::try_from(end).unwrap_or_default()
}
