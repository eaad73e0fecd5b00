//! Threads as a C program starts them.
//!
//! Rust's own threads allocate from the C library as they start and end. On
//! glibc that gives every one of them an arena, 64 MiB of address space, even
//! when the allocator under test is another.
#![expect(unsafe_code, reason = "calls the C library's thread functions")]

use std::ffi::{c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::ptr;

use crate::error::Error;
use crate::units::Bytes;

/// What a thread does.
pub trait Body {
    /// Runs in the thread with this index. A panic here ends the process.
    fn run(index: usize);
}

/// A thread that may still run. Dropping it leaves the thread running.
#[derive(Debug)]
pub struct Thread(libc::pthread_t);

impl Thread {
    /// Starts a thread with a stack of this size.
    pub fn start<B: Body>(index: usize, stack: Bytes) -> Result<Self, Error> {
        let mut attributes = MaybeUninit::uninit();
        let mut thread = MaybeUninit::uninit();
        // SAFETY: `attributes` is initialised by the first call and destroyed
        // by the last; `entry` lives for ever and takes `index` for a number,
        // not for the pointer it is passed as.
        let started = unsafe {
            libc::pthread_attr_init(attributes.as_mut_ptr());
            libc::pthread_attr_setstacksize(attributes.as_mut_ptr(), stack.0);
            let started = libc::pthread_create(
                thread.as_mut_ptr(),
                attributes.as_ptr(),
                entry::<B>,
                ptr::without_provenance_mut(index),
            );
            libc::pthread_attr_destroy(attributes.as_mut_ptr());
            started
        };
        checked(started)?;
        // SAFETY: pthread_create succeeded, so it has stored the thread.
        Ok(Self(unsafe { thread.assume_init() }))
    }

    /// Waits for the thread to end.
    pub fn join(self) -> Result<(), Error> {
        // SAFETY: the thread was started joinable, and `self`, the only handle
        // to it, ends here.
        checked(unsafe { libc::pthread_join(self.0, ptr::null_mut()) })
    }
}

extern "C" fn entry<B: Body>(index: *mut c_void) -> *mut c_void {
    B::run(index.addr());
    ptr::null_mut()
}

fn checked(code: c_int) -> Result<(), Error> {
    match code {
        0 => Ok(()),
        code => Err(Error::Thread(io::Error::from_raw_os_error(code))),
    }
}
