//! A watched host in; metrics for Prometheus and a status in JSON out.
//!
//! [`families::FAMILIES`] is the list of all metrics; `docs/serve.md` describes each.

mod encode;
pub mod families;
mod label;
mod metrics;
mod own;
pub mod status;

pub use encode::{Exposition, Family, Kind};
pub use metrics::render;
pub use own::{Own, Probe, Reload, Requests};

#[cfg(test)]
mod tests;
