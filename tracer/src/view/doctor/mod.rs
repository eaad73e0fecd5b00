//! A [`crate::diagnosis::Diagnosis`] in, text or JSON out.

pub mod json;
mod text;

pub use text::render;

#[cfg(test)]
mod tests;
