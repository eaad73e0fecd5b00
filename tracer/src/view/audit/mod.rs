//! An audit of a host in, a ranking, a page on one process or JSON out.

mod advice;
mod explain;
mod json;
mod ranking;
#[cfg(test)]
pub(super) mod tests;

pub use explain::explain;
pub use json::{Layout, write_json};
pub use ranking::render;
