//! The other side of the heap view's measurement of its own cost: a line in, pairs of malloc and
//! free made, how many and how long out. See `world/heap_cost.rs`.

use std::{
    hint::black_box,
    io::{self, BufRead as _, Write as _},
    time::{Duration, Instant},
};

/// How long pairs are made for each line.
const FOR: Duration = Duration::from_millis(20);
/// Pairs between two looks at the clock.
const BATCH: u64 = 100;
/// The size of a block: small, as most are.
const SIZE: usize = 100;

/// Answers lines of standard input until it ends.
pub fn answer() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        line?;
        let begun = Instant::now();
        let mut pairs = 0_u64;
        while begun.elapsed() < FOR {
            for _ in 0..BATCH {
                drop(black_box(Vec::<u8>::with_capacity(black_box(SIZE))));
            }
            pairs += BATCH;
        }
        writeln!(out, "{pairs} {}", begun.elapsed().as_nanos())?;
        out.flush()?;
    }
    Ok(())
}
