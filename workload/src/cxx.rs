//! What snmalloc, in C++, wants of C++'s library: one function, so that a run need not map it.
#![cfg(target_env = "gnu")]
#![expect(unsafe_code, reason = "stands in for a function of C++'s library")]

use std::ffi::{c_int, c_void};

type Destructor = unsafe extern "C" fn(*mut c_void);

unsafe extern "C" {
    fn __cxa_thread_atexit_impl(
        destructor: Destructor,
        object: *mut c_void,
        module: *mut c_void,
    ) -> c_int;
}

/// Has `destructor` called when the thread ends: the C library's own function.
///
/// # Safety
/// As for that: `object` is there until then, and `module` is the caller's.
// SAFETY: nothing else in the program has this name, and the type is that of the C++ ABI.
#[unsafe(no_mangle)]
unsafe extern "C" fn __cxa_thread_atexit(
    destructor: Destructor,
    object: *mut c_void,
    module: *mut c_void,
) -> c_int {
    // SAFETY: the caller's promise is what it asks for.
    unsafe { __cxa_thread_atexit_impl(destructor, object, module) }
}
