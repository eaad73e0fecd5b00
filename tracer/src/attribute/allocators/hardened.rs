//! hardened_malloc: terabytes reserved, freed memory made inaccessible.
//!
//! By its source of 2026 (`h_malloc.c`, `pages.c`, `config/`) and as measured, in its default
//! configuration. When the process starts it reserves 12 TiB for blocks up to 128 KiB, 64 GiB for
//! each of 49 size classes of four arenas, and 147 GiB and more for its records. Slabs of it
//! are made accessible one by one with an inaccessible one behind each, so VmSize does not move. A
//! slab that is empty is mapped over by inaccessible memory, if its class has more than 128 KiB of
//! such. Larger blocks have mappings of their own with inaccessible memory on both sides, up to
//! half as much each. When one is freed it is mapped over likewise, and unmapped when about 1,280
//! others have been freed after it; from 32 MiB on it is unmapped at once. It obeys no environment
//! variable: all is decided when it is compiled.

use super::{Allocator, Decay, PLAIN, Shape, Topic, settings};
use crate::attribute::evidence::Evidence;

/// What it reserves is far larger: slabs lie in 12 TiB, records in 147 GiB. A build with small regions
/// for its size classes is not known by its looks.
const RESERVE: u64 = 64 << 30;

pub(super) static HARDENED: Allocator = Allocator {
    name: "hardened_malloc",
    title: "hardened_malloc",
    libraries: &["libhardened_malloc*"],
    common_functions: &[
        "allocate_pages*",
        "deallocate_pages",
        "memory_map*",
        "memory_unmap",
        "memory_protect_*",
        "memory_remap*",
        "memory_purge",
        "allocate_small",
        "allocate_large",
        "allocate_aligned",
        "alloc_aligned*",
        "deallocate_small",
        "deallocate_large",
        "regions_quarantine_deallocate_pages",
        "regions_grow",
        "init_slow_path",
        "trigger_early_init",
        "h_malloc*",
        "h_calloc",
        "h_realloc*",
        "h_free*",
    ],
    // Of what is linked in without being called, nothing is left: the last one always is.
    symbols: &[
        "malloc_object_size_fast",
        "h_malloc_object_size_fast",
        "regions_quarantine_deallocate_pages*",
    ],
    strings: &["fatal allocator error: "],
    vma_names: &["malloc *"],
    fits,
    grows: "it reserves 12 TiB for small blocks when the process starts, and maps large ones with \
            inaccessible memory on both sides",
    keeps: "it maps inaccessible memory over what was freed, so that use after free fails",
    unmaps: "it unmaps a block of 32 MiB or more at once, and a smaller one when about 1,280 others \
             were freed after it",
    fewer_mappings: "Each slab stands by itself, between inaccessible ones: use the light \
                     configuration, which has one after every eighth (price: fewer overflows are \
                     caught)",
    experiment: "malloc_trim(0) in the process: what RSS falls by was free",
    advice,
    decay: |_| {
        Some(Decay::ByCalls(
            "a slab is given up when all its blocks were freed, left the quarantine and 128 KiB of \
             its size class are empty already"
                .to_owned(),
        ))
    },
    ..PLAIN
};

fn fits(shape: &Shape) -> bool {
    !shape.heap && shape.run.0 >= RESERVE
}

fn advice(evidence: &Evidence<'_>, topic: Topic) -> String {
    match topic {
        Topic::Retained => "Usually nothing: it costs no memory, and it is the quarantine that \
             makes use after free fail. A build with smaller REGION_QUARANTINE_RANDOM_LENGTH and \
             REGION_QUARANTINE_QUEUE_LENGTH unmaps sooner (price: less protection)."
            .to_owned(),
        Topic::Reserved | Topic::OverMapped => format!(
            "Usually nothing: address space that was never touched costs no memory. A build with a \
             smaller CONFIG_CLASS_REGION_SIZE or fewer arenas (N_ARENA) reserves less (price: less \
             room for each size, and for random places).{}",
            settings::limit_remark(evidence.settings)
        ),
        Topic::NotReleased => format!(
            "hardened_malloc keeps freed blocks in quarantine, and a slab as long as one of its \
             blocks is in use. To know what is free: {}.",
            HARDENED.experiment
        ),
        Topic::LazilyFreed => super::general_advice(topic).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        attribute::testing::*,
        units::{Addr, Bytes, Span},
    };

    #[test]
    fn slabs_of_an_older_reservation_are_its_own() {
        const BEGIN: u64 = 0x10 << 40;
        const SIZE: u64 = 12 << 40;
        let old = [
            vma(Span::new(Addr(BEGIN), SIZE), "---p", ""),
            vma(Span::new(Addr(BEGIN + 2 * SIZE), MIB), "rw-p", ""),
        ];
        let mut world = World::with(&[PROGRAM, LIBC], &old);
        world.tells(PROGRAM, &["malloc_object_size_fast"], &[]);
        world.mprotect(Addr(BEGIN + GIB), 64 * KIB, RW);
        let explanation = world.explain();
        assert_eq!(owned(&explanation, "hardened_malloc"), Bytes(SIZE));
        assert_eq!(owned(&explanation, "unknown"), Bytes(MIB));
    }

    #[test]
    fn what_is_freed_is_mapped_over_by_its_own_code() {
        const LARGE: &[At] = &[(LIBC, "mmap64"), (PROGRAM, "allocate_pages")];
        const FREED: &[At] = &[
            (LIBC, "mmap64"),
            (PROGRAM, "memory_map_fixed"),
            (PROGRAM, "regions_quarantine_deallocate_pages"),
        ];
        let mut world = World::dynamic(&[]);
        world.tells(PROGRAM, &["malloc", "malloc_object_size_fast"], &[]);
        let block = world.mmap(LARGE, 16 * MIB, NONE, PLAIN);
        world.mprotect(Addr(block.0 + 4 * MIB), 8 * MIB, RW);
        world.mmap_at(FREED, Addr(block.0 + 4 * MIB), 8 * MIB, NONE, FIXED);
        let explanation = world.explain();
        assert_eq!(owned(&explanation, "hardened_malloc"), Bytes(16 * MIB));
        let freed = finding(&explanation, "decommitted-by-overlay").expect("it was freed");
        assert_eq!(freed.bytes, Bytes(8 * MIB));
    }
}
