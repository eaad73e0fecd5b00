//! How far the figures can be trusted: what was lost, what did not agree, what could not
//! be observed.

use super::super::{
    number::{count, exact_signed, grouped, lasting},
    page::Page,
    style::Paint,
};
use crate::report::ProcessReport;

/// A line of figures, and the notes.
pub fn show(page: &mut Page, process: &ProcessReport) {
    let (events, model) = (&process.events, &process.reconciliation);
    page.heading("How far to trust this");
    let received = count(events.received, "event", "events");
    let lost = format!("{received} received, {} lost.", grouped(events.lost));
    let paint = |good: bool| if good { Paint::Plain } else { Paint::Notable };
    page.painted(paint(events.lost == 0), "  ", &lost);
    let model_text = if model.checks == 0 {
        "The model was never held against the kernel.".to_owned()
    } else {
        format!(
            "Model against the kernel: {}, {}, {}, drift {} at the end.",
            count(model.checks, "check", "checks"),
            count(model.mismatches, "mismatch", "mismatches"),
            count(model.resyncs, "resync", "resyncs"),
            exact_signed(model.drift_bytes),
        )
    };
    let agreed = model.checks > 0 && model.mismatches == 0 && model.drift_bytes == 0;
    page.painted(paint(agreed), "  ", &model_text);
    if let Some(exact) = model.exact_after_ns {
        let mut text = format!(
            "Exact from {} after the beginning on; whole maps compared: {}.",
            lasting(exact),
            grouped(model.full_checks),
        );
        if model.races > 0 {
            text.push_str(&format!(
                " {} of threads racing for the same bytes: the map was read anew.",
                count(model.races, "call", "calls")
            ));
        }
        page.paragraph("  ", &text);
    }
    let coverage = process.explanation.stacks;
    if coverage.unwound < coverage.calls {
        let text = format!(
            "The callers' stacks of {} of {} that mapped or gave back are not known: their owners \
             rest on weaker evidence.",
            grouped(coverage.calls - coverage.unwound),
            count(coverage.calls, "call", "calls"),
        );
        page.paragraph("  ", &text);
    }
    for gap in &process.unobserved {
        let text = format!(
            "Not observed from {} to {} after the beginning: events were lost, and the map was \
             read anew.",
            lasting(gap.from_ns),
            lasting(gap.to_ns)
        );
        page.painted(Paint::Notable, "  ", &text);
    }
    for note in &process.notes {
        page.paragraph("  - ", note);
    }
}
