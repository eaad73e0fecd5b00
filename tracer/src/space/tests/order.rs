//! Threads that race for addresses: records in any order that the rings allow end in the
//! state that the kernel is in.

use proptest::{collection::vec, prelude::*};

use super::{
    PAGE, assert_sound,
    kernel::{Kernel, Page, When},
    ops::{Advice, Memory, Op},
    serial::attached,
    size_by_flows,
};
use crate::{
    event::{Event, EventKind, Request},
    space::effect::Doubt,
    units::{Nanos, Tid},
};

/// A call as a thread may make it: about a mapping that it owns, given by number.
#[derive(Clone, Debug)]
enum Step {
    Map { len: u64, memory: Memory, prot: u64 },
    Unmap { which: usize, skip: u64, len: u64 },
    Remap { which: usize, new: u64 },
    Protect { which: usize, skip: u64, prot: u64 },
    Advise { which: usize, skip: u64, free: bool },
    Overlay { which: usize, skip: u64, prot: u64 },
    Attach { len: u64 },
    Detach { which: usize },
    Brk { by: i64 },
}

/// How long before its effect a call was entered, how long behind it it was left, and when
/// between them its record got its place in the ring.
type Timing = (u64, u64, u64);

fn step() -> impl Strategy<Value = (usize, Step, Timing)> {
    let which = || 0..8usize;
    let prot = || prop_oneof![Just(0u64), Just(3u64)];
    let memory = prop_oneof![
        3 => Just(Memory::Private),
        1 => Just(Memory::Shared),
        1 => Just(Memory::PrivateFile(1)),
    ];
    let step = prop_oneof![
        4 => (1..6u64, memory, prot()).prop_map(
            |(len, memory, prot)| Step::Map { len, memory, prot }),
        4 => (which(), 0..2u64, 1..6u64).prop_map(
            |(which, skip, len)| Step::Unmap { which, skip, len }),
        4 => (which(), 1..7u64).prop_map(|(which, new)| Step::Remap { which, new }),
        1 => (which(), 0..2u64, prot()).prop_map(
            |(which, skip, prot)| Step::Protect { which, skip, prot }),
        1 => (which(), 0..2u64, any::<bool>()).prop_map(
            |(which, skip, free)| Step::Advise { which, skip, free }),
        1 => (which(), 0..2u64, prot()).prop_map(
            |(which, skip, prot)| Step::Overlay { which, skip, prot }),
        1 => (1..5u64).prop_map(|len| Step::Attach { len }),
        1 => which().prop_map(|which| Step::Detach { which }),
        2 => (-20_000..20_000i64).prop_map(|by| Step::Brk { by }),
    ];
    (0..4usize, step, (0..400u64, 0..400u64, 0..200u64))
}

/// A run of pages.
#[derive(Clone, Copy)]
struct Owned {
    at: u64,
    len: u64,
}

fn ask(step: &Step, owned: &[Owned], thread: usize, kernel: &Kernel) -> Option<Op> {
    let own = |which: usize, skip: u64| {
        let own = owned.get(which % owned.len().max(1))?;
        let skip = skip.min(own.len - 1);
        Some((own.at + skip, own.len - skip))
    };
    Some(match *step {
        Step::Map { len, memory, prot } => Op::Map {
            at: super::kernel::WINDOW.start,
            len,
            prot,
            memory,
            fixed: false,
        },
        Step::Unmap { which, skip, len } => {
            let (at, most) = own(which, skip)?;
            Op::Unmap {
                at,
                len: len.min(most),
            }
        }
        Step::Remap { which, new } => {
            let (at, old) = own(which, 0)?;
            // A segment made longer than it is has no memory there: no one does that, and
            // its end would be told by nothing but the model's own pieces.
            let is_segment = |at| kernel.pages.get(&at).is_some_and(Page::is_segment);
            let most = if (at..at + old).any(is_segment) {
                old
            } else {
                8
            };
            Op::Remap {
                at,
                old,
                new: new.min(most),
                to: None,
                dontunmap: false,
            }
        }
        Step::Protect { which, skip, prot } => {
            let (at, len) = own(which, skip)?;
            Op::Protect { at, len, prot }
        }
        Step::Advise { which, skip, free } => {
            let (at, len) = own(which, skip)?;
            let advice = if free { Advice::Free } else { Advice::DontNeed };
            Op::Advise { at, len, advice }
        }
        Step::Overlay { which, skip, prot } => {
            let (at, len) = own(which, skip)?;
            Op::Map {
                at,
                len,
                prot,
                memory: Memory::Private,
                fixed: true,
            }
        }
        Step::Attach { len } => Op::Attach { len, write: true },
        Step::Detach { which } => Op::Detach {
            at: own(which, 0)?.0,
        },
        // A heap belongs to one thread: allocators lock it.
        Step::Brk { by } if thread == 0 => Op::Brk { by },
        Step::Brk { .. } => return None,
    })
}

