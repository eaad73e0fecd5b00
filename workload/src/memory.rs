//! Sizes in, blocks of memory out: the only file that touches raw memory.
//!
//! Nothing here frees by itself: what a scenario does not free stays
//! allocated until the process ends, as in a C program.
#![expect(
    unsafe_code,
    reason = "calls the C interface of each allocator and writes to what they return"
)]

use std::ffi::c_void;
use std::hint::black_box;
use std::ptr::NonNull;
use std::slice;

use crate::allocator::Allocator;
use crate::error::Error;
use crate::rpmalloc;
use crate::sizes::Sizes;
use crate::units::{Address, Bytes};

/// The smallest page of any supported processor, in bytes.
const PAGE: usize = 4096;

impl Allocator {
    /// Calls malloc. `black_box` keeps the compiler from removing the call
    /// together with its free.
    fn malloc(self, bytes: Bytes) -> Result<NonNull<u8>, Error> {
        let n = black_box(bytes.0);
        // SAFETY: malloc may be called with any size, at any time.
        let start = unsafe {
            match self {
                Self::System => libc::malloc(n),
                Self::Jemalloc => tikv_jemalloc_sys::malloc(n),
                Self::Mimalloc => libmimalloc_sys::mi_malloc(n),
                Self::Snmalloc => snmalloc_sys::sn_malloc(n),
                Self::Rpmalloc => rpmalloc::malloc(n),
            }
        };
        self.checked(start, bytes)
    }

    /// Calls realloc.
    ///
    /// # Safety
    /// `start` came from this allocator and is not freed. On success it is not
    /// used again.
    unsafe fn realloc(self, start: NonNull<u8>, bytes: Bytes) -> Result<NonNull<u8>, Error> {
        let start = start.as_ptr().cast::<c_void>();
        // SAFETY: the caller's promise is what realloc asks for.
        let start = unsafe {
            match self {
                Self::System => libc::realloc(start, bytes.0),
                Self::Jemalloc => tikv_jemalloc_sys::realloc(start, bytes.0),
                Self::Mimalloc => libmimalloc_sys::mi_realloc(start, bytes.0),
                Self::Snmalloc => snmalloc_sys::sn_realloc(start, bytes.0),
                Self::Rpmalloc => rpmalloc::realloc(start, bytes.0),
            }
        };
        self.checked(start, bytes)
    }

    /// Calls free.
    ///
    /// # Safety
    /// `start` came from this allocator and is not used again.
    unsafe fn free(self, start: NonNull<u8>) {
        let start = black_box(start).as_ptr().cast::<c_void>();
        // SAFETY: the caller's promise is what free asks for.
        unsafe {
            match self {
                Self::System => libc::free(start),
                Self::Jemalloc => tikv_jemalloc_sys::free(start),
                Self::Mimalloc => libmimalloc_sys::mi_free(start),
                Self::Snmalloc => snmalloc_sys::sn_free(start),
                Self::Rpmalloc => rpmalloc_sys::rpfree(start),
            }
        }
    }

    /// Has one set itself up that does so only when it is called.
    pub fn prepare(self) -> Result<(), Error> {
        if matches!(self, Self::Snmalloc | Self::Rpmalloc) {
            Block::new(self, Bytes(1))?.free();
        }
        Ok(())
    }

    /// Says that the calling thread ends. Most find out by themselves.
    pub fn leave_thread(self) {
        if self == Self::Rpmalloc {
            rpmalloc::leave();
        }
    }

    fn checked(self, start: *mut c_void, bytes: Bytes) -> Result<NonNull<u8>, Error> {
        NonNull::new(black_box(start).cast()).ok_or(Error::OutOfMemory(self, bytes))
    }
}

/// One allocated block.
#[derive(Debug)]
pub struct Block {
    allocator: Allocator,
    start: NonNull<u8>,
    bytes: Bytes,
}

