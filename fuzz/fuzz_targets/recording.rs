//! Any bytes in the place of a recording: a report or an error. Then the same bytes with
//! checksums that fit, so that what is behind them is reached too.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tracer::{
    recording::{Replay, mended},
    session::{self, Silence},
};

fuzz_target!(|bytes: &[u8]| {
    report(bytes);
    report(&mended(bytes));
});

fn report(bytes: &[u8]) {
    if let Ok(mut replay) = Replay::open(bytes) {
        let _ = session::run(&mut replay, &mut Silence);
    }
}
