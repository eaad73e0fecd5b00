//! Google's tcmalloc: regions of 1 GiB far from other mappings, pages given back, addresses kept.
//!
//! By its source of 2026 (`system-alloc.h`, `huge_cache.h`, `background.cc`, `parameters.cc`) and as
//! measured. A region is reserved inaccessible and made accessible from its end downwards by 2 MiB
//! or more, so VmSize rises by regions and not by what is asked for; a block of more than 1 GiB has
//! a mapping of its own. Nothing is unmapped. Whole huge pages that are free go back at once, beyond
//! a cache of 20 MiB or of what was used again within a second; all else only when the program asks
//! for that. Its own records lie in a region too.

use super::{Allocator, Decay, PLAIN, Shape, Topic, settings};
use crate::attribute::evidence::Evidence;

/// What it reserves at a time.
pub const REGION: u64 = 1 << 30;
/// What it makes accessible at a time, at least.
pub const HUGE_PAGE: u64 = 2 << 20;

pub(super) static GOOGLE_TCMALLOC: Allocator = Allocator {
    name: "google-tcmalloc",
    title: "Google's tcmalloc",
    functions: &[
        "TCMallocInternal*",
        "BridgeTCMallocInternal*",
        "MallocExtension_Internal_*",
        "_ZN8tcmalloc17tcmalloc_internal*",
        "_ZNK8tcmalloc17tcmalloc_internal*",
        "tcmalloc::tcmalloc_internal::*",
    ],
    symbols: &["TCMallocInternal*", "MallocExtension_Internal_*"],
    strings: &["tcmalloc_region_"],
    vma_names: &["tcmalloc_region_*"],
    fits,
    maps_ahead: true,
    grows: "it reserves regions of 1 GiB and makes them accessible from the end on, by 2 MiB or more",
    keeps: "it takes memory in regions of 1 GiB and never unmaps one",
    variables: &["TCMALLOC_HPAA_CONTROL"],
    experiment: "MallocExtension::ReleaseMemoryToSystem() in the process: what RSS falls by \
                 was free",
    advice,
    options: |evidence| settings::rows(evidence.settings, "Google's tcmalloc", &OPTIONS),
    decay: |_| {
        Some(Decay::ByCalls(
            "whole huge pages go back as they are freed, beyond a cache of 20 MiB or of what was \
             used again within a second; the rest only when the program calls \
             ReleaseMemoryToSystem(), or has a thread in ProcessBackgroundActions() and set a \
             release rate, which is 0 by default"
                .to_owned(),
        ))
    },
    ..PLAIN
};

fn fits(shape: &Shape) -> bool {
    let is_whole = shape.span.start.0.is_multiple_of(HUGE_PAGE)
        && shape.mapped.is_some_and(|mapped| mapped.0 == REGION);
    !shape.heap && !shape.no_reserve && (is_whole || shape.region_window)
}

/// The variable that bears on what it gives back (`huge_page_aware_allocator.cc`).
const OPTIONS: [settings::Known; 1] = [(
    &["TCMALLOC_HPAA_CONTROL"],
    "0",
    "1: pages of huge pages that are in use in part are not given back, not even if asked for",
)];

fn advice(evidence: &Evidence<'_>, topic: Topic) -> String {
    match topic {
        Topic::NotReleased => "tcmalloc gives small blocks' pages back only if asked to: call \
             MallocExtension::ReleaseMemoryToSystem() after the load, or \
             SetBackgroundReleaseRate() and ProcessBackgroundActions() in a thread (price: huge \
             pages are split, and pages fault when they are used again). Either lowers RSS, not \
             VmSize."
            .to_owned(),
        Topic::LazilyFreed => super::general_advice(topic).to_owned(),
        Topic::Retained | Topic::OverMapped | Topic::Reserved => format!(
            "Usually nothing: it costs no memory. No setting of tcmalloc returns address space; if \
             VmSize itself is limited or watched, use another allocator.{}",
            settings::limit_remark(evidence.settings)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        attribute::testing::*,
        units::{Addr, Bytes, Span},
    };

    /// A region that is older than the attach, with 4 MiB of it accessible.
    fn world(begin: u64) -> World {
        let whole = Span::new(Addr(begin), REGION);
        let accessible = Addr(whole.end.0 - 2 * HUGE_PAGE);
        let region = [
            vma(Span::between(whole.start, accessible), "---p", ""),
            vma(Span::between(accessible, whole.end), "rw-p", ""),
        ];
        let mut world = World::with(&[PROGRAM, LIBC], &region);
        world.tells(PROGRAM, &["TCMallocInternalMalloc"], &[]);
        world
    }

    #[test]
    fn an_older_region_is_known_by_its_looks_and_grows_downwards() {
        const BEGIN: u64 = 0x133c << 32;
        let mut world = world(BEGIN);
        let top = BEGIN + REGION - 2 * HUGE_PAGE;
        world.mprotect(Addr(top - 10 * HUGE_PAGE), 10 * HUGE_PAGE, RW);
        let explanation = world.explain();
        assert_eq!(owned(&explanation, "google-tcmalloc"), Bytes(REGION));
        // What is no longer accessible in the middle was not so left by tcmalloc.
        world.mprotect(Addr(top - 4 * HUGE_PAGE), HUGE_PAGE, NONE);
        assert_eq!(owned(&world.explain(), "google-tcmalloc"), Bytes(0));
    }

    #[test]
    fn a_region_where_mimalloc_asks_for_its_mappings_is_still_a_region() {
        const BEGIN: u64 = 0x1286 << 32;
        let mut world = world(BEGIN);
        world.tells(PROGRAM, &["TCMallocInternalMalloc", "mi_malloc"], &[]);
        let top = BEGIN + REGION - 2 * HUGE_PAGE;
        world.mprotect(Addr(top - 32 * HUGE_PAGE), 32 * HUGE_PAGE, RW);
        assert_eq!(owned(&world.explain(), "google-tcmalloc"), Bytes(REGION));
    }

    #[test]
    fn memory_elsewhere_is_no_region() {
        let world = world((0x133c << 32) + HUGE_PAGE);
        assert_eq!(owned(&world.explain(), "google-tcmalloc"), Bytes(0));
    }
}
