//! Scudo of LLVM and Android: a large reservation for small blocks, mappings for large ones.

use super::{Allocator, PLAIN, Shape};

/// Its reservation for small blocks is at least this large.
const RESERVE: u64 = 64 << 30;

pub(super) static SCUDO: Allocator = Allocator {
    name: "scudo",
    title: "Scudo",
    libraries: &["libscudo*", "libclang_rt.scudo*"],
    functions: &["_ZN5scudo*", "scudo::*", "__scudo_*"],
    symbols: &["__scudo_print_stats", "__scudo_*"],
    strings: &["Scudo ERROR"],
    vma_names: &["scudo:*"],
    fits,
    grows: "it reserves address space for each size class up front, and maps large blocks one by \
            one",
    keeps: "it keeps the reservation in which it places small blocks",
    variables: &["SCUDO_OPTIONS"],
    ..PLAIN
};

fn fits(shape: &Shape) -> bool {
    !shape.writable && !shape.heap && shape.is_reservation_of(RESERVE)
}
