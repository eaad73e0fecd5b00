//! Strings of others in, strings that are safe to print out.
//!
//! Names of threads, files and memory are chosen by the traced process. Printed as they
//! are they could move the cursor, colour the terminal or pose as lines of ours.

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// `text` with every character that prints nothing or directs the terminal written as an
/// escape: `\n`, `\u{1b}`.
pub fn clean(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hostile) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_hostile(c) {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    Cow::Owned(safe)
}

/// Columns that `text` takes in a terminal.
pub fn columns(text: &str) -> usize {
    text.width()
}

/// The longest beginning of `text` that takes at most `limit` columns, and the rest.
pub fn split_at_column(text: &str, limit: usize) -> (&str, &str) {
    let mut taken = 0;
    for (at, c) in text.char_indices() {
        taken += c.width().unwrap_or(0);
        if taken > limit {
            return text.split_at(at);
        }
    }
    (text, "")
}

/// `text` cut to `limit` columns, with `…` where something is missing.
pub fn fit(text: &str, limit: usize) -> Cow<'_, str> {
    if columns(text) <= limit {
        return Cow::Borrowed(text);
    }
    let (head, _) = split_at_column(text, limit.saturating_sub(1));
    Cow::Owned(format!("{}{}", head, if limit > 0 { "…" } else { "" }))
}

/// Controls, and what changes the direction or hides the presence of text.
fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_directs_a_terminal_is_written_out() {
        assert_eq!(
            clean("a\x1b[31mb\n\u{9b}c\u{202e}"),
            "a\\u{1b}[31mb\\n\\u{9b}c\\u{202e}"
        );
        assert!(matches!(clean("测试 /usr/lib/é.so"), Cow::Borrowed(_)));
    }

    #[test]
    fn cutting_counts_columns_and_not_bytes() {
        assert_eq!(fit("测试程序", 5), "测试…");
        assert_eq!(fit("test", 4), "test");
        assert_eq!(fit("test", 0), "");
        assert_eq!(split_at_column("测试", 3), ("测", "试"));
    }
}
