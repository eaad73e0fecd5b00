//! Quantities in, the words people read them in out.

use crate::units::Bytes;

/// `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Every byte of it, in KiB where that is whole: `1,597,440 KiB`, as `/proc/<pid>/status`.
pub fn exact(size: Bytes) -> String {
    if size.0.is_multiple_of(1024) && size.0 > 0 {
        format!("{} KiB", grouped(size.0 / 1024))
    } else {
        format!("{} B", grouped(size.0))
    }
}

/// A size in few letters, for tables: `1.02G`, `512K`, `0`.
pub fn compact(size: Bytes) -> String {
    const UNITS: [&str; 6] = ["", "K", "M", "G", "T", "P"];
    let mut unit = 0;
    let scaled_to = |unit: usize| {
        let one = 1_u128 << (10 * unit);
        (u128::from(size.0) * 100 + one / 2) / one
    };
    // Rounded to three digits it might read 1024.
    while scaled_to(unit) >= 102_350 && unit + 1 < UNITS.len() {
        unit += 1;
    }
    let scaled = scaled_to(unit);
    let (whole, part) = (scaled / 100, scaled % 100);
    let number = match whole {
        _ if unit == 0 => whole.to_string(),
        0..10 => format!("{whole}.{part:02}"),
        10..100 => format!("{whole}.{}", part / 10),
        _ => whole.to_string(),
    };
    number + UNITS[unit]
}

/// A difference in few letters: `+1.02G`, `-4.00K`, `0`.
pub fn compact_signed(difference: i64) -> String {
    let size = compact(Bytes(difference.unsigned_abs()));
    match difference.signum() {
        1 => format!("+{size}"),
        -1 => format!("-{size}"),
        _ => size,
    }
}

/// The difference of two sizes, rounded: `+1.50 GiB`.
pub fn change(from: Bytes, to: Bytes) -> String {
    signed(from, to, |size| size.to_string())
}

/// The difference of two sizes, every byte of it: `+1,597,440 KiB`.
pub fn exact_change(from: Bytes, to: Bytes) -> String {
    signed(from, to, exact)
}

/// A difference, every byte of it: `-4 KiB`.
pub fn exact_signed(difference: i64) -> String {
    let size = Bytes(difference.unsigned_abs());
    if difference < 0 {
        exact_change(size, Bytes(0))
    } else {
        exact_change(Bytes(0), size)
    }
}

fn signed(from: Bytes, to: Bytes, show: impl Fn(Bytes) -> String) -> String {
    match to.cmp(&from) {
        std::cmp::Ordering::Greater => format!("+{}", show(to - from)),
        std::cmp::Ordering::Equal => show(Bytes(0)),
        std::cmp::Ordering::Less => format!("-{}", show(from - to)),
    }
}

/// `part` of `whole` in per cent with one digit; never `0.0` or `100.0` when it is not.
pub fn percent(part: Bytes, whole: Bytes) -> String {
    let (part, whole) = (u128::from(part.0), u128::from(whole.0));
    if whole == 0 {
        return "-".to_owned();
    }
    let tenths = (part * 1000 + whole / 2) / whole;
    match tenths {
        0 if part > 0 => "<0.1 %".to_owned(),
        1000 if part < whole => ">99.9 %".to_owned(),
        _ => format!("{}.{} %", tenths / 10, tenths % 10),
    }
}

/// A length of time: `0.250 s`, `12.3 s`, `2 min 05 s`, `3 h 07 min`.
pub fn lasting(nanos: u64) -> String {
    let millis = nanos / 1_000_000;
    let seconds = millis / 1000;
    match seconds {
        0 => format!("0.{millis:03} s"),
        1..60 => format!("{seconds}.{} s", millis % 1000 / 100),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// Seconds with microseconds: `12.345678`.
pub fn seconds(nanos: u64) -> String {
    format!(
        "{}.{:06}",
        nanos / 1_000_000_000,
        nanos % 1_000_000_000 / 1000
    )
}

/// `1 process`, `2 processes`: `number` and the word that goes with it.
pub fn count(number: u64, one: &str, many: &str) -> String {
    format!(
        "{} {}",
        grouped(number),
        if number == 1 { one } else { many }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        let shown = [0, 999, 1000, 1_234_567, u64::MAX].map(grouped);
        assert_eq!(
            shown,
            [
                "0",
                "999",
                "1,000",
                "1,234,567",
                "18,446,744,073,709,551,615"
            ]
        );
    }

    #[test]
    fn exact_sizes_keep_every_byte() {
        let shown = [0, 1, 1024, 1025, 1 << 30].map(|n| exact(Bytes(n)));
        assert_eq!(shown, ["0 B", "1 B", "1 KiB", "1,025 B", "1,048,576 KiB"]);
    }

    #[test]
    fn compact_sizes_take_five_letters() {
        let shown = [
            0,
            999,
            4096,
            1 << 20,
            10 << 20,
            1000 << 20,
            1023 << 20,
            5 << 40,
        ]
        .map(|n| compact(Bytes(n)));
        assert_eq!(
            shown,
            [
                "0", "999", "4.00K", "1.00M", "10.0M", "1000M", "1023M", "5.00T"
            ]
        );
        assert_eq!(compact(Bytes(u64::MAX)), "16384P");
        assert_eq!(compact_signed(-4096), "-4.00K");
        assert_eq!(compact_signed(1 << 30), "+1.00G");
        assert_eq!(compact_signed(0), "0");
    }

    #[test]
    fn changes_have_a_sign() {
        assert_eq!(change(Bytes(1 << 20), Bytes(3 << 20)), "+2.00 MiB");
        assert_eq!(exact_change(Bytes(4096), Bytes(0)), "-4 KiB");
        assert_eq!(exact_change(Bytes(7), Bytes(7)), "0 B");
        assert_eq!(exact_signed(-4096), "-4 KiB");
        assert_eq!(exact_signed(i64::MIN), "-9,007,199,254,740,992 KiB");
    }

    #[test]
    fn shares_do_not_round_to_all_or_nothing() {
        let of = |part, whole| percent(Bytes(part), Bytes(whole));
        assert_eq!(of(1, 3), "33.3 %");
        assert_eq!(of(1, u64::MAX), "<0.1 %");
        assert_eq!(of(u64::MAX - 1, u64::MAX), ">99.9 %");
        assert_eq!(of(u64::MAX, u64::MAX), "100.0 %");
        assert_eq!(of(0, 0), "-");
    }

    #[test]
    fn times_are_as_exact_as_they_are_long() {
        let shown = [0, 250, 12_345, 125_000, 11_220_000].map(|ms| lasting(ms * 1_000_000));
        assert_eq!(
            shown,
            ["0.000 s", "0.250 s", "12.3 s", "2 min 05 s", "3 h 07 min"]
        );
        assert_eq!(seconds(12_345_678_999), "12.345678");
    }
}
