//! The public functions of allocators: a symbol's name in, how it takes its arguments out.
//!
//! Sources: malloc(3), the manuals of jemalloc and gperftools, `mimalloc.h`, `h_malloc.h` of
//! hardened_malloc, `tcmalloc.h` of Google's tcmalloc, the Itanium C++ ABI for the names of `operator
//! new` and `operator delete`.

/// How a function takes its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Signature {
    /// `f(size)`, and what follows does not matter.
    Size,
    /// `f(count, size)`.
    CountSize,
    /// `f(something, size)`.
    AlignSize,
    /// `f(&block, alignment, size)`: returns 0 and writes the block's address.
    Written,
    /// `f(block, size)`.
    Resize,
    /// `f(block, count, size)`.
    ResizeCount,
    /// `f(block)`.
    Free,
}

impl Signature {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Size,
        Self::CountSize,
        Self::AlignSize,
        Self::Written,
        Self::Resize,
        Self::ResizeCount,
        Self::Free,
    ];

    /// Whether what it returns is of interest.
    #[must_use]
    pub fn returns(self) -> bool {
        self != Self::Free
    }
}

use Signature::{AlignSize, CountSize, Free, Resize, ResizeCount, Size, Written};

/// Names that most allocators have, each behind a prefix of its own.
const COMMON: [(&str, Signature); 18] = [
    ("malloc", Size),
    ("calloc", CountSize),
    ("realloc", Resize),
    ("reallocarray", ResizeCount),
    ("free", Free),
    ("cfree", Free),
    ("posix_memalign", Written),
    ("aligned_alloc", AlignSize),
    ("memalign", AlignSize),
    ("valloc", Size),
    ("pvalloc", Size),
    ("free_sized", Free),
    ("free_aligned_sized", Free),
    // jemalloc's own.
    ("mallocx", Size),
    ("rallocx", Resize),
    ("dallocx", Free),
    ("sdallocx", Free),
    ("smallocx", Size),
];

/// Prefixes: none, glibc's, jemalloc's (as distributions, as Rust's crate builds it),
/// gperftools', mimalloc's, TBB's, snmalloc's, hardened_malloc's.
const PREFIXES: [&str; 9] = [
    "",
    "__libc_",
    "je_",
    "_rjem_",
    "tc_",
    "mi_",
    "scalable_",
    "sn_",
    "h_",
];

/// What the names of Google's tcmalloc begin with; C's and C++'s names are others for the same code.
const GOOGLE: [&str; 2] = ["TCMallocInternal", "BridgeTCMallocInternal"];

/// How those go on, but for operators.
const GOOGLES: [(&str, Signature); 14] = [
    ("Malloc", Size),
    ("Calloc", CountSize),
    ("Realloc", Resize),
    ("ReallocArray", ResizeCount),
    ("Free", Free),
    ("FreeSized", Free),
    ("FreeAlignedSized", Free),
    ("Cfree", Free),
    ("PosixMemalign", Written),
    ("AlignedAlloc", AlignSize),
    ("Memalign", AlignSize),
    ("Valloc", Size),
    ("Pvalloc", Size),
    ("Sdallocx", Free),
];

/// Names of one allocator.
const PARTICULAR: [(&str, Signature); 44] = [
    ("mi_malloc_small", Size),
    ("mi_zalloc", Size),
    ("mi_zalloc_small", Size),
    ("mi_mallocn", CountSize),
    ("mi_reallocn", ResizeCount),
    ("mi_reallocf", Resize),
    ("mi_rezalloc", Resize),
    ("mi_recalloc", ResizeCount),
    ("mi_malloc_aligned", Size),
    ("mi_malloc_aligned_at", Size),
    ("mi_zalloc_aligned", Size),
    ("mi_zalloc_aligned_at", Size),
    ("mi_calloc_aligned", CountSize),
    ("mi_calloc_aligned_at", CountSize),
    ("mi_realloc_aligned", Resize),
    ("mi_realloc_aligned_at", Resize),
    ("mi_rezalloc_aligned", Resize),
    ("mi_free_size", Free),
    ("mi_free_aligned", Free),
    ("mi_free_size_aligned", Free),
    ("mi_new", Size),
    ("mi_new_nothrow", Size),
    ("mi_new_aligned", Size),
    ("mi_new_aligned_nothrow", Size),
    ("mi_new_n", CountSize),
    ("mi_new_realloc", Resize),
    ("mi_new_reallocn", ResizeCount),
    ("mi_heap_malloc", AlignSize),
    ("mi_heap_malloc_small", AlignSize),
    ("mi_heap_zalloc", AlignSize),
    ("mi_heap_malloc_aligned", AlignSize),
    ("tc_new", Size),
    ("tc_new_nothrow", Size),
    ("tc_new_aligned", Size),
    ("tc_new_aligned_nothrow", Size),
    ("tc_newarray", Size),
    ("tc_newarray_nothrow", Size),
    ("tc_newarray_aligned", Size),
    ("tc_newarray_aligned_nothrow", Size),
    ("rpmalloc", Size),
    ("rpcalloc", CountSize),
    ("rprealloc", Resize),
    ("rpaligned_alloc", AlignSize),
    ("rpfree", Free),
];

