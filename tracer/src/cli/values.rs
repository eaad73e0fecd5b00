//! One typed value in, its meaning or a sentence that says what would do out.

use std::{num::NonZeroU32, path::PathBuf, time::Duration};

use crate::units::Bytes;

/// The kernel's highest process id (`PID_MAX_LIMIT`).
const HIGHEST_PID: u32 = 1 << 22;
/// The largest ring, MiB: what one process should lock in memory at most.
const LARGEST_RING: u32 = 1024;
/// The most of anything that is counted: as many as there can be processes.
const MOST_COUNTED: u32 = HIGHEST_PID;
/// The most that the kernel side copies of a stack, KiB.
const LARGEST_STACK: u32 = 32;
/// Processes that an audit traces: each has a model of its address space.
const MOST_PICKS: u32 = 64;
/// The most processes or groups that have series of their own.
const MOST_EXPORTED: u32 = 1000;
/// The largest recording, MiB: one TiB.
const LARGEST_RECORDING: u32 = 1 << 20;

/// Bytes between two samples of the heap view, at most.
const LONGEST_DISTANCE: u64 = 1 << 30;
/// Blocks that the heap view tracks at most: about 6 GiB of the kernel's memory.
const MOST_BLOCKS: u32 = 1 << 26;

/// A process id.
pub fn pid(text: &str) -> Result<NonZeroU32, String> {
    let pid = text.trim().parse().ok().and_then(NonZeroU32::new);
    pid.filter(|pid| pid.get() <= HIGHEST_PID)
        .ok_or_else(|| format!("a process id is a number from 1 to {HIGHEST_PID}"))
}

/// A length of time above zero: `10`, `0.5`, `500ms`, `2m`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let number_ends = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(number_ends);
    let seconds = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => f64::NAN,
    };
    number
        .parse()
        .ok()
        .and_then(|number: f64| Duration::try_from_secs_f64(number * seconds).ok())
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "give seconds above zero, or a unit: 10, 500ms, 2m, 1h".to_owned())
}

/// A power of two, MiB.
pub fn ring_size(text: &str) -> Result<u32, String> {
    let size = text.parse().ok();
    size.filter(|size: &u32| size.is_power_of_two() && *size <= LARGEST_RING)
        .ok_or_else(|| format!("give a power of two from 1 to {LARGEST_RING}, in MiB"))
}

/// A size: bytes, or with a binary unit.
pub fn size(text: &str) -> Result<u64, String> {
    let number_ends = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(number_ends);
    let unit = unit.trim().to_ascii_uppercase();
    let shift = match unit.trim_end_matches('B').trim_end_matches('I') {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => u32::MAX,
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(1_u64.checked_shl(shift)?))
        .ok_or_else(|| "give bytes, or a unit: 4096, 64K, 16M, 1G".to_owned())
}

/// Per cent, above zero.
pub fn percent(text: &str) -> Result<u32, String> {
    let percent = text.trim_end_matches('%').parse().ok();
    percent
        .filter(|percent| (1..=100).contains(percent))
        .ok_or_else(|| "give per cent of one processor, from 1 to 100".to_owned())
}

/// Events per second, at least one.
pub fn rate(text: &str) -> Result<u64, String> {
    let rate = text.parse().ok().filter(|rate| *rate > 0);
    rate.ok_or_else(|| "give a number of events per second, from 1 on".to_owned())
}

/// How many processes are traced at once.
pub fn picks(text: &str) -> Result<u32, String> {
    let picks = text.parse().ok().filter(|picks| *picks <= MOST_PICKS);
    picks.ok_or_else(|| format!("give a number from 0 to {MOST_PICKS}"))
}

/// How many, at least one.
pub fn count(text: &str) -> Result<u32, String> {
    let count = text.parse().ok();
    count
        .filter(|count| (1..=MOST_COUNTED).contains(count))
        .ok_or_else(|| format!("give a number from 1 to {MOST_COUNTED}"))
}

