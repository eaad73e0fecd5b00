//! Why bytes are still there, and which allocators are in the process: with evidence.

use super::super::{identifier, number::exact, page::Page};
use crate::attribute::explanation::{AllocatorFound, Explanation, Finding, InForce, VerdictCode};

/// The findings, numbered, in the order of the explanation.
pub fn findings(page: &mut Page, explanation: &Explanation) {
    if explanation.findings.is_empty() {
        return;
    }
    page.heading(match explanation.verdict.code {
        VerdictCode::Shrank | VerdictCode::NoGrowth => "What else was found",
        _ => "Why it did not shrink",
    });
    for (at, finding) in explanation.findings.iter().enumerate() {
        show(page, at + 1, finding);
    }
}

fn show(page: &mut Page, number: usize, finding: &Finding) {
    let head = format!(
        "{} of {}: {} ({}), confidence: {}",
        finding.reason,
        finding.owner,
        finding.bytes,
        exact(finding.bytes),
        identifier(finding.confidence),
    );
    page.paragraph(&format!("  {number}. "), &head);
    page.paragraph("     ", &finding.summary);
    for evidence in &finding.evidence {
        page.paragraph("     - ", evidence);
    }
    for (mark, text) in [
        ("     cannot exclude: ", &finding.cannot_exclude),
        ("     remedy: ", &finding.remedy),
        ("     verify: ", &finding.verify),
    ] {
        if !text.is_empty() {
            page.paragraph(mark, text);
        }
    }
}

/// The allocators and what tells of them.
pub fn allocators(page: &mut Page, found: &[AllocatorFound]) {
    if found.is_empty() {
        return;
    }
    page.heading("Allocators in the process");
    for allocator in found {
        let sure = identifier(allocator.confidence);
        page.paragraph("  ", &format!("{}, confidence: {sure}", allocator.name));
        for evidence in &allocator.evidence {
            page.paragraph("  - ", evidence);
        }
    }
}

/// The settings in force, with where each is set.
pub fn settings(page: &mut Page, settings: &[InForce]) {
    if settings.is_empty() {
        return;
    }
    page.heading("Settings in force");
    for setting in settings {
        let InForce {
            name,
            value,
            source,
            effect,
        } = setting;
        page.paragraph("  ", &format!("{name} = {value} ({source}): {effect}"));
    }
}
