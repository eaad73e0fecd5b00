//! The documents name every reason, verdict and allocator there is.

use crate::attribute::{allocators::TABLE, explanation::VerdictCode, findings::DETECTORS};

const REASONS: &str = include_str!("../../../../docs/reasons.md");
const VERDICTS: &str = include_str!("../../../../docs/verdicts.md");

#[test]
fn every_reason_is_documented() {
    for (reason, _) in DETECTORS {
        assert!(REASONS.contains(&format!("## `{reason}`")), "{reason}");
    }
    let headings = REASONS.lines().filter(|line| line.starts_with("## `"));
    assert_eq!(
        headings.count(),
        DETECTORS.len(),
        "none is documented that is gone"
    );
}

#[test]
fn every_verdict_is_documented() {
    use VerdictCode as Code;
    for code in [
        Code::Shrank,
        Code::RetainedByAllocator,
        Code::PurgedNotUnmapped,
        Code::HeapTopPinned,
        Code::ArenaReserve,
        Code::NotReleased,
        Code::HeldByProgram,
        Code::CachedByAllocator,
        Code::NoGrowth,
        Code::Mixed,
        Code::Inconclusive,
    ] {
        let name = serde_json::to_string(&code).expect("it is a word");
        let name = name.trim_matches('"');
        assert!(VERDICTS.contains(&format!("### `{name}`")), "{name}");
    }
}

#[test]
fn every_allocator_is_documented() {
    for allocator in TABLE {
        assert!(
            REASONS.contains(&format!("`{}`", allocator.name)),
            "{}",
            allocator.name
        );
    }
}
