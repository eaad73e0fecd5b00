//! Threads that race with themselves: the model may not know, but never without knowing
//! that it does not.

use proptest::{collection::vec, prelude::*};

use super::{
    assert_sound,
    kernel::{WINDOW, When},
    ops::{Memory, Op},
    order::in_the_order_of_the_ring,
    serial::attached,
};
use crate::{
    event::{Event, EventKind, Request},
    units::{Addr, Nanos, Tid},
};

fn op() -> impl Strategy<Value = Op> {
    let at = || (0..6u64).prop_map(|page| WINDOW.start + page);
    let len = || 1..4u64;
    let prot = || prop_oneof![Just(0u64), Just(1u64), Just(3u64)];
    prop_oneof![
        3 => (at(), len(), prot(), any::<bool>()).prop_map(|(at, len, prot, fixed)| Op::Map {
            at, len, prot, memory: Memory::Private, fixed
        }),
        3 => (at(), len()).prop_map(|(at, len)| Op::Unmap { at, len }),
        2 => (at(), len(), prot()).prop_map(|(at, len, prot)| Op::Protect { at, len, prot }),
        2 => (at(), len(), len(), proptest::option::of(at()), any::<bool>()).prop_map(
            |(at, old, new, to, dontunmap)| Op::Remap { at, old, new, to, dontunmap }),
        // Even: with the end of the heap before it, as every kernel with BTF tells it.
        1 => (-10_000..10_000i64).prop_map(|by| Op::Brk { by: 2 * by }),
        // Ends that are met again.
        1 => (-2..=2i64).prop_map(|pages| Op::Brk { by: pages * 4096 }),
    ]
}

/// The end of the heap before a call is read when it is entered: other threads may move it
/// before the call does. `ends`: where it was from when on, in order of time.
fn see_heap_at_entry(event: &mut Event, ends: &[(u64, u64)]) {
    let entered = event.entered.0;
    if let EventKind::Call(call) = &mut event.kind
        && let Request::Brk {
            before: Some(before),
            ..
        } = &mut call.request
    {
        let seen = ends.iter().rev().find(|(from, _)| *from <= entered);
        *before = Addr(seen.map_or(0, |(_, end)| *end));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4000) })]

    #[test]
    fn a_wrong_model_is_a_doubted_one(
        steps in vec((0..3usize, op(), (0..300u64, 0..300u64, 0..200u64)), 1..12),
    ) {
        let (mut kernel, mut space) = attached();
        let mut free_from = [0u64; 3];
        let mut records: Vec<(u64, Event)> = Vec::new();
        let mut heap_ends = vec![(0, kernel.brk)];
        for (n, (thread, op, (early, late, lag))) in (1..).zip(&steps) {
            let effect = n * 100;
            let entered = (effect - early.min(&(effect - 1))).max(free_from[*thread] + 1);
            let exited = effect + late;
            if entered > effect {
                continue;
            }
            let when = When {
                tid: Tid(u32::try_from(*thread).unwrap_or_default()),
                entered: Nanos(entered),
                exited: Nanos(exited),
            };
            let Some(mut event) = kernel.run(op, when) else { continue };
            see_heap_at_entry(&mut event, &heap_ends);
            heap_ends.push((effect, kernel.brk));
            free_from[*thread] = exited;
            // Its place in the ring is taken after its effect, and its end noted after that.
            records.push((effect + lag.min(late), event));
        }
        in_the_order_of_the_ring(&mut records);
        let mut doubted = false;
        for (_, event) in &records {
            doubted |= space.apply(event).doubt.is_some();
            assert_sound(&space);
        }
        if !doubted {
            kernel.assert_equals(&space);
        }
    }
}
