//! The names of the allocators a scenario can run on.

use std::fmt;

use clap::ValueEnum;

/// An allocator, chosen at run time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Allocator {
    /// The C library's malloc, or whatever LD_PRELOAD put in its place
    System,
    /// jemalloc, linked in; options in _RJEM_MALLOC_CONF
    Jemalloc,
    /// mimalloc 3, linked in; options in MIMALLOC_... variables
    Mimalloc,
    /// snmalloc 0.7, linked in; maps 256 GiB to keep its records in
    Snmalloc,
    /// rpmalloc 1.4, linked in
    Rpmalloc,
}

impl fmt::Display for Allocator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "system",
            Self::Jemalloc => "jemalloc",
            Self::Mimalloc => "mimalloc",
            Self::Snmalloc => "snmalloc",
            Self::Rpmalloc => "rpmalloc",
        })
    }
}
