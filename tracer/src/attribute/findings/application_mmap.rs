//! `grew-by-application-mmap`: the program maps memory itself, past any allocator.

use std::collections::BTreeMap;

use super::{LISTED, mapped_by, ranges};
use crate::{
    attribute::{
        Owner,
        case::{Case, Part},
        explanation::Finding,
        tally::Kind,
    },
    space::piece::SiteId,
    units::Bytes,
};

pub const REASON: &str = "grew-by-application-mmap";

pub fn find(case: &Case<'_>) -> Vec<Finding> {
    let owner = Owner::APPLICATION;
    let bytes = case.tally.fresh_bytes(&owner, Kind::Live);
    if bytes.0 == 0 {
        return Vec::new();
    }
    let sort =
        |part: &Part| part.owner == Owner::APPLICATION && part.fresh && part.kind == Kind::Live;
    let mut evidence: Vec<String> = Vec::new();
    evidence.extend(mapped_by(case, sort));
    evidence.extend(places(case, sort));
    evidence.extend(ranges(case, sort));
    let flow = case.flow(&owner, |_, _| true);
    evidence.push(format!(
        "of all it mapped since the attach ({}), {} was unmapped again",
        flow.mapped, flow.unmapped
    ));
    vec![Finding {
        reason: REASON,
        bytes,
        confidence: case.confidence(&owner, sort),
        summary: format!(
            "The program itself, not an allocator, mapped {bytes} that is still there and \
             that no call gave back."
        ),
        evidence,
        cannot_exclude: "that the code is an allocator that is not known here.".to_owned(),
        remedy: "munmap it when it is no longer needed; whether it is, only the program \
                 knows: look at the places named above."
            .to_owned(),
        owner,
    }]
}

/// Which code mapped the most of it.
fn places(case: &Case<'_>, sort: impl Fn(&Part) -> bool) -> Vec<String> {
    let mut by_site: BTreeMap<SiteId, Bytes> = BTreeMap::new();
    for part in case.parts.iter().filter(|part| sort(part)) {
        *by_site.entry(part.piece.origin.site).or_default() += part.span.len();
    }
    let mut by_place: BTreeMap<String, Bytes> = BTreeMap::new();
    for (site, bytes) in by_site {
        if let Some(place) = case.place(site) {
            *by_place.entry(place).or_default() += bytes;
        }
    }
    let mut places: Vec<(String, Bytes)> = by_place.into_iter().collect();
    places.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    places
        .into_iter()
        .take(LISTED)
        .map(|(place, bytes)| format!("{bytes} by {place}"))
        .collect()
}
