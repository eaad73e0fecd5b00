//! What must hold of any process, however odd its calls and its figures.

use proptest::prelude::*;

use crate::{
    attribute::{
        evidence::{Doubt, HeapWalk, PageSum, Pin, Resident},
        testing::*,
    },
    units::{Addr, Bytes, Span},
};

/// Where made-up calls strike.
const BASE: u64 = 0x7000_0000_0000;
const PAGES: u64 = 4096;

#[derive(Clone, Debug)]
enum Step {
    Map(usize, u64, u64, bool, bool),
    Unmap(u64, u64),
    Advise(u64, u64, bool),
    Protect(u64, u64, bool),
    Name(u64, u64),
    Brk(usize, i64),
}

const SITES: [&[At]; 7] = [
    &[],
    OWN,
    GLIBC_MALLOC,
    JEMALLOC,
    MIMALLOC,
    GLIBC_THREAD,
    &[(PROGRAM, "")],
];

fn step() -> impl Strategy<Value = Step> {
    let range = || (0..PAGES, 1..512_u64);
    prop_oneof![
        (0..SITES.len(), range(), any::<bool>(), any::<bool>())
            .prop_map(|(site, (at, len), rw, nr)| Step::Map(site, at, len, rw, nr)),
        range().prop_map(|(at, len)| Step::Unmap(at, len)),
        (range(), any::<bool>()).prop_map(|((at, len), free)| Step::Advise(at, len, free)),
        (range(), any::<bool>()).prop_map(|((at, len), rw)| Step::Protect(at, len, rw)),
        range().prop_map(|(at, len)| Step::Name(at, len)),
        (0..SITES.len(), -300..900_i64).prop_map(|(site, by)| Step::Brk(site, by)),
    ]
}

fn take(world: &mut World, step: &Step) {
    let addr = |page: u64| Addr(BASE + page * 4 * KIB);
    match *step {
        Step::Map(site, at, len, rw, nr) => {
            let flags = if nr { FIXED | NORESERVE } else { FIXED };
            let prot = if rw { RW } else { NONE };
            world.mmap_at(SITES[site], addr(at), len * 4 * KIB, prot, flags);
        }
        Step::Unmap(at, len) => world.munmap(addr(at), len * 4 * KIB),
        Step::Advise(at, len, free) => {
            let advice = if free { FREE } else { DONTNEED };
            world.madvise(addr(at), len * 4 * KIB, advice);
        }
        Step::Protect(at, len, rw) => {
            world.mprotect(addr(at), len * 4 * KIB, if rw { RW } else { NONE });
        }
        Step::Name(at, len) => world.name(addr(at), len * 4 * KIB, "mimalloc"),
        Step::Brk(site, pages) => world.brk(SITES[site], pages * 4096),
    }
}

fn resident() -> impl Strategy<Value = Resident> {
    let figures = [any::<u32>(), any::<u32>(), any::<u32>()];
    (0..PAGES, 0..2048_u64, figures).prop_map(|(at, len, [rss, lazy, swap])| Resident {
        span: Span::new(Addr(BASE + at * 4 * KIB), len * 4 * KIB),
        rss: Bytes(u64::from(rss >> 8)),
        anonymous: Bytes(0),
        lazy_free: Bytes(u64::from(lazy >> 8)),
        swap: Bytes(u64::from(swap >> 12)),
        anon_huge: Bytes(0),
        huge_tlb: Bytes(0),
        no_reserve: lazy % 2 == 0,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_ledger_sums_to_vm_size(
        steps in prop::collection::vec(step(), 0..40),
        smaps in prop::option::of(prop::collection::vec(resident(), 0..12)),
        true_smaps in any::<bool>(),
        rss in prop::option::of(any::<u32>()),
        walk in prop::option::of([any::<u32>(), any::<u32>(), any::<u32>()]),
        doubt in (0..2_u64, 0..3_u64),
        census in any::<bool>(),
    ) {
        let mut world = World::dynamic(&[LIBJEMALLOC, LIBMIMALLOC]);
        for step in &steps {
            take(&mut world, step);
        }
        if census {
            // Whatever is said of pages, more than there are included.
            let sum = |vma: &Resident| PageSum { resident: vma.rss, swapped: vma.swap, ..PageSum::default() };
            let there: Vec<(Addr, PageSum)> = smaps.iter().flatten()
                .map(|vma| (vma.span.start, sum(vma)))
                .collect();
            world.census(&there);
        }
        if true_smaps {
            let there: Vec<(Addr, u64)> = smaps.iter().flatten()
                .map(|vma| (vma.span.start, vma.rss.0))
                .collect();
            world.smaps(&there);
        } else if let Some(smaps) = smaps {
            *world.residency() = smaps;
        }
        world.rss_anon_at_end = rss.map(|rss| Bytes(u64::from(rss)));
        world.rss.at_end = world.rss_anon_at_end;
        world.heap = walk.map(|[free, top, pin]| HeapWalk {
            span: Span::new(world.heap_start(), 0),
            in_use: Bytes(0),
            free: Bytes(u64::from(free)),
            top: Bytes(u64::from(top)),
            pin: (pin % 2 == 0).then_some(Pin { addr: Addr(0), size: Bytes(u64::from(pin)) }),
        });
        world.doubt = Doubt { lost: doubt.0, mismatches: 0, drift: Bytes(doubt.1 << 20), unread: false };
        // `explain` checks the ledger.
        let explanation = world.explain();
        let owners: Vec<Span> = explanation.owners.iter().map(|(span, _)| *span).collect();
        let pieces: Vec<Span> = world.space.pieces().map(|(span, _)| span).collect();
        prop_assert_eq!(owners, pieces);
        for finding in &explanation.findings {
            prop_assert!(!finding.summary.is_empty() && finding.summary.ends_with('.'));
            prop_assert!(!finding.evidence.is_empty());
        }
        prop_assert!(explanation.verdict.summary.ends_with('.'));
    }
}
