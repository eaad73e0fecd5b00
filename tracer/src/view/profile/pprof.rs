//! A profile for `go tool pprof` and what else reads its format: a report in, the compressed
//! message `perftools.profiles.Profile` out.
//!
//! The format is that of `profile.proto` of github.com/google/pprof; numbers of fields are named
//! where they are used.

mod message;

use std::{
    collections::HashMap,
    io::{self, Write as _},
};

use flate2::{Compression, write::GzEncoder};
use message::Message;

use super::{Measure, Sample, label, nameless, samples};
use crate::{attribute::evidence::Frame, report::Report};

/// The compressed profile.
///
/// # Errors
/// It cannot be compressed.
pub fn render(report: &Report) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&profile(report))?;
    encoder.finish()
}

/// The message.
fn profile(report: &Report) -> Vec<u8> {
    let mut tables = Tables::default();
    let mut profile = Message::default();
    let bytes = tables.string("bytes");
    for measure in Measure::ALL {
        let name = tables.string(measure.name());
        profile.message(1, &value_type(name, bytes));
    }
    for sample in samples(report) {
        if Measure::ALL
            .iter()
            .all(|measure| measure.of(sample.path).0 == 0)
        {
            continue;
        }
        profile.message(2, &tables.sample(&sample));
    }
    let (space, mapped) = (
        tables.string("space"),
        tables.string(Measure::Mapped.name()),
    );
    for mapping in &tables.mappings {
        profile.message(3, mapping);
    }
    for location in &tables.locations {
        profile.message(4, location);
    }
    for function in &tables.functions {
        profile.message(5, function);
    }
    for text in &tables.texts {
        profile.bytes(6, text.as_bytes());
    }
    let observed = report.processes.iter().map(|process| process.observed);
    profile.number(10, observed.max().unwrap_or(0));
    profile.message(11, &value_type(space, bytes));
    profile.number(12, 1);
    profile.number(14, mapped);
    profile.into_bytes()
}

/// `ValueType`: type 1, unit 2.
fn value_type(name: u64, unit: u64) -> Message {
    let mut value = Message::default();
    value.number(1, name);
    value.number(2, unit);
    value
}

/// What samples refer to, each once.
struct Tables {
    texts: Vec<String>,
    text_ids: HashMap<String, u64>,
    mappings: Vec<Message>,
    mapping_ids: HashMap<String, u64>,
    locations: Vec<Message>,
    location_ids: HashMap<Vec<(String, String, u64)>, u64>,
    functions: Vec<Message>,
    function_ids: HashMap<(String, String), u64>,
}

impl Default for Tables {
    fn default() -> Self {
        Self {
            // The first one must be empty.
            texts: vec![String::new()],
            text_ids: HashMap::from([(String::new(), 0)]),
            mappings: Vec::new(),
            mapping_ids: HashMap::new(),
            locations: Vec::new(),
            location_ids: HashMap::new(),
            functions: Vec::new(),
            function_ids: HashMap::new(),
        }
    }
}

impl Tables {
    fn string(&mut self, text: &str) -> u64 {
        if let Some(&id) = self.text_ids.get(text) {
            return id;
        }
        let id = self.texts.len() as u64;
        self.texts.push(text.to_owned());
        self.text_ids.insert(text.to_owned(), id);
        id
    }

    /// `Sample`: locations 1 (innermost first), values 2, labels 3.
    fn sample(&mut self, sample: &Sample<'_>) -> Message {
        let mut locations = Vec::new();
        let mut frames: &[Frame] = &sample.path.frames;
        // Inlined functions are lines of the location of the function they are in.
        while !frames.is_empty() {
            let outer = frames.iter().position(|frame| !frame.inlined);
            let (these, rest) = frames.split_at(outer.map_or(frames.len(), |at| at + 1));
            let lines = these.iter().map(|frame| {
                let (file, line) = frame.line.clone().unwrap_or_default();
                (label(frame), file, u64::from(line))
            });
            let module = these.last().map_or("", |frame| &frame.module);
            let offset = these.last().map_or(0, |frame| frame.offset);
            locations.push(self.location(lines.collect(), module, offset));
            frames = rest;
        }
        if locations.is_empty() {
            let line = (nameless(sample.path), String::new(), 0);
            locations.push(self.location(vec![line], "", 0));
        }
        if let Some(process) = &sample.process {
            let line = (process.clone(), String::new(), 0);
            locations.push(self.location(vec![line], "", 0));
        }
        let mut message = Message::default();
        message.packed(1, &locations);
        let values = Measure::ALL.map(|measure| measure.of(sample.path).0);
        message.packed(2, &values);
        for (key, value) in [
            ("owner", Some(sample.path.owner.to_string())),
            ("part", sample.path.part.map(str::to_owned)),
        ] {
            if let Some(value) = value {
                let mut label = Message::default();
                label.number(1, self.string(key));
                label.number(2, self.string(&value));
                message.message(3, &label);
            }
        }
        message
    }

    /// `Location`: id 1, mapping 2, address 3, lines 4. `Line`: function 1, line 2.
    fn location(&mut self, lines: Vec<(String, String, u64)>, module: &str, offset: u64) -> u64 {
        if let Some(&id) = self.location_ids.get(&lines) {
            return id;
        }
        let id = self.locations.len() as u64 + 1;
        let mut location = Message::default();
        location.number(1, id);
        if !module.is_empty() {
            location.number(2, self.mapping(module));
            location.number(3, offset);
        }
        for (function, file, line) in &lines {
            let mut message = Message::default();
            message.number(1, self.function(function, file));
            message.number(2, *line);
            location.message(4, &message);
        }
        self.locations.push(location);
        self.location_ids.insert(lines, id);
        id
    }

    /// `Function`: id 1, name 2, system name 3, file 4.
    fn function(&mut self, name: &str, file: &str) -> u64 {
        let key = (name.to_owned(), file.to_owned());
        if let Some(&id) = self.function_ids.get(&key) {
            return id;
        }
        let id = self.functions.len() as u64 + 1;
        let (name, file) = (self.string(name), self.string(file));
        let mut function = Message::default();
        function.number(1, id);
        function.number(2, name);
        function.number(3, name);
        function.number(4, file);
        self.functions.push(function);
        self.function_ids.insert(key, id);
        id
    }

    /// `Mapping`: id 1, file 5, has functions 7.
    fn mapping(&mut self, module: &str) -> u64 {
        if let Some(&id) = self.mapping_ids.get(module) {
            return id;
        }
        let id = self.mappings.len() as u64 + 1;
        let name = self.string(module);
        let mut mapping = Message::default();
        mapping.number(1, id);
        mapping.number(5, name);
        // All that can be told is told: pprof need not look for the files.
        mapping.number(7, 1);
        self.mappings.push(mapping);
        self.mapping_ids.insert(module.to_owned(), id);
        id
    }
}

#[cfg(test)]
mod tests;
