//! Scudo of LLVM and Android: a large reservation for small blocks, mappings for large ones.
//!
//! Measured on LLVM 14 and 19 (`libclang_rt.scudo_standalone`), which behave alike: 180 GiB are
//! reserved when the process starts; size classes grow in it by 256 KiB, mapped over the
//! reservation, so VmSize does not move. Blocks over 64 KiB have mappings of their own, between two
//! inaccessible pages; those over 512 KiB are unmapped when they are freed, of the smaller ones
//! some 30 are kept.

use super::{Allocator, Decay, PLAIN, Shape, Topic, settings};
use crate::attribute::{
    evidence::{Evidence, Settings},
    explanation::InForce,
};

/// Its reservation for small blocks is at least this large.
const RESERVE: u64 = 64 << 30;
/// What the kernel shows of it later: a piece from the end of one size class to the beginning of
/// the next, 4 GiB each and 16 MiB or less out of step.
const PIECE: u64 = 3 << 30;
const INTERVAL: &str = "release_to_os_interval_ms";
/// Milliseconds.
const DEFAULT_INTERVAL: &str = "5000";

pub(super) static SCUDO: Allocator = Allocator {
    name: "scudo",
    title: "Scudo",
    libraries: &["libscudo*", "libclang_rt.scudo*"],
    functions: &["_ZN5scudo*", "scudo::*", "__scudo_*"],
    symbols: &["__scudo_print_stats", "__scudo_*"],
    strings: &["Scudo ERROR"],
    vma_names: &["scudo:*"],
    fits,
    grows: "it reserves address space for each size class up front, and maps large blocks one by \
            one",
    keeps: "it keeps the reservation in which it places small blocks",
    unmaps: "it unmaps blocks over 512 KiB at once, and keeps some of the mappings of smaller ones",
    variables: &["SCUDO_OPTIONS"],
    experiment: "mallopt(M_PURGE, 0) in the process: what RSS falls by was free",
    advice,
    options: |evidence| vec![interval_row(evidence.settings)],
    decay,
    ..PLAIN
};

fn fits(shape: &Shape) -> bool {
    let size = shape.mapped.map_or(PIECE, |_| RESERVE);
    !shape.writable && !shape.heap && shape.is_reservation_of(size)
}

/// The interval that is set, if one is.
fn interval(settings: &Settings) -> Option<&str> {
    let options = settings::variable(settings, "SCUDO_OPTIONS")?;
    options
        .split([':', ',', ' '])
        .filter_map(|entry| entry.split_once('='))
        .filter(|(name, _)| *name == INTERVAL)
        .map(|(_, value)| value)
        .next_back()
}

fn interval_row(settings: &Settings) -> InForce {
    let set = interval(settings);
    InForce {
        name: INTERVAL.to_owned(),
        value: set.unwrap_or(DEFAULT_INTERVAL).to_owned(),
        source: set.map_or_else(
            || settings::by_default("Scudo"),
            |_| "environment: SCUDO_OPTIONS".to_owned(),
        ),
        effect: "milliseconds between two looks for free pages to give back; 0: at once; -1: never"
            .to_owned(),
    }
}

fn decay(evidence: &Evidence<'_>) -> Option<Decay> {
    let interval = interval(evidence.settings).unwrap_or(DEFAULT_INTERVAL);
    if interval.starts_with('-') {
        return Some(Decay::Never(format!("{INTERVAL}={interval}")));
    }
    Some(Decay::ByCalls(format!(
        "free pages of a size class go back when more is freed in it, {interval} ms after the \
         last time at the earliest"
    )))
}

fn advice(evidence: &Evidence<'_>, topic: Topic) -> String {
    match topic {
        Topic::NotReleased => {
            let never = interval(evidence.settings).is_some_and(|set| set.starts_with('-'));
            let interval = if never {
                format!("{INTERVAL} is negative: Scudo never gives pages back. Remove it.")
            } else {
                format!(
                    "Scudo gives free pages back only while the program goes on freeing; \
                     SCUDO_OPTIONS={INTERVAL}=0 does so at once (price: more calls and page \
                     faults)."
                )
            };
            format!("{interval} To know what is free: {}.", SCUDO.experiment)
        }
        _ => super::general_advice(topic).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribute::testing::World;

    fn set(options: &str) -> Settings {
        let mut world = World::dynamic(&[]);
        world.settings.environment = vec![("SCUDO_OPTIONS".into(), options.into())];
        world.settings
    }

    #[test]
    fn the_interval_is_read_as_it_reads_it() {
        let settings = set("quarantine_size_kb=64:release_to_os_interval_ms=-1");
        assert_eq!(interval(&settings), Some("-1"));
        assert_eq!(interval_row(&settings).source, "environment: SCUDO_OPTIONS");
        let settings = set("quarantine_size_kb=64");
        assert_eq!(interval(&settings), None);
        assert_eq!(interval_row(&settings).value, DEFAULT_INTERVAL);
    }
}