impl Block {
    /// Allocates a block without writing to it.
    pub fn new(allocator: Allocator, bytes: Bytes) -> Result<Self, Error> {
        let start = allocator.malloc(bytes)?;
        Ok(Self {
            allocator,
            start,
            bytes,
        })
    }

    /// Writes to every page from byte `from` to the end of the block.
    pub fn touch(&mut self, from: Bytes) {
        let Some(last) = self.bytes.0.checked_sub(1) else {
            return;
        };
        for offset in (from.0..last).step_by(PAGE).chain([last]) {
            // SAFETY: `offset` is at most `last`, inside the block, which this
            // value owns.
            unsafe { self.start.add(offset).write_volatile(0xa5) };
        }
    }

    /// Changes the size with realloc; the block may move. After an error the
    /// old block is lost, not freed.
    pub fn resize(self, bytes: Bytes) -> Result<Self, Error> {
        // SAFETY: `start` came from `allocator`, and `self` ends here.
        let start = unsafe { self.allocator.realloc(self.start, bytes)? };
        Ok(Self {
            start,
            bytes,
            ..self
        })
    }

    /// Frees the block.
    pub fn free(self) {
        // SAFETY: `start` came from `allocator`, and `self` ends here.
        unsafe { self.allocator.free(self.start) }
    }

    /// Where the block starts.
    pub fn address(&self) -> Address {
        Address(self.start.addr().get())
    }

    /// The size asked for.
    pub fn bytes(&self) -> Bytes {
        self.bytes
    }
}

/// An entry of the table: a block, or none once it is freed.
type Slot = Option<NonNull<u8>>;

/// Many blocks, found by index. The table of pointers, 8 bytes a block, comes
/// from the same allocator and is allocated first.
#[derive(Debug)]
pub struct Blocks {
    allocator: Allocator,
    table: NonNull<Slot>,
    count: usize,
}

impl Blocks {
    /// Allocates a block of each size in turn and writes to every page of it.
    pub fn fill(allocator: Allocator, sizes: Sizes) -> Result<Self, Error> {
        let capacity = sizes.clone().count();
        let table = Block::new(allocator, Bytes(capacity * size_of::<Slot>()))?;
        let table = table.start.cast::<Slot>();
        let mut count = 0;
        for size in sizes.take(capacity) {
            let mut block = Block::new(allocator, size)?;
            block.touch(Bytes::ZERO);
            // SAFETY: `take` keeps `count` below `capacity`, for which the
            // table has room; malloc aligns for pointers.
            unsafe { table.add(count).write(Some(block.start)) };
            count += 1;
        }
        Ok(Self {
            allocator,
            table,
            count,
        })
    }

    fn slots(&mut self) -> &mut [Slot] {
        // SAFETY: `fill` wrote `count` slots, and only this value reaches them.
        unsafe { slice::from_raw_parts_mut(self.table.as_ptr(), self.count) }
    }

    /// The highest address of a block that is still allocated.
    pub fn highest(&mut self) -> Option<Address> {
        let live = self.slots().iter().flatten();
        live.map(|start| Address(start.addr().get())).max()
    }

    /// Frees, in the order of allocation, the blocks whose index `chosen`
    /// accepts.
    pub fn free_where(&mut self, chosen: impl Fn(usize) -> bool) {
        let allocator = self.allocator;
        let slots = self.slots().iter_mut().enumerate();
        for (_, slot) in slots.filter(|(index, _)| chosen(*index)) {
            if let Some(start) = slot.take() {
                // SAFETY: `fill` got `start` from `allocator`, and `take`
                // removed the only copy.
                unsafe { allocator.free(start) }
            }
        }
    }

    /// Frees every block that is left, then the table.
    pub fn free_all(mut self) {
        self.free_where(|_| true);
        // SAFETY: the table came from `allocator`, and `self` ends here.
        unsafe { self.allocator.free(self.table.cast()) }
    }
}
