//! What an event did to an address space, and how a space can differ from the kernel's.

use crate::{
    space::vma::Vma,
    units::{Bytes, Span},
};

/// What one event did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effect {
    /// Bytes that are mapped now and were not before.
    pub mapped: Bytes,
    /// Bytes that were mapped before and are not now.
    pub unmapped: Bytes,
    /// Mapped bytes that were given back by advice or offered by `MADV_FREE`.
    pub discarded: Bytes,
    /// Bytes the call was about, for counting: mapped, unmapped, advised, protected, …
    pub concerned: Bytes,
    /// Why the model may no longer be exact, if so.
    pub doubt: Option<Doubt>,
}

/// Why a model may no longer be exact after an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// A failed call may have changed a part of its range (`mprotect` stops midway).
    PartialFailure(Span),
    /// The size of what was placed is not in the call and could not be measured.
    UnknownSize(Span),
    /// The call was about a range the model does not have, or only in part.
    UnknownRange(Span),
    /// Another thread's call about the same bytes was under way: which came first cannot
    /// be told from outside.
    Race,
}

/// A place where a model and the kernel's map disagree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Where.
    pub span: Span,
    /// What the model has there, as a line of `/proc/<pid>/maps`; `None`: nothing.
    pub model: Option<Vma>,
    /// What the kernel has there; `None`: nothing.
    pub kernel: Option<Vma>,
}
