//! A [`crate::report::Report`] (or an event, or a status) in, text or bytes out.
//!
//! Pure: no files, no clock, no terminal. Whoever calls says how wide the text may be and
//! whether it may have colours. Nothing here computes what a report does not say.

pub mod audit;
mod clean;
mod cost;
pub mod doctor;
pub mod events;
pub mod flags;
pub mod json;
mod number;
mod page;
pub mod profile;
pub mod serve;
pub mod status;
mod style;
mod table;
pub mod text;
mod timeline;

#[cfg(test)]
mod sample;

pub use style::Style;

/// The identifier of a value in the JSON document: `live-or-cached`. Text uses the same,
/// so that what is read in one can be looked up in the other.
fn identifier(value: impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        _ => String::new(),
    }
}

/// The permissions as in `/proc/<pid>/maps`: `rw-p`.
fn perms(mapping: &crate::report::Mapping) -> String {
    format!("{}{}", mapping.prot, if mapping.shared { 's' } else { 'p' })
}
