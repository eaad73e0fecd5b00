//! What was given back and is in memory again is in use or cached, whatever the calls said last.

use super::reasons;
use crate::{
    attribute::{
        evidence::PageSum,
        explanation::{Confidence, VerdictCode},
        testing::*,
    },
    units::Bytes,
};

fn there(resident: u64) -> PageSum {
    PageSum {
        resident: Bytes(resident),
        runs: 1,
        ..PageSum::default()
    }
}

#[test]
fn it_is_told_as_surely_as_if_nothing_had_been_given_back() {
    let mut world = World::dynamic(&[]);
    let addr = world.mmap(OWN, 64 * MIB, RW, PLAIN);
    world.madvise(addr, 64 * MIB, DONTNEED);
    world.census(&[(addr, there(64 * MIB))]);
    let explanation = world.explain();
    assert_eq!(reasons(&explanation), ["grew-by-application-mmap"]);
    assert_eq!(explanation.findings[0].confidence, Confidence::High);
    assert_eq!(explanation.verdict.code, VerdictCode::NotReleased);
    assert_eq!(explanation.verdict.confidence, Confidence::High);
    assert!(explanation.verdict.summary.contains("(grow in program)"));
}

#[test]
fn a_small_share_of_it_changes_nothing_for_the_rest() {
    let mut world = World::dynamic(&[]);
    let addr = world.mmap(OWN, 64 * MIB, RW, PLAIN);
    world.madvise(addr, 64 * MIB, DONTNEED);
    world.census(&[(addr, there(4 * MIB))]);
    let explanation = world.explain();
    let purged = finding(&explanation, "purged-not-unmapped").expect("most of it");
    assert_eq!(purged.bytes, Bytes(60 * MIB));
    assert_eq!(explanation.verdict.code, VerdictCode::PurgedNotUnmapped);
}
