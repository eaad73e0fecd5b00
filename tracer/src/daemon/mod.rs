//! Answers clients from what was published last, and talks to the service manager.
//!
//! It makes no audit and asks the host nothing: whoever owns the audit publishes an [`Edition`] on
//! the [`Board`] once in a while. What a client can make this do is bounded in time and memory.

mod board;
mod http;
mod notify;
mod request;

pub use board::{Board, Edition};
pub use http::start;
pub use notify::Notifier;
