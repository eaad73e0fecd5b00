//! Each event as it happens: an event in, one line out, for people or as JSON Lines.
//!
//! Times are of the moment a call was left, since the tracer attached. The figures of the
//! kernel are those of that moment too.

mod facts;
mod json;
mod line;

pub use json::write_json;
pub use line::line;

#[cfg(test)]
mod tests;
