//! `reserved-address-space`: address space that was never accessible, or is so large that
//! it can only be meant as a reservation.

use super::{mapped_by, ranges, residency, sentence, settings_of, title};
use crate::{
    attribute::{
        Owner,
        allocators::{self, Topic, glibc::GLIBC},
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
        if (never + huge).0 == 0 {
            continue;
        }
        findings.push(finding(case, owner, never, huge));
    }
    findings
}

/// Writable, but unreserved and larger than a program can mean to use.
pub fn is_huge(part: &Part) -> bool {
    part.kind == Kind::Live && part.piece.traits.no_reserve && part.span.len() >= HUGE
}

fn finding(case: &Case<'_>, owner: Owner, never: Bytes, huge: Bytes) -> Finding {
    let sort = |part: &Part| part.owner == owner && (part.kind == Kind::Reserved || is_huge(part));
    let allocator = allocators::by_name(&owner.0);
    let mut evidence = Vec::new();
    if never.0 > 0 {
        evidence.push(format!("{never} was never accessible (PROT_NONE)"));
    }
    if huge.0 > 0 {
        evidence.push(format!(
            "{huge} is in unreserved mappings of {HUGE} or more"
        ));
        evidence.extend(residency(case, |part| part.owner == owner && is_huge(part)));
    }
    evidence.extend(mapped_by(case, sort));
    evidence.extend(ranges(case, sort));
    evidence.extend(allocator.iter().flat_map(|a| settings_of(case, a)));
    let certain = case.confidence(&owner, sort);
    Finding {
        reason: REASON,
        bytes: never + huge,
        confidence: if huge > never {
            certain.min(Confidence::Medium)
        } else {
            certain
        },
        summary: sentence(&format!(
            "{} reserved {} of address space to use parts of it later; reserving takes no \
             memory.",
            title(&owner),
            never + huge
        )),
        evidence,
        cannot_exclude: if huge.0 > 0 {
            "that part of the writable mappings is in use: see their RSS.".to_owned()
        } else {
            String::new()
        },
        remedy: match allocator {
            Some(allocator) => (allocator.advice)(case.evidence, Topic::Reserved),
            None => {
                "Usually nothing: it costs no memory. Leave it out when judging VmSize.".to_owned()
            }
        },
        owner,
    }
}
