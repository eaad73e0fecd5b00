//! V8, the JavaScript engine of Node.js and browsers.

use super::{Allocator, PLAIN};

pub(super) static V8: Allocator = Allocator {
    name: "v8",
    title: "V8",
    libraries: &["libv8*"],
    functions: &["_ZN2v8*", "v8::*"],
    symbols: &["_ZN2v84base2OS8AllocateE*"],
    vma_names: &["v8*"],
    grows: "it reserves cages of gigabytes, and makes pages of 256 KiB accessible as it needs them",
    keeps: "it keeps the reservations in which it places its heap",
    variables: &["NODE_OPTIONS"],
    experiment: "a forced collection (node --expose-gc, global.gc()): what the heap's use \
                 falls by was garbage",
    ..PLAIN
};