/// Of a stack, KiB.
pub fn stack_size(text: &str) -> Result<u32, String> {
    let size = text.parse().ok();
    size.filter(|size: &u32| (1..=LARGEST_STACK).contains(size))
        .ok_or_else(|| format!("give a number from 1 to {LARGEST_STACK}, in KiB"))
}

/// How many to export: few enough for a server of metrics.
pub fn exported(text: &str) -> Result<u32, String> {
    let count = text.parse().ok();
    count
        .filter(|count| (1..=MOST_EXPORTED).contains(count))
        .ok_or_else(|| format!("give a number from 1 to {MOST_EXPORTED}"))
}

/// A size of a recording, MiB.
pub fn record_size(text: &str) -> Result<u32, String> {
    let size = text.parse().ok();
    size.filter(|size: &u32| (1..=LARGEST_RECORDING).contains(size))
        .ok_or_else(|| format!("give a number from 1 to {LARGEST_RECORDING}, in MiB"))
}

/// The size of a block.
pub fn block(text: &str) -> Result<Bytes, String> {
    size(text).map(Bytes)
}

/// A distance between samples.
pub fn distance(text: &str) -> Result<Bytes, String> {
    size(text).and_then(|bytes| match bytes {
        1..=LONGEST_DISTANCE => Ok(Bytes(bytes)),
        _ => Err("give 1 to 1g bytes".to_owned()),
    })
}

/// How many blocks are tracked.
pub fn blocks(text: &str) -> Result<u32, String> {
    let blocks = text.parse().ok();
    blocks
        .filter(|blocks: &u32| (1..=MOST_BLOCKS).contains(blocks))
        .ok_or_else(|| format!("give a number from 1 to {MOST_BLOCKS}"))
}

/// The file of a recording.
pub fn recording(text: &str) -> Result<PathBuf, String> {
    if text == "-" {
        return Err(
            "a recording needs a file: standard output is the command's and the summary's"
                .to_owned(),
        );
    }
    Ok(PathBuf::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        let millis = |text| duration(text).map(|time| time.as_millis());
        for (text, expected) in [
            ("10", 10_000),
            ("0.5", 500),
            ("500ms", 500),
            ("3s", 3_000),
            ("2m", 120_000),
            ("2min", 120_000),
            ("1h", 3_600_000),
        ] {
            assert_eq!(millis(text), Ok(expected), "{text}");
        }
        for wrong in [
            "", "0", "0ms", "-1", "1d", "ms", "1.2.3", "nan", "inf", "1e3", "9e99", "1 s",
        ] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        let endless = "9".repeat(400);
        assert!(duration(&endless).is_err());
    }

    #[test]
    fn process_ids_are_in_the_kernels_range() {
        assert_eq!(pid("4194304").map(NonZeroU32::get), Ok(4_194_304));
        assert_eq!(pid(" 7").map(NonZeroU32::get), Ok(7));
        for wrong in ["0", "-1", "4194305", "x", ""] {
            assert!(pid(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_have_binary_units() {
        for (text, expected) in [
            ("4096", 4096),
            ("64K", 64 << 10),
            ("16M", 16 << 20),
            ("16MiB", 16 << 20),
            ("1g", 1 << 30),
            ("2 T", 2 << 40),
            ("0", 0),
        ] {
            assert_eq!(size(text), Ok(expected), "{text}");
        }
        for wrong in ["", "M", "1.5G", "-1", "16X", "99999999T", "0x10"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
        assert_eq!(percent("2%"), Ok(2));
        assert!(percent("0").is_err() && percent("101").is_err());
        assert!(count("0").is_err() && count("-1").is_err());
        assert_eq!(distance("512k"), Ok(Bytes(512 << 10)));
        assert!(distance("0").is_err() && distance("2g").is_err());
    }

    #[test]
    fn rings_are_powers_of_two() {
        assert_eq!(ring_size("1"), Ok(1));
        assert_eq!(ring_size("1024"), Ok(1024));
        for wrong in ["0", "3", "2048", "8MiB", "-8"] {
            assert!(ring_size(wrong).is_err(), "{wrong}");
        }
    }
}
