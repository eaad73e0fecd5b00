//! C's functions, handed on to tcmalloc's own; and what tcmalloc tells of itself.
//!
//! Where tcmalloc is built without Bazel its functions keep the names that they have inside of it.
#![expect(
    unsafe_code,
    reason = "defines the C library's functions and calls tcmalloc's"
)]

use std::ffi::{c_char, c_int, c_void};

// For the archive that it links.
use libtcmalloc_sys as _;

unsafe extern "C" {
    fn TCMallocInternalMalloc(bytes: usize) -> *mut c_void;
    fn TCMallocInternalCalloc(count: usize, bytes: usize) -> *mut c_void;
    fn TCMallocInternalRealloc(start: *mut c_void, bytes: usize) -> *mut c_void;
    fn TCMallocInternalFree(start: *mut c_void);
    fn TCMallocInternalMemalign(alignment: usize, bytes: usize) -> *mut c_void;
    fn TCMallocInternalAlignedAlloc(alignment: usize, bytes: usize) -> *mut c_void;
    fn TCMallocInternalPosixMemalign(
        start: *mut *mut c_void,
        alignment: usize,
        bytes: usize,
    ) -> c_int;
    fn MallocExtension_Internal_GetNumericProperty(
        name: *const c_char,
        length: usize,
        figure: *mut usize,
    ) -> bool;
}

/// Defines functions of the C library by tcmalloc's.
macro_rules! define {
    ($($name:ident($($argument:ident: $kind:ty),*) $(-> $result:ty)? = $function:ident;)*) => {
        $(
            /// # Safety
            /// As for the C library's.
            // SAFETY: nothing else in the program has this name, and the type is that of C.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $name($($argument: $kind),*) $(-> $result)? {
                // SAFETY: the caller's promise is what it asks for.
                unsafe { $function($($argument),*) }
            }
        )*
    };
}

define! {
    malloc(bytes: usize) -> *mut c_void = TCMallocInternalMalloc;
    calloc(count: usize, bytes: usize) -> *mut c_void = TCMallocInternalCalloc;
    realloc(start: *mut c_void, bytes: usize) -> *mut c_void = TCMallocInternalRealloc;
    free(start: *mut c_void) = TCMallocInternalFree;
    memalign(alignment: usize, bytes: usize) -> *mut c_void = TCMallocInternalMemalign;
    aligned_alloc(alignment: usize, bytes: usize) -> *mut c_void = TCMallocInternalAlignedAlloc;
    posix_memalign(start: *mut *mut c_void, alignment: usize, bytes: usize) -> c_int
        = TCMallocInternalPosixMemalign;
}

/// One of its figures, by its own name; nothing where it has none of that name.
pub fn property(name: &str) -> Option<usize> {
    let mut figure = 0;
    // SAFETY: the name is as long as is said, and there is room for a size_t.
    let is_known = unsafe {
        MallocExtension_Internal_GetNumericProperty(
            name.as_ptr().cast(),
            name.len(),
            &raw mut figure,
        )
    };
    is_known.then_some(figure)
}
