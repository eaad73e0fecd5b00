//! `grew-by-application-mmap`: the program maps memory itself, past any allocator.

use super::Draft;
use crate::{
    attribute::{Owner, case::Case, explanation::Finding, tally::Kind},
    space::piece::Provenance,
};

pub const REASON: &str = "grew-by-application-mmap";

pub fn find(case: &Case<'_>) -> Vec<Finding> {
    let owner = Owner::APPLICATION;
    let bytes = case.tally.fresh_bytes(&owner, Kind::Live);
    if bytes.0 == 0 {
        return Vec::new();
    }
    let flow = case.flow(&owner, |source, _| source.how != Provenance::PreExisting);
    let draft = Draft::new(case, REASON, &owner, bytes)
        .of(|part| part.fresh && part.kind_now() == Kind::Live)
        .summary(&format!(
            "The program itself, not an allocator, mapped {bytes} that is still there and that \
             no call gave back."
        ))
        .mapped_by()
        .places()
        .ranges()
        .fact(format!(
            "of all it mapped since the attach ({}), {} was unmapped again",
            flow.mapped, flow.unmapped
        ))
        .cannot_exclude("that the code is an allocator that is not known here.")
        .remedy(
            "munmap it when it is no longer needed; whether it is, only the program knows: look \
             at the places named above.",
        )
        .verify_by_figure("VmSize");
    vec![draft.done()]
}
