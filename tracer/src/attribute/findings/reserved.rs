//! `reserved-address-space`: address space that was never accessible, or is so large that
//! it can only be meant as a reservation.

use super::{Draft, title};
use crate::{
    attribute::{
        Owner,
        allocators::{Topic, glibc::GLIBC},
        case::{Case, Part},
        explanation::{Confidence, Finding},
        tally::Kind,
    },
    units::Bytes,
};

pub const REASON: &str = "reserved-address-space";

/// A writable, unreserved piece of at least this size is taken for a reservation.
pub const HUGE: Bytes = Bytes(16 << 30);

pub fn find(case: &Case<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for owner in case.owners() {
        if owner.0 == GLIBC.name {
            continue; // its reservations are arenas
        }
        let never = case.tally.bytes(&owner, Kind::Reserved);
        let huge: Bytes = case
            .parts_of(&owner)
            .filter(|part| is_huge(part))
            .map(|part| part.span.len())
            .sum();
        if (never + huge).0 > 0 {
            findings.push(finding(case, &owner, never, huge));
        }
    }
    findings
}

/// Writable, but unreserved and larger than a program can mean to use.
pub fn is_huge(part: &Part) -> bool {
    part.kind == Kind::Live && part.unreserved && part.span.len() >= HUGE
}

fn finding(case: &Case<'_>, owner: &Owner, never: Bytes, huge: Bytes) -> Finding {
    let bytes = never + huge;
    let mut draft = Draft::new(case, REASON, owner, bytes).summary(&format!(
        "{} reserved {bytes} of address space to use parts of it later; reserving takes no memory.",
        title(owner),
    ));
    if never.0 > 0 {
        draft = draft.fact(format!("{never} was never accessible (PROT_NONE)"));
    }
    if huge.0 > 0 {
        draft = draft
            .fact(format!(
                "{huge} is in unreserved mappings of {HUGE} or more"
            ))
            .of(is_huge)
            .residency()
            .cannot_exclude("that part of the writable mappings is in use: see their RSS.");
    }
    draft = draft.of(|part| part.kind == Kind::Reserved || is_huge(part));
    if huge > never {
        draft = draft.at_most(Confidence::Medium);
    }
    draft
        .mapped_by()
        .ranges()
        .settings()
        .advice(
            Topic::Reserved,
            "Usually nothing: it costs no memory. Leave it out when judging VmSize.",
        )
        .verify(
            "VmSize less this figure is what to watch: it must not grow at constant load. RSS does \
             not change with it.",
        )
        .done()
}
