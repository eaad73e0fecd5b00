//! Whole processes, as they were measured, and what must hold of any.

mod documents;
mod held;
mod older;
mod overlays;
mod owners;
mod properties;
mod seed;
