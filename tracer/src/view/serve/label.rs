//! Text of anybody's in, a value of a label out: printable, bounded, and different for different
//! texts.

use std::fmt::Write as _;

use crate::view::clean::clean;

/// Bytes that a value has at most.
const MOST: usize = 160;

/// A value for a text. One that cannot be shown as it is ends with a sum of what it was, so that two
/// texts never become one series.
pub fn value(text: &str) -> String {
    let shown = clean(text);
    if shown.len() <= MOST && *shown == *text {
        return text.to_owned();
    }
    let mut end = MOST.min(shown.len());
    while !shown.is_char_boundary(end) {
        end -= 1;
    }
    let mut value = shown[..end].to_owned();
    let _ = write!(value, "~{:016x}", sum(text));
    value
}

/// FNV-1a, 64 bits: the same in each run and build.
fn sum(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_text_stays_as_it_is() {
        let path = "/system.slice/nginx.service";
        assert_eq!(value(path), path);
        assert_eq!(value("größe"), "größe");
    }

    #[test]
    fn different_texts_have_different_values() {
        let long = |end: char| format!("/{}{end}", "é".repeat(200));
        let [one, other] = ['a', 'b'].map(|end| value(&long(end)));
        assert!(one.len() <= MOST + 17 && one != other);
        let [one, other] = ["a\n\u{1b}[2J", "a\r\u{1b}[2J"].map(value);
        assert!(!one.contains('\u{1b}') && !one.contains('\n') && one != other);
    }
}
