//! Decodes what was written, by another way than it was written.

use std::{collections::BTreeMap, io::Read as _};

use super::*;
use crate::view::sample;

/// The fields of a message: numbers, or bytes.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Result<u64, Vec<u8>>)> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let value = varint(&mut bytes);
        fields.push(match tag & 7 {
            0 => (tag >> 3, Ok(value)),
            2 => {
                let (content, rest) = bytes.split_at(usize::try_from(value).expect("short"));
                bytes = rest;
                (tag >> 3, Err(content.to_vec()))
            }
            other => panic!("wire type {other}"),
        });
    }
    fields
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let (&byte, rest) = bytes.split_first().expect("a whole number");
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    value
}

fn all(message: &[u8], field: u64) -> Vec<Vec<u8>> {
    let of_field = fields(message).into_iter().filter(|(at, _)| *at == field);
    of_field.filter_map(|(_, value)| value.err()).collect()
}

fn number(message: &[u8], field: u64) -> u64 {
    let found = fields(message).into_iter().find(|(at, _)| *at == field);
    found.and_then(|(_, value)| value.ok()).unwrap_or(0)
}

fn packed(message: &[u8], field: u64) -> Vec<u64> {
    let bytes = all(message, field).concat();
    let mut rest = bytes.as_slice();
    let mut values = Vec::new();
    while !rest.is_empty() {
        values.push(varint(&mut rest));
    }
    values
}

#[test]
fn a_profile_has_the_stacks_and_figures_of_the_report() {
    let report = sample::report();
    let compressed = render(&report).expect("memory takes all");
    let mut profile = Vec::new();
    flate2::read::GzDecoder::new(compressed.as_slice())
        .read_to_end(&mut profile)
        .expect("gzip");
    let texts: Vec<String> = all(&profile, 6)
        .into_iter()
        .map(|text| String::from_utf8(text).expect("text"))
        .collect();
    assert_eq!(texts[0], "");
    let text = |id: u64| texts[usize::try_from(id).expect("small")].as_str();
    let types = all(&profile, 1);
    let types: Vec<_> = types
        .iter()
        .map(|of| (text(number(of, 1)), text(number(of, 2))))
        .collect();
    let names = ["mapped", "retained", "released", "purged", "still_mapped"];
    assert_eq!(types, names.map(|name| (name, "bytes")));
    assert_eq!(text(number(&profile, 14)), "mapped");

    let functions = all(&profile, 5);
    let functions: BTreeMap<u64, &str> = functions
        .iter()
        .map(|function| (number(function, 1), text(number(function, 2))))
        .collect();
    let locations: BTreeMap<u64, Vec<&str>> = all(&profile, 4)
        .iter()
        .map(|location| {
            let lines = all(location, 4);
            let lines = lines.iter().map(|line| functions[&number(line, 1)]);
            (number(location, 1), lines.collect())
        })
        .collect();
    let mut stacks: BTreeMap<Vec<&str>, Vec<u64>> = BTreeMap::new();
    for sample in all(&profile, 2) {
        let frames = packed(&sample, 1);
        let frames = frames.iter().flat_map(|id| locations[id].clone());
        stacks.insert(frames.collect(), packed(&sample, 2));
    }
    let mut expected: BTreeMap<Vec<String>, Vec<u64>> = BTreeMap::new();
    for path in &report.processes[0].explanation.paths {
        let frames = path.frames.iter().map(label).collect();
        let values = Measure::ALL.map(|measure| measure.of(path).0);
        expected.insert(frames, values.to_vec());
    }
    assert!(!expected.is_empty());
    for (frames, values) in &expected {
        let frames: Vec<&str> = frames.iter().map(String::as_str).collect();
        assert_eq!(stacks.get(&frames), Some(values), "{frames:?}");
    }
}
