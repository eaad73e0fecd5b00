//! Any bytes in the place of a ring record: an event or an error.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tracer::{event::decode::decode, units::PageSize};

fuzz_target!(|record: &[u8]| {
    let _ = decode(record, PageSize(4096));
});
