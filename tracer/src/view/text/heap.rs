//! The heap view: what the program holds, and who asked for it.

use super::super::{
    number::{grouped, percent},
    page::Page,
    style::Paint,
    table::Table,
};
use crate::{
    attribute::{evidence::Frame, in_words},
    heap::Estimate,
    report::{HeapPlace, HeapReport},
    units::Bytes,
};

/// Places shown; the JSON document has more.
const SHOWN: usize = 10;
/// Return addresses shown of one.
const FRAMES: usize = 4;

/// What a process asked of its allocator.
pub fn heap(page: &mut Page, heap: &HeapReport) {
    page.heading("What the program holds, by its own calls of the allocator");
    page.paragraph("  ", &counts(heap));
    let mut table = Table::new(&[
        ">held",
        ">share",
        ">blocks",
        ">got",
        ">gave back",
        "asked for by",
    ]);
    let held = |place: &&HeapPlace| place.outstanding.bytes.0 > 0;
    for place in heap.places.iter().filter(held).take(SHOWN) {
        table.row([
            estimate(place.outstanding),
            percent(place.outstanding.bytes, heap.outstanding.bytes),
            grouped(place.blocks),
            place.allocated_bytes.to_string(),
            place.freed_bytes.to_string(),
            path(&place.frames),
        ]);
    }
    if !table.is_empty() {
        page.table(&table);
    }
    let others = heap.places.iter().filter(held).skip(SHOWN);
    let others = others.fold(heap.rest, |sum, place| sum.and(place.outstanding));
    if others.bytes.0 > 0 {
        let text = format!("{} more at other places.", estimate(others));
        page.painted(Paint::Faint, "  ", &text);
    }
    for doubt in doubts(heap) {
        page.painted(Paint::Notable, "  ", &doubt);
    }
}

fn counts(heap: &HeapReport) -> String {
    let totals = &heap.totals;
    let method = match (heap.wish.sample, heap.wish.min) {
        (None, Bytes(0)) => "counted block by block".to_owned(),
        (None, min) => format!("counted block by block from {min} on; smaller ones are not in it"),
        (Some(sample), min) => {
            let smaller = match min {
                Bytes(0) => String::new(),
                min => format!("; blocks smaller than {min} are not in it"),
            };
            format!("sampled, one block in {sample}, with the standard error{smaller}")
        }
    };
    format!(
        "{} held ({method}). {} blocks of {} were handed out in all, {} tracked ones of {} given \
         back.",
        estimate(heap.outstanding),
        grouped(totals.allocated),
        totals.allocated_bytes,
        grouped(totals.freed),
        totals.freed_bytes,
    )
}

/// What makes the figures less than the whole truth.
fn doubts(heap: &HeapReport) -> Vec<String> {
    let totals = &heap.totals;
    let mut doubts = Vec::new();
    if heap.files.is_empty() {
        doubts.push(
            "No function of an allocator was found to be probed: its symbols may be stripped, or \
             the program does not use malloc."
                .to_owned(),
        );
    }
    if let Some(late) = heap.late_ns {
        doubts.push(format!(
            "The last probes came {} after the observation began: what was handed out before is \
             not in it.",
            super::super::number::lasting(late)
        ));
    }
    if totals.lost > 0 {
        doubts.push(format!(
            "{} blocks of {} were not tracked because the table was full: give more with \
             --heap-blocks, or track fewer with --heap-min or --heap-sample.",
            grouped(totals.lost),
            totals.lost_bytes
        ));
    }
    if totals.unmatched > 0 {
        doubts.push(format!(
            "{} blocks were given back that are not tracked: older than the probes, too small, or \
             not sampled.",
            grouped(totals.unmatched)
        ));
    }
    if totals.reused > 0 {
        doubts.push(format!(
            "{} blocks were handed out again although nobody was seen giving them back: the \
             program has another way to free memory.",
            grouped(totals.reused)
        ));
    }
    if totals.abandoned > 0 {
        doubts.push(format!(
            "{} calls of the allocator were never seen returning.",
            grouped(totals.abandoned)
        ));
    }
    if totals.unplaced > 0 {
        doubts.push(format!(
            "There were too many places: {} blocks are of none.",
            grouped(totals.unplaced)
        ));
    }
    doubts.extend(heap.trouble.iter().map(|why| format!("Not probed: {why}.")));
    doubts
}

fn estimate(estimate: Estimate) -> String {
    match estimate.error {
        Bytes(0) => estimate.bytes.to_string(),
        error => format!("{} ± {error}", estimate.bytes),
    }
}

fn path(frames: &[Frame]) -> String {
    if frames.is_empty() {
        return "unknown".to_owned();
    }
    let frames = frames.iter().take(FRAMES).map(in_words);
    frames.collect::<Vec<_>>().join(" < ")
}
