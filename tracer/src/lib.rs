//! Explains why a process's virtual memory grew, and why it did not shrink.
//!
//! Data flows one way: [`probe`] → [`event`] → [`space`] → [`attribute`] → [`report`] →
//! [`view`]. [`audit`] judges whole hosts, [`auditor`] gathers what it asks for,
//! [`daemon`] answers for it. [`host`] gathers facts, [`cli`] says what is wanted.

pub mod app;
pub mod attribute;
pub mod audit;
pub mod auditor;
pub mod cli;
pub mod cost;
pub mod daemon;
pub mod diagnosis;
pub mod event;
pub mod heap;
pub mod host;
pub mod probe;
pub mod recording;
pub mod report;
pub mod session;
pub mod space;
pub mod track;
pub mod units;
pub mod view;
pub mod world;
