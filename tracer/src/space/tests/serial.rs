//! One call after another: the model says of every page what the naive kernel says.

use proptest::prelude::*;

use super::{
    super::{Space, piece::Provenance},
    PAGE, assert_sound,
    kernel::{Kernel, Page, WINDOW, When},
    line,
    ops::{Op, ops},
    size_by_flows, space,
};
use crate::event::EventKind;
use crate::units::{Bytes, Nanos, Tid};

/// A kernel with two pages of stack at the window's end and an empty heap at its start,
/// and a model that was attached to it.
pub fn attached() -> (Kernel, Space) {
    let mut space = space();
    let stack = line((WINDOW.end - 2) * PAGE, 2 * PAGE, "rw-p", 0, 0, "[stack]");
    space.adopt(&[stack], Provenance::PreExisting, Nanos(0));
    let mut kernel = Kernel::default();
    kernel.brk = WINDOW.start * PAGE;
    for (span, piece) in space.pieces() {
        let page = Page {
            prot: piece.prot,
            shared: piece.shared,
            back: super::kernel::Back::Stack,
            traits: piece.traits,
            origin: piece.origin,
            content: piece.content,
            name: None,
        };
        for at in span.start.0 / PAGE..span.end.0 / PAGE {
            kernel.pages.insert(at, page.clone());
        }
    }
    // What the first `brk` of a program would tell.
    let asked = crate::event::Request::Brk {
        wanted: crate::units::Addr(0),
        before: None,
    };
    space.apply(&super::call(
        0,
        crate::event::Syscall::Brk,
        asked,
        Ok(kernel.brk),
    ));
    (kernel, space)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn the_model_equals_the_kernel_page_by_page(ops in ops(60)) {
        let (mut kernel, mut space) = attached();
        let mut at_attach = space.vm_size();
        for (n, op) in (1..).zip(&ops) {
            let when = When { tid: Tid(1), entered: Nanos(n * 10), exited: Nanos(n * 10 + 5) };
            let before = space.vm_size();
            if let Some(event) = kernel.run(op, when) {
                let effect = space.apply(&event);
                prop_assert_eq!(before + effect.mapped, space.vm_size() + effect.unmapped);
                // A real kernel may fail midway, and detach less of a segment that was made
                // longer. This one never does, so its map stays exact.
                let failed =
                    matches!(&event.kind, EventKind::Call(call) if call.outcome.is_err());
                let may_doubt = match op {
                    Op::Remap { to: Some(_), .. } | Op::Map { fixed: true, .. } => failed,
                    Op::Remap {
                        dontunmap: true, ..
                    } => failed,
                    Op::RemapFile { .. } => failed,
                    op => matches!(op, Op::Detach { .. }),
                };
                prop_assert!(effect.doubt.is_none() || may_doubt, "{effect:?} after {op:?}");
            }
            match op {
                Op::GrowStack => {
                    kernel.grow_stack(when);
                    space.grow_stack(Bytes(PAGE), when.exited);
                }
                Op::Fork => {
                    kernel.fork(when.exited);
                    // The latest moment the model has heard of is that of emptying.
                    space.grow_stack(Bytes(0), when.exited);
                    space = space.fork();
                    at_attach = space.vm_size();
                }
                Op::Read => {
                    let differences = space.adopt(&space.to_vmas(), Provenance::Found, when.exited);
                    prop_assert_eq!(differences, vec![]);
                }
                _ => {}
            }
            assert_sound(&space);
            kernel.assert_equals(&space);
            kernel.assert_flows(&space);
            prop_assert_eq!(size_by_flows(&space, at_attach), space.vm_size().0);
        }
    }
}
