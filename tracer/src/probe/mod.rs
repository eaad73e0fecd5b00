//! The kernel's side as seen from user space: programs in, events out. The only user of aya.
//!
//! Loads the programs with this kernel's layout, attaches what this kernel has, reads the
//! ring and the loss counters. What could not be attached is a value, not a log line.

mod attach;
mod attempts;
mod census;
mod error;
mod heap;
mod layout;
mod load;
mod loss;
mod meter;
mod multi;
mod object;
mod options;
mod plan;
mod ring;
mod skips;
mod targets;
mod trial;
mod words;

pub use attach::{Capture, CaptureWish};
pub use census::{Census, Measuring, Program, host_measures};
pub use error::ProbeError;
pub use load::{Availability, Calls, Probes};
pub use loss::{Losses, WithoutStack};
pub use options::{Options, StackWish};
pub use ring::Ring;
pub use trial::{Trial, try_out};
