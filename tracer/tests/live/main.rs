//! Live: programs run, probes watch them, and what the tracer tells is compared with what the
//! kernel says of the same moment.
//!
//! Loads probes, so everything here is ignored unless asked for: `cargo xtask test` builds the
//! tests as the user and runs them as root, one at a time. Nothing is stopped or killed that a
//! test did not start.

mod harness;

mod adversarial;
mod application;
mod audit;
mod children;
mod cleanup;
mod cost;
mod doctor;
mod ending;
mod errors;
mod fuzz;
mod heap;
mod loss;
mod namespaces;
mod older;
mod privilege;
mod probes;
mod programs;
mod recording;
mod runtimes;
mod scale;
mod scenarios;
mod seed;
mod serve;
mod settings;
mod short;
mod stacks;
mod stress;
mod two_allocators;
mod witness;
