//! rpmalloc, which wants to be told of every thread before that allocates, and when it ends.
#![expect(unsafe_code, reason = "calls rpmalloc's C interface")]

use std::ffi::{c_int, c_void};
use std::ptr::null_mut;
use std::sync::Once;

use rpmalloc_sys::{
    rpmalloc, rpmalloc_initialize, rpmalloc_is_thread_initialized, rpmalloc_thread_initialize,
    rprealloc,
};

/// Done by whichever thread comes first.
static INITIALIZED: Once = Once::new();

unsafe extern "C" {
    /// Declared here because the crate's own declaration lacks the argument.
    fn rpmalloc_thread_finalize(release_caches: c_int);
}

/// Calls malloc.
pub fn malloc(bytes: usize) -> *mut c_void {
    if !is_known() {
        return null_mut();
    }
    // SAFETY: the thread is known to it.
    unsafe { rpmalloc(bytes) }
}

/// Calls realloc.
///
/// # Safety
/// `start` came from here and is not freed. On success it is not used again.
pub unsafe fn realloc(start: *mut c_void, bytes: usize) -> *mut c_void {
    if !is_known() {
        return null_mut();
    }
    // SAFETY: the thread is known to it; the rest is the caller's promise.
    unsafe { rprealloc(start, bytes) }
}

/// Whether the calling thread is known to it; tells it of the thread first. Fails where memory
/// does.
fn is_known() -> bool {
    // SAFETY: the first and the last may be called at any time, the other two in any thread, one
    // after the other.
    unsafe {
        if rpmalloc_is_thread_initialized() != 0 {
            return true;
        }
        INITIALIZED.call_once(|| {
            rpmalloc_initialize();
        });
        rpmalloc_thread_initialize();
        rpmalloc_is_thread_initialized() != 0
    }
}

/// Says that the calling thread ends, as the library does by itself where it takes malloc's place:
/// what the thread has cached becomes everybody's.
pub fn leave() {
    // SAFETY: may be called at any time; a thread that it does not know is none to it.
    unsafe { rpmalloc_thread_finalize(1) }
}
