//! The call paths that weigh most: what each mapped, still has and gave back, and its frames.

use super::super::{
    identifier,
    number::{count, percent},
    page::Page,
    profile,
    style::Paint,
};
use crate::{
    attribute::{
        evidence::{FoundBy, Frame, StackEnd},
        explanation::{CallPath, Explanation},
    },
    units::Bytes,
};

/// Paths shown.
const SHOWN: usize = 20;
/// Frames shown of one path.
const FRAMES: usize = 40;

/// The paths, the weightiest first.
pub fn paths(page: &mut Page, explanation: &Explanation) {
    if explanation.paths.is_empty() {
        return;
    }
    page.heading("Call paths, by bytes mapped and given back");
    coverage(page, explanation);
    for (index, path) in explanation.paths.iter().take(SHOWN).enumerate() {
        show(page, index + 1, path);
    }
    if let Some(more) = explanation.paths.len().checked_sub(SHOWN + 1) {
        let more = count(more as u64 + 1, "path", "paths");
        page.paragraph(
            "  ",
            &format!("and {more} more: the JSON document and profiles have them"),
        );
    }
}

/// Of how many calls the stack is known.
fn coverage(page: &mut Page, explanation: &Explanation) {
    let coverage = &explanation.stacks;
    if coverage.calls == 0 {
        return;
    }
    let text = format!(
        "Stacks of {} of {} that mapped or gave back ({}), {} down to the first function; {} \
         distinct.",
        coverage.unwound,
        count(coverage.calls, "call", "calls"),
        percent(Bytes(coverage.unwound), Bytes(coverage.calls)),
        percent(Bytes(coverage.complete), Bytes(coverage.calls)),
        coverage.distinct,
    );
    page.paragraph("  ", &text);
    if coverage.unwound < coverage.calls {
        let text = "Owners of the others rest on what looks like return addresses on top of the \
                    stack, or on how their memory looks.";
        page.painted(Paint::Faint, "  ", text);
    }
}

fn show(page: &mut Page, number: usize, path: &CallPath) {
    let part = path
        .part
        .map_or_else(String::new, |part| format!(", {part}"));
    let head = format!("{}{part}: {}", path.owner, sums(path));
    page.paragraph(&format!("  {number}. "), &head);
    for (index, frame) in path.frames.iter().take(FRAMES).enumerate() {
        let paint = if path.asked == Some(index) {
            Paint::Notable
        } else {
            Paint::Plain
        };
        page.painted(paint, "       ", &in_words(frame));
    }
    let more = path.frames.len().saturating_sub(FRAMES) as u64;
    if more > 0 {
        page.painted(
            Paint::Faint,
            "       ",
            &format!("… {}", count(more, "frame", "frames")),
        );
    }
    let end = match path.end {
        Some(StackEnd::Root) => "",
        Some(StackEnd::Slice) => "… goes on beyond what was copied of the stack",
        Some(StackEnd::Lost) => "… nothing tells how it goes on",
        Some(StackEnd::Limit) => "… goes on",
        None if path.frames.is_empty() => "(no stack)",
        None => "… not unwound: what looks like return addresses on top of the stack",
    };
    if !end.is_empty() {
        page.painted(Paint::Faint, "       ", end);
    }
}

fn sums(path: &CallPath) -> String {
    let mut sums = Vec::new();
    let mut say = |bytes: Bytes, what: &str| {
        if bytes.0 > 0 {
            sums.push(format!("{bytes} {what}"));
        }
    };
    let calls = count(path.calls, "call", "calls");
    say(path.mapped, &format!("mapped by {calls}"));
    say(path.still_mapped, "of it still mapped");
    say(path.retained, "of that given back, address space kept");
    let releases = count(path.releases, "call", "calls");
    say(path.released, &format!("unmapped by {releases}"));
    say(
        path.purged,
        &format!("given back by {releases}, address space kept"),
    );
    if sums.is_empty() {
        return count(path.calls + path.releases, "call", "calls");
    }
    sums.join(", ")
}

fn in_words(frame: &Frame) -> String {
    let mut text = profile::label(frame);
    if let Some((file, line)) = &frame.line {
        text.push_str(&format!("  {}:{line}", short(file)));
    }
    let module = short(&frame.module);
    if frame.function.is_some() && !module.is_empty() {
        text.push_str(&format!("  ({module})"));
    }
    if frame.inlined {
        text.push_str("  inlined");
    }
    match frame.by {
        FoundBy::Registers | FoundBy::Tables => {}
        by => text.push_str(&format!("  by {}", identifier(by))),
    }
    text
}

/// The last two parts of a path: enough to know a file again.
fn short(path: &str) -> &str {
    let mut separators = path.rmatch_indices('/').map(|(at, _)| at);
    separators.nth(1).map_or(path, |at| &path[at + 1..])
}
