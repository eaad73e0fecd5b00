//! The address sanitizer's runtime: a debugging aid, not for production figures.

use super::{Allocator, PLAIN, Topic};
use crate::attribute::evidence::Evidence;

pub(super) static ASAN: Allocator = Allocator {
    name: "asan",
    title: "the address sanitizer",
    libraries: &["libasan*", "libclang_rt.asan*"],
    functions: &[
        "__asan*",
        "_ZN6__asan*",
        "_ZN11__sanitizer*",
        "__sanitizer::*",
    ],
    symbols: &["__asan_init"],
    strings: &["AddressSanitizer: "],
    grows: "it reserves a shadow of the whole address space, and maps more than it is asked for",
    keeps: "it keeps freed memory in a quarantine, to catch its use",
    variables: &["ASAN_OPTIONS"],
    advice,
    ..PLAIN
};

fn advice(_: &Evidence<'_>, _: Topic) -> String {
    "Its shadow of the address space (terabytes) and its quarantine (256 MiB, \
     ASAN_OPTIONS=quarantine_size_mb=…) are the price of the checks: judge memory in a build \
     without it."
        .to_owned()
}
