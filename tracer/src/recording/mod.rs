//! Recordings: all that a session learnt of the world in, a file out; and back.
//!
//! A recording holds the ring's records as bytes and every answer that the session got, in
//! order, so that the same session code run over it comes to the same report. It is written
//! and read in one pass, in bounded pieces. What a session makes of it is decided elsewhere.
//! The format is described in `docs/recording.md`.

mod frame;
mod header;
mod item;
mod log;
mod mend;
mod read;
mod record;
mod replay;

pub use header::{Header, WrongHeader};
pub use log::{Kept, Limit, Store, WhyStopped};
pub use mend::mended;
pub use read::{Damage, Ending, NoRecording};
pub use record::Recorder;
pub use replay::Replay;
