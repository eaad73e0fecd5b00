//! The machine-readable document: `tracer.doctor`, described in `docs/json.md`.

use std::io;

use serde::Serialize;

use crate::{
    diagnosis::{Answer, Diagnosis, Fact, Group, LoadedProgram, Outlook, Topic, VERIFIER_LIMIT},
    view::json::Schema,
};

#[derive(Serialize)]
struct Document<'a> {
    schema: Schema,
    outlook: Outlook,
    kernel: &'a str,
    architecture: &'a str,
    features: Vec<Feature<'a>>,
    verifier_limit: u32,
    programs: &'a [LoadedProgram],
}

#[derive(Serialize)]
struct Feature<'a> {
    id: Topic,
    group: Group,
    feature: &'static str,
    answer: Answer,
    detail: &'a str,
    matters: &'static str,
    instead: &'static str,
}

impl<'a> Feature<'a> {
    fn new(fact: &'a Fact) -> Self {
        Self {
            id: fact.topic,
            group: fact.topic.group(),
            feature: fact.topic.title(),
            answer: fact.answer,
            detail: &fact.detail,
            matters: fact.topic.matters(),
            instead: fact.topic.instead(),
        }
    }
}

/// Writes the document and a line end.
///
/// # Errors
/// Those of `out`.
pub fn write(diagnosis: &Diagnosis, mut out: impl io::Write) -> io::Result<()> {
    let document = Document {
        schema: Schema::DOCTOR,
        outlook: diagnosis.outlook(),
        kernel: &diagnosis.kernel,
        architecture: diagnosis.architecture,
        features: diagnosis.facts.iter().map(Feature::new).collect(),
        verifier_limit: VERIFIER_LIMIT,
        programs: &diagnosis.programs,
    };
    serde_json::to_writer_pretty(&mut out, &document).map_err(io::Error::from)?;
    out.write_all(b"\n")
}
