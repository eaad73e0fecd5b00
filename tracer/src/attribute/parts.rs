//! Which part of an allocator made a call: the functions on a stack in, a word for it out.
//! Where symbols were stripped there is none.

use super::{allocators::pattern, caller::plain, evidence::Frame};

/// Functions of allocators, and what they are for. The innermost one decides.
#[rustfmt::skip]
const PARTS: &[(&str, &str, &str)] = &[
    ("glibc", "sysmalloc_mmap*", "a large chunk"),
    ("glibc", "mremap_chunk", "a large chunk"),
    ("glibc", "munmap_chunk", "a large chunk"),
    ("glibc", "alloc_new_heap", "a thread's arena"),
    ("glibc", "new_heap", "a thread's arena"),
    ("glibc", "grow_heap", "growth of a thread's arena"),
    ("glibc", "shrink_heap", "trimming of a thread's arena"),
    ("glibc", "heap_trim", "trimming of a thread's arena"),
    ("glibc", "systrim*", "trimming of the heap"),
    ("glibc", "mtrim", "malloc_trim"),
    ("glibc", "tcache_init*", "a thread's cache"),
    ("glibc", "__glibc_morecore", "growth of the heap"),
    ("glibc", "__default_morecore", "growth of the heap"),
    ("jemalloc", "*pages_purge_lazy", "a lazy purge"),
    ("jemalloc", "*pages_purge_forced", "a purge"),
    ("jemalloc", "*pages_purge_lazy_impl", "a lazy purge"),
    ("jemalloc", "*pages_decommit", "a purge"),
    ("jemalloc", "*base_map", "metadata"),
    ("jemalloc", "*base_block_alloc", "metadata"),
    ("jemalloc", "*base_new", "metadata"),
    ("jemalloc", "*extent_grow_retained", "growth of an arena"),
    ("jemalloc", "*ecache_alloc_grow", "growth of an arena"),
    ("jemalloc", "*extent_alloc_wrapper", "growth of an arena"),
    ("jemalloc", "*extent_alloc_mmap", "growth of an arena"),
    ("mimalloc", "_mi_os_purge*", "a purge"),
    ("mimalloc", "_mi_os_reset*", "a purge"),
    ("mimalloc", "_mi_os_decommit*", "a purge"),
    ("mimalloc", "_mi_os_commit*", "a commit"),
    ("mimalloc", "*mi_reserve_os_memory*", "an arena"),
    ("mimalloc", "mi_arena_reserve*", "an arena"),
    ("mimalloc", "_mi_os_zalloc*", "metadata"),
    ("mimalloc", "_mi_meta_zalloc*", "metadata"),
    ("tcmalloc", "_ZN8tcmalloc8PageHeap8GrowHeap*", "growth of the page heap"),
    ("tcmalloc", "TCMalloc_SystemRelease", "a release of pages"),
    ("tcmalloc", "_ZN8tcmalloc13MetaDataAlloc*", "metadata"),
    ("google-tcmalloc", "*HugePageAwareAllocator*", "growth of the page heap"),
    ("google-tcmalloc", "*SystemRelease*", "a release of pages"),
    ("google-tcmalloc", "*MetadataAlloc*", "metadata"),
    ("pymalloc", "_PyObject_ArenaMmap", "an arena"),
    ("pymalloc", "_PyObject_ArenaMunmap", "the end of an arena"),
    ("go", "runtime.sysReserve*", "a reservation"),
    ("go", "runtime.sysMap*", "growth of the heap"),
    ("go", "runtime.sysUnused*", "the scavenger"),
    ("go", "runtime.persistentalloc*", "metadata"),
    ("go", "runtime.(*mheap).grow*", "growth of the heap"),
];

/// What of an allocator made a call: `first` is its innermost frame.
pub fn part(allocator: &str, frames: &[Frame], first: usize) -> Option<&'static str> {
    let functions = frames.iter().skip(first).take(12);
    functions
        .filter_map(|frame| frame.function.as_deref().map(plain))
        .find_map(|function| {
            let mut known = PARTS.iter().filter(|(of, ..)| *of == allocator);
            known
                .find(|(_, name, _)| pattern::fits(name, function))
                .map(|(.., what)| *what)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{attribute::evidence::FoundBy, space::piece::FileId};

    #[test]
    fn the_innermost_function_that_is_known_names_the_part() {
        let frame = |function: &str| Frame {
            file: FileId(0),
            offset: 0,
            module: "libc.so.6".to_owned(),
            function: (!function.is_empty()).then(|| function.to_owned()),
            line: None,
            inlined: false,
            by: FoundBy::Tables,
        };
        let frames = ["mmap64", "sysmalloc_mmap.isra.0", "sysmalloc", "malloc"].map(frame);
        assert_eq!(part("glibc", &frames, 1), Some("a large chunk"));
        assert_eq!(part("jemalloc", &frames, 1), None);
        assert_eq!(part("glibc", &["mmap64", ""].map(frame), 1), None);
    }
}
