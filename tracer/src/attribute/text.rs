//! Figures in, words out: counts and lists of sizes as people write them.
//!
//! Only spelling; nothing here decides.

use crate::units::Bytes;

const MIB: u64 = 1 << 20;
/// How many members of a list are written out.
const SHOWN: usize = 8;

/// `1 call`, `8 calls`, `130,531 calls`.
pub fn count(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", grouped(number))
}

/// `0.10 s`, of nanoseconds.
pub fn seconds(nanos: u64) -> String {
    let hundredths = nanos / 10_000_000;
    format!("{}.{:02} s", grouped(hundredths / 100), hundredths % 100)
}

pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `6 mmaps of 160, 192, 224, 256, 320 and 384 MiB`; equal sizes are said once.
pub fn series(thing: &str, sizes: &[Bytes]) -> String {
    let head = count(sizes.len() as u64, thing);
    match sizes {
        [] => head,
        [first, rest @ ..] if rest.iter().all(|size| size == first) => {
            let each = if rest.is_empty() { "" } else { " each" };
            format!("{head} of {first}{each}")
        }
        _ => format!("{head} of {}", sizes_in_words(sizes)),
    }
}

fn sizes_in_words(sizes: &[Bytes]) -> String {
    let whole = sizes.iter().all(|size| size.0.is_multiple_of(MIB));
    let mut words: Vec<String> = sizes
        .iter()
        .take(SHOWN)
        .map(|size| match whole {
            true => grouped(size.0 / MIB),
            false => size.to_string(),
        })
        .collect();
    if sizes.len() > SHOWN {
        words.push("more".to_owned());
    }
    let list = join(&words);
    if whole { format!("{list} MiB") } else { list }
}

/// `a`, `a and b`, `a, b and c`.
pub fn join<S: AsRef<str>>(words: &[S]) -> String {
    match words {
        [] => String::new(),
        [only] => only.as_ref().to_owned(),
        [head @ .., last] => {
            let head: Vec<&str> = head.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", head.join(", "), last.as_ref())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mib(sizes: &[u64]) -> Vec<Bytes> {
        sizes.iter().map(|size| Bytes(size * MIB)).collect()
    }

    #[test]
    fn counts_agree_with_their_noun() {
        assert_eq!(count(1, "call"), "1 call");
        assert_eq!(count(130_531, "mmap"), "130,531 mmaps");
    }

    #[test]
    fn moments_are_seconds() {
        assert_eq!(seconds(0), "0.00 s");
        assert_eq!(seconds(1_234_567_890_123), "1,234.56 s");
    }

    #[test]
    fn sizes_are_listed_once_if_equal() {
        assert_eq!(
            series("mmap", &mib(&[160, 192, 224])),
            "3 mmaps of 160, 192 and 224 MiB"
        );
        assert_eq!(series("mmap", &mib(&[128; 3])), "3 mmaps of 128.0 MiB each");
        assert_eq!(series("mmap", &mib(&[1024])), "1 mmap of 1.00 GiB");
        assert_eq!(series("mmap", &[]), "0 mmaps");
    }

    #[test]
    fn odd_and_long_lists_stay_readable() {
        assert_eq!(
            series("mmap", &[Bytes(4096), Bytes(2 * MIB)]),
            "2 mmaps of 4.00 KiB and 2.00 MiB"
        );
        let many: Vec<u64> = (1..=12).collect();
        assert!(series("mmap", &mib(&many)).ends_with("7, 8 and more MiB"));
    }
}
