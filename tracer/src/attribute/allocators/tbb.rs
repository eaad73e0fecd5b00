//! The scalable allocator of oneTBB.

use super::{Allocator, PLAIN, Topic};
use crate::attribute::evidence::Evidence;

pub(super) static TBB: Allocator = Allocator {
    name: "tbbmalloc",
    title: "oneTBB's scalable allocator",
    libraries: &["libtbbmalloc*"],
    functions: &["_ZN3rml8internal*", "rml::internal::*", "scalable_malloc"],
    symbols: &[
        "scalable_malloc",
        "__TBB_malloc_proxy",
        "scalable_allocation_command",
    ],
    grows: "it maps regions of 1 MiB and more, an eighth larger than it is asked for",
    keeps: "it keeps regions of which a part is in use",
    unmaps: "it unmaps whole regions, and blocks over 64 MiB at once",
    variables: &["TBB_MALLOC_*"],
    experiment: "scalable_allocation_command(TBBMALLOC_CLEAN_ALL_BUFFERS, 0) in the process: \
                 what VmSize falls by was cached",
    advice,
    ..PLAIN
};

fn advice(_: &Evidence<'_>, topic: Topic) -> String {
    match topic {
        Topic::NotReleased => "scalable_allocation_command(TBBMALLOC_CLEAN_ALL_BUFFERS, 0) \
                               empties its caches and unmaps them; price: they must be filled \
                               again."
            .to_owned(),
        _ => super::general_advice(topic).to_owned(),
    }
}
