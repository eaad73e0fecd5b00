//! The section `heap`: what a process asked of its allocator.

use serde::Serialize;

use crate::{
    attribute::{evidence::Frame, in_words},
    heap::{Estimate, ProbedFile, Totals},
    report::{HeapPlace, HeapReport},
    units::Bytes,
};

#[derive(Serialize)]
pub(super) struct Heap<'a> {
    /// `exact` or `sampled`.
    method: &'static str,
    min_bytes: Bytes,
    sample_bytes: Option<Bytes>,
    outstanding: Estimate,
    outstanding_blocks: u64,
    totals: Totals,
    complete: bool,
    late_ns: Option<u64>,
    files: Vec<File<'a>>,
    places: Vec<Place>,
    rest: Estimate,
    places_left_out: u64,
    trouble: &'a [String],
}

#[derive(Serialize)]
struct File<'a> {
    path: &'a str,
    functions: u32,
    late: bool,
}

#[derive(Serialize)]
struct Place {
    outstanding: Estimate,
    outstanding_blocks: u64,
    allocated: u64,
    allocated_bytes: Bytes,
    freed: u64,
    freed_bytes: Bytes,
    frames: Vec<String>,
}

impl<'a> Heap<'a> {
    pub fn new(heap: &'a HeapReport) -> Self {
        Self {
            method: match heap.wish.sample {
                Some(_) => "sampled",
                None => "exact",
            },
            min_bytes: heap.wish.min,
            sample_bytes: heap.wish.sample,
            outstanding: heap.outstanding,
            outstanding_blocks: heap.outstanding_blocks,
            totals: heap.totals,
            complete: heap.is_complete(),
            late_ns: heap.late_ns,
            files: heap.files.iter().map(File::new).collect(),
            places: heap.places.iter().map(Place::new).collect(),
            rest: heap.rest,
            places_left_out: heap.left_out,
            trouble: &heap.trouble,
        }
    }
}

impl<'a> File<'a> {
    fn new(file: &'a ProbedFile) -> Self {
        Self {
            path: &file.path,
            functions: file.functions,
            late: file.late,
        }
    }
}

impl Place {
    fn new(place: &HeapPlace) -> Self {
        let frames = |frames: &[Frame]| frames.iter().map(in_words).collect();
        Self {
            outstanding: place.outstanding,
            outstanding_blocks: place.blocks,
            allocated: place.allocated,
            allocated_bytes: place.allocated_bytes,
            freed: place.freed,
            freed_bytes: place.freed_bytes,
            frames: frames(&place.frames),
        }
    }
}
