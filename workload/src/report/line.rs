//! A line being formatted in place, without allocating.

use std::fmt;

/// Room for the longest line.
const CAPACITY: usize = 1024;

/// Text in a fixed buffer; what does not fit is an error.
pub struct Line {
    buffer: [u8; CAPACITY],
    length: usize,
}

impl Line {
    pub fn new() -> Self {
        Self {
            buffer: [0; CAPACITY],
            length: 0,
        }
    }

    pub fn as_str(&self) -> &str {
        // Only whole strings are ever appended, so this is always UTF-8.
        std::str::from_utf8(&self.buffer[..self.length]).unwrap_or_default()
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        let room = self.buffer.get_mut(self.length..end).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    #[test]
    fn what_fits_is_kept_and_what_does_not_is_an_error() {
        let mut line = Line::new();
        assert_eq!(write!(line, "{}-{}", 1, "é"), Ok(()));
        assert_eq!(line.write_str(&"x".repeat(CAPACITY)), Err(fmt::Error));
        assert_eq!(line.as_str(), "1-é");
    }
}