/// What a function is, by the name of its symbol; `None` if it is of no allocator.
///
/// `tc_delete` and its kin, and C++'s operators, are told by how their names begin.
#[must_use]
pub fn signature(name: &str) -> Option<Signature> {
    if let Some((_, signature)) = PARTICULAR.iter().find(|(known, _)| *known == name) {
        return Some(*signature);
    }
    let bare = PREFIXES
        .iter()
        .filter_map(|prefix| name.strip_prefix(prefix))
        .find_map(|bare| COMMON.iter().find(|(known, _)| *known == bare));
    if let Some((_, signature)) = bare {
        return Some(*signature);
    }
    if name.starts_with("tc_delete") {
        return Some(Free);
    }
    google(name).or_else(|| operator(name))
}

/// A function of Google's tcmalloc: one of C's, or an operator in one of its forms.
fn google(name: &str) -> Option<Signature> {
    let bare = GOOGLE.iter().find_map(|prefix| name.strip_prefix(prefix))?;
    if bare.starts_with("New") {
        return Some(Size);
    }
    if bare.starts_with("Delete") {
        return Some(Free);
    }
    let mut known = GOOGLES.iter();
    known
        .find(|(known, _)| *known == bare)
        .map(|(_, signature)| *signature)
}

/// `operator new` and `operator delete`, of objects and arrays, in all their forms.
fn operator(name: &str) -> Option<Signature> {
    if name.starts_with("_Znwm") || name.starts_with("_Znam") {
        Some(Size)
    } else if name.starts_with("_ZdlPv") || name.starts_with("_ZdaPv") {
        Some(Free)
    } else {
        None
    }
}

/// Whether a function only hands on to others where its file has no allocator: C++'s operators
/// of the standard library call `malloc`.
#[must_use]
pub fn hands_on(name: &str) -> bool {
    operator(name).is_some()
}

/// The files of allocators that a command may load later, by how their names begin.
pub const LIBRARIES: [&str; 6] = [
    "libc.so.",
    "libhardened_malloc",
    "libjemalloc.so",
    "libtcmalloc",
    "libmimalloc",
    "libtbbmalloc",
];

/// Whether a file is a dynamic loader, which has a small allocator of its own that is used until
/// the program's is there. musl's is the C library too.
#[must_use]
pub fn is_loader(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.starts_with("ld-linux") || name.starts_with("ld-2.") || name == "ld.so"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_of_every_allocator_are_known() {
        for (name, expected) in [
            ("malloc", Size),
            ("__libc_memalign", AlignSize),
            ("cfree", Free),
            ("_rjem_sdallocx", Free),
            ("_rjem_rallocx", Resize),
            ("je_posix_memalign", Written),
            ("tc_deletearray_sized", Free),
            ("mi_zalloc_aligned", Size),
            ("mi_reallocarray", ResizeCount),
            ("_ZnwmSt11align_val_t", Size),
            ("_ZdaPvm", Free),
            ("scalable_calloc", CountSize),
            ("h_malloc", Size),
            ("TCMallocInternalPosixMemalign", Written),
            ("TCMallocInternalNewSizeReturning", Size),
            ("TCMallocInternalDeleteArraySizedAligned", Free),
            ("BridgeTCMallocInternalNewAlignedNothrow", Size),
        ] {
            assert_eq!(signature(name), Some(expected), "{name}");
        }
    }

    #[test]
    fn others_are_not_mistaken_for_them() {
        for name in [
            "malloc_trim",
            "mallopt",
            "xmalloc",
            "free_list",
            "g_malloc",
            "_ZnwR",
            "malloc_usable_size",
            "mi_malloc_good_size",
            "je_malloc_conf",
            "TCMallocInternalMallocSize",
            "TCMallocInternalMallocTrim",
            "h_malloc_usable_size",
        ] {
            assert_eq!(signature(name), None, "{name}");
        }
    }

    #[test]
    fn names_are_given_once() {
        for (name, _) in PARTICULAR {
            let bare = PREFIXES
                .iter()
                .filter_map(|prefix| name.strip_prefix(prefix))
                .any(|bare| COMMON.iter().any(|(known, _)| *known == bare));
            assert!(!bare, "{name} is common");
        }
    }

    #[test]
    fn loaders_are_told_from_c_libraries() {
        assert!(is_loader("/lib64/ld-linux-x86-64.so.2"));
        assert!(!is_loader("/lib/ld-musl-x86_64.so.1"));
        assert!(!is_loader("/usr/lib/libc.so.6"));
    }
}
