//! Call paths in the document.

use serde::Serialize;

use crate::{
    attribute::{
        Owner,
        evidence::{FoundBy, Frame, StackEnd},
        explanation::CallPath,
    },
    units::{Addr, Bytes},
};

#[derive(Serialize)]
pub struct Path<'a> {
    owner: &'a Owner,
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<&'static str>,
    calls: u64,
    mapped: Bytes,
    unmapped: Bytes,
    still_mapped: Bytes,
    retained: Bytes,
    releases: u64,
    released: Bytes,
    purged: Bytes,
    end: Option<StackEnd>,
    asked: Option<usize>,
    frames: Vec<Place<'a>>,
}

#[derive(Serialize)]
struct Place<'a> {
    function: Option<&'a str>,
    module: &'a str,
    offset: Addr,
    file: Option<&'a str>,
    line: Option<u32>,
    inlined: bool,
    found_by: FoundBy,
}

impl<'a> Path<'a> {
    pub fn new(path: &'a CallPath) -> Self {
        Self {
            owner: &path.owner,
            part: path.part,
            calls: path.calls,
            mapped: path.mapped,
            unmapped: path.unmapped,
            still_mapped: path.still_mapped,
            retained: path.retained,
            releases: path.releases,
            released: path.released,
            purged: path.purged,
            end: path.end,
            asked: path.asked,
            frames: path.frames.iter().map(Place::new).collect(),
        }
    }
}

impl<'a> Place<'a> {
    fn new(frame: &'a Frame) -> Self {
        Self {
            function: frame.function.as_deref(),
            module: &frame.module,
            offset: Addr(frame.offset),
            file: frame.line.as_ref().map(|(file, _)| file.as_str()),
            line: frame.line.as_ref().map(|(_, line)| *line),
            inlined: frame.inlined,
            found_by: frame.by,
        }
    }
}
