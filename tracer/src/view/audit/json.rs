//! The machine-readable document: `tracer.audit`, described in `docs/audit.md`.

use std::io;

use serde::Serialize;

use crate::{audit::row::Audit, view::json::Schema};

/// How the document is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Indented, over many lines.
    Pretty,
    /// One line of a stream of JSON Lines.
    Line,
}

#[derive(Serialize)]
struct Document<'a> {
    schema: Schema,
    #[serde(flatten)]
    audit: &'a Audit,
}

/// Writes the document and a line end.
///
/// # Errors
/// Those of `out`.
pub fn write_json(audit: &Audit, layout: Layout, mut out: impl io::Write) -> io::Result<()> {
    let document = Document {
        schema: Schema::AUDIT,
        audit,
    };
    match layout {
        Layout::Pretty => serde_json::to_writer_pretty(&mut out, &document),
        Layout::Line => serde_json::to_writer(&mut out, &document),
    }
    .map_err(io::Error::from)?;
    out.write_all(b"\n")
}