/// The runs of pages whose last call was a thread's own, found by a note beside the kernel.
fn settle(kernel: &Kernel, owners: &mut std::collections::BTreeMap<u64, usize>, thread: usize) {
    owners.retain(|at, _| kernel.pages.contains_key(at));
    for (&at, page) in &kernel.pages {
        if page.back != super::kernel::Back::Heap && page.back != super::kernel::Back::Stack {
            owners.entry(at).or_insert(thread);
        }
    }
}

fn owned(owners: &std::collections::BTreeMap<u64, usize>, thread: usize) -> Vec<Owned> {
    let mut runs: Vec<Owned> = Vec::new();
    for (&at, _) in owners.iter().filter(|(_, owner)| **owner == thread) {
        match runs.last_mut() {
            Some(run) if run.at + run.len == at => run.len += 1,
            _ => runs.push(Owned { at, len: 1 }),
        }
    }
    runs
}

/// Sorts records by their arrival, and marks those that were written while no other call
/// was under way, as the kernel side does.
pub(super) fn in_the_order_of_the_ring(records: &mut [(u64, Event)]) {
    let calls: Vec<_> = records
        .iter()
        .map(|(_, event)| (event.entered.0, event.exited.0, event.tid))
        .collect();
    for (arrival, event) in &mut *records {
        let alone = |&(entered, exited, tid): &(u64, u64, Tid)| {
            tid == event.tid || entered > event.exited.0 || exited < *arrival
        };
        event.quiet = calls.iter().all(alone);
    }
    records.sort_by_key(|(arrival, _)| *arrival);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(600) })]

    #[test]
    fn racing_records_end_in_the_kernels_state(steps in vec(step(), 1..80)) {
        let (mut kernel, mut space) = attached();
        let at_attach = space.vm_size();
        let mut owners = std::collections::BTreeMap::new();
        let mut free_from = [0u64; 4];
        let mut records: Vec<(u64, Event)> = Vec::new();
        for (n, (thread, step, (early, late, lag))) in (1..).zip(&steps) {
            // The calls take effect 100 apart; each is entered after the thread's last one.
            let effect = n * 100;
            let entered = (effect - early.min(&(effect - 1))).max(free_from[*thread] + 1);
            let exited = effect + late;
            let Some(op) = ask(step, &owned(&owners, *thread), *thread, &kernel) else { continue };
            if entered > effect {
                continue;
            }
            let when = When {
                tid: Tid(u32::try_from(*thread).unwrap_or_default()),
                entered: Nanos(entered),
                exited: Nanos(exited),
            };
            let Some(event) = kernel.run(&op, when) else { continue };
            settle(&kernel, &mut owners, *thread);
            free_from[*thread] = exited;
            // Its place in the ring is taken after its effect, and its end noted after that.
            records.push((effect + lag.min(late), event));
        }
        let overlays = steps.iter().any(|(_, step, _)| matches!(step, Step::Overlay { .. }));
        in_the_order_of_the_ring(&mut records);
        // The size of a segment is only told by a record that is quiet, and this is not about that.
        for (_, event) in &mut records {
            event.quiet |= matches!(
                &event.kind,
                EventKind::Call(call) if matches!(call.request, Request::Attach { .. })
            );
        }
        for (_, event) in &records {
            let effect = space.apply(event);
            // A fixed mapping that is unmapped by a call whose record comes late cannot be
            // told from one that was mapped over a new one: doubt is right there.
            prop_assert!(
                effect.doubt != Some(Doubt::Race) || overlays,
                "no one raced for bytes of another"
            );
            assert_sound(&space);
            prop_assert_eq!(size_by_flows(&space, at_attach), space.vm_size().0);
        }
        kernel.assert_equals(&space);
        kernel.assert_flows(&space);
    }
}

#[test]
fn a_range_reused_before_its_release_is_told_stays() {
    use super::{RW, call_between, mmap, piece, space, span};
    use crate::event::Syscall;
    let mut space = space();
    space.apply(&mmap(10, 0x10_0000, 4 * PAGE, RW, super::PRIVATE));
    space.apply(&mmap(30, 0x10_0000, 2 * PAGE, RW, super::PRIVATE));
    let release = Request::Unmap(span(0x10_0000, 4 * PAGE));
    space.apply(&call_between((20, 40), Syscall::Munmap, release, Ok(0)));
    assert_eq!(space.vm_size().0, 2 * PAGE);
    assert_eq!(piece(&space, 0x10_0000).origin.at, Nanos(31));
}
