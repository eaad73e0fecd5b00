//! One buffer that grows by half at a time, as a growing array does. What
//! each step adds is written before its line is printed.
//!
//! Shows whether an allocator moves pages (mremap) or copies and keeps the
//! old place.

use std::iter;

use crate::error::Error;
use crate::memory::Block;
use crate::report::{Action, Event};
use crate::stage::Stage;
use crate::units::Bytes;

const FIRST: Bytes = Bytes::kib(64);

/// The sizes after the first, up to `last`.
fn growth(last: Bytes) -> impl Iterator<Item = Bytes> {
    iter::successors(Some(FIRST), move |size| {
        (*size < last).then(|| Bytes(size.0 + size.0 / 2).min(last))
    })
    .skip(1)
}

/// Grows the buffer to the size, then frees it.
pub fn run(stage: &mut Stage) -> Result<(), Error> {
    let mut buffer = Block::new(stage.allocator, FIRST)?;
    buffer.touch(Bytes::ZERO);
    stage.step(Event::one(Action::Alloc, &buffer))?;
    for size in growth(stage.size) {
        let written = buffer.bytes();
        buffer = buffer.resize(size)?;
        buffer.touch(written);
        stage.step(Event::one(Action::Realloc, &buffer))?;
    }
    let freed = Event::one(Action::Free, &buffer);
    buffer.free();
    stage.step(freed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_ends_at_the_size() {
        let sizes: Vec<_> = growth(Bytes::kib(200)).collect();
        assert_eq!(sizes, [96, 144, 200].map(Bytes::kib));
    }
}
