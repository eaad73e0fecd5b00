//! A whole host, judged: what was counted and read of its processes in; rows, ranking and totals
//! out.
//!
//! Pure: who reads is told what to read next ([`roll::Roll::due`]) and hands in what was found.
//! A process is judged by its map and what is in memory of it, or by its calls where it is traced;
//! which of the two is part of the judgement.

pub mod counts;
pub mod export;
pub mod flow;
pub mod group;
pub mod judgement;
mod member;
pub mod pace;
pub mod rank;
pub mod reason;
pub mod roll;
pub mod row;
pub mod sample;
mod totals;
