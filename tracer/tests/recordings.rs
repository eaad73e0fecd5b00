//! Recordings of real runs: each gives the report that it gave before, and no damage to one
//! does more than to end it early.
//!
//! The files are in `tests/recordings/`: `*.trace` with the report expected of each beside it
//! (`TRACER_BLESS=1` writes what is given now), and in `hostile/` what a fuzzer made,
//! each with a way through the code of its own.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use proptest::prelude::*;
use tracer::{
    recording::{
        Damage, Ending, Kept, Limit, NoRecording, Recorder, Replay, Store, WhyStopped, mended,
    },
    report::Report,
    session::{self, Silence},
    units::Bytes,
    view::json::{self, Layout},
    world::{Outcome, Turn, World as _},
};

const BLESS: &str = "TRACER_BLESS";
/// Magic and version.
const PREAMBLE: usize = 12;
const UNLIMITED: Limit = Limit(Bytes(u64::MAX));

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings")
}

/// Files of a folder with this ending, in order.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder of recordings");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|found| found == ending))
        .collect();
    paths.sort();
    paths
}

/// One whole recording, for experiments.
fn whole() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| fs::read(folder().join("seed-glibc.trace")).expect("it is there"))
}

fn open(bytes: &[u8]) -> Replay<&[u8]> {
    Replay::open(bytes).expect("a recording")
}

fn explained(bytes: &[u8]) -> (Report, Ending) {
    let mut replay = open(bytes);
    let report = session::run(&mut replay, &mut Silence).expect("a report");
    (report, replay.ending().clone())
}

fn document(report: &Report) -> String {
    let mut document = Vec::new();
    json::write(report, Layout::Pretty, &mut document).expect("memory takes all");
    String::from_utf8(document).expect("it is text")
}

/// Every record of the ring that a replay hands out.
fn records(bytes: &[u8]) -> Vec<Vec<u8>> {
    let Ok(mut replay) = Replay::open(bytes) else {
        return Vec::new();
    };
    let (mut records, mut ends) = (Vec::new(), 0);
    // What was drained once the run was to end comes after the turn that ended it.
    while ends < 2 {
        while replay.drain(64, |record| records.push(record.to_vec())) > 0 {}
        ends = match replay.wait(true) {
            Turn::End => ends + 1,
            Turn::Wake | Turn::Tick { .. } => 0,
        };
    }
    records
}

/// Where each frame ends, and its content. Reads the format independently of the library.
fn frames(bytes: &[u8]) -> Vec<(usize, &[u8])> {
    let (mut at, mut frames) = (PREAMBLE, Vec::new());
    while at < bytes.len() {
        let len = u32::from_le_bytes(bytes[at + 1..at + 5].try_into().expect("four bytes"));
        let content = &bytes[at + 5..at + 5 + len as usize];
        at += 5 + content.len() + 4;
        frames.push((at, content));
    }
    frames
}

/// The records in those frames of `bytes` that end at `sound` or before.
fn records_within(bytes: &[u8], sound: usize) -> Vec<Vec<u8>> {
    const RECORD: u8 = 2;
    let mut records = Vec::new();
    let sound = frames(bytes).into_iter().filter(|(end, _)| *end <= sound);
    // The first frame is the header, which has no items.
    for (_, mut items) in sound.skip(1) {
        while let [tag, a, b, c, d, rest @ ..] = items {
            let (content, rest) = rest.split_at(u32::from_le_bytes([*a, *b, *c, *d]) as usize);
            if *tag == RECORD {
                records.push(content.to_vec());
            }
            items = rest;
        }
    }
    records
}

#[test]
fn every_recording_gives_its_report() {
    let recordings = files(&folder(), "trace");
    assert!(!recordings.is_empty());
    for path in recordings {
        let name = path.display();
        let bytes = fs::read(&path).expect("readable");
        let mut replay = Replay::open(bytes.as_slice())
            .unwrap_or_else(|error| panic!("{name}: {error}. CONTRIBUTING.md: record it anew"));
        let report = session::run(&mut replay, &mut Silence)
            .unwrap_or_else(|outcome| panic!("{name}: {outcome:?}"));
        let found = document(&report);
        let beside = path.with_extension("json");
        if std::env::var_os(BLESS).is_some() {
            fs::write(&beside, &found).expect("written");
        }
        let expected = fs::read_to_string(&beside).expect("a report beside the recording");
        assert!(
            found == expected,
            "{name} gives another report than {}: if that is meant, run with {BLESS}=1 and look \
             at the difference",
            beside.display()
        );
    }
}

#[test]
fn what_a_fuzzer_found_is_borne() {
    let found = files(&folder().join("hostile"), "trace");
    assert!(!found.is_empty());
    for path in found {
        let bytes = fs::read(&path).expect("readable");
        for bytes in [mended(&bytes), bytes] {
            if let Ok(mut replay) = Replay::open(bytes.as_slice()) {
                let _ = session::run(&mut replay, &mut Silence);
            }
        }
    }
}

#[test]
fn mending_what_is_sound_changes_nothing() {
    assert!(mended(whole()) == whole());
}

proptest! {
    #[test]
    fn a_recording_cut_short_is_reported_up_to_there(at in 0..whole().len()) {
        let cut = &whole()[..at];
        prop_assert_eq!(records(cut), records_within(whole(), at));
        match Replay::open(cut) {
            Err(NoRecording::NoHeader(Damage::CutShort(sound))) => {
                prop_assert!(sound as usize <= at);
                prop_assert!(at < frames(whole())[0].0, "a header is all it takes");
            }
            Err(error) => prop_assert!(false, "{}", error),
            Ok(mut replay) => {
                match session::run(&mut replay, &mut Silence) {
                    Ok(report) => prop_assert!(
                        report.notes.iter().any(|note| note.contains("cut short")),
                        "{:?}", report.notes
                    ),
                    // Cut before anything was learnt of the target.
                    Err(outcome) => prop_assert!(matches!(outcome, Outcome::NoTarget(_) | Outcome::Failed(_))),
                }
                let ends = frames(whole()).into_iter().map(|(end, _)| end);
                let sound = ends.filter(|end| *end <= at).max().expect("the header") as u64;
                prop_assert_eq!(replay.ending(), &Ending::Damaged(Damage::CutShort(sound)));
            }
        }
    }

    #[test]
    fn a_flipped_bit_ends_it_there_and_no_later(at in 0..whole().len(), bit in 0..8_u32) {
        let mut flipped = whole().to_vec();
        flipped[at] ^= 1_u8 << bit;
        prop_assert_eq!(records(&flipped), if at < PREAMBLE {
            Vec::new()
        } else {
            records_within(whole(), at)
        });
        if let Ok(mut replay) = Replay::open(flipped.as_slice()) {
            let _ = session::run(&mut replay, &mut Silence);
            let ending = replay.ending();
            prop_assert!(matches!(ending, Ending::Damaged(_)), "{:?}", ending);
        }
    }

    #[test]
    fn any_bytes_are_borne(bytes in prop::collection::vec(any::<u8>(), 0..4096)) {
        prop_assert!(records(&bytes).is_empty());
    }

    /// Behind checksums that fit, each piece of a recording may be another one.
    #[test]
    fn any_change_behind_fitting_checksums_is_borne(
        changes in prop::collection::vec((PREAMBLE..whole().len(), any::<u8>()), 1..8),
    ) {
        let mut changed = whole().to_vec();
        for (at, byte) in changes {
            changed[at] = byte;
        }
        if let Ok(mut replay) = Replay::open(mended(&changed).as_slice()) {
            let _ = session::run(&mut replay, &mut Silence);
        }
    }
}

/// A replay recorded again.
fn recorded_again<S: Store>(bytes: &[u8], store: S, limit: Limit) -> (Report, Kept) {
    let mut recorder = Recorder::begin(open(bytes), store, limit, "6.18".into(), String::new());
    let report = session::run(&mut recorder, &mut Silence).expect("a report");
    let (_, kept) = recorder.end();
    (report, kept)
}

/// A file that others look into.
#[derive(Clone, Default)]
struct Shared(std::rc::Rc<std::cell::RefCell<Vec<u8>>>, Option<usize>);

impl io::Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut file = self.0.borrow_mut();
        let room = self
            .1
            .map_or(usize::MAX, |most| most.saturating_sub(file.len()));
        if room == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let written = room.min(bytes.len());
        file.extend_from_slice(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Store for Shared {
    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.0.borrow_mut().cut(len)
    }

    fn settle(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_recording_of_a_replay_gives_the_same_report() {
    let file = Shared::default();
    file.0
        .borrow_mut()
        .extend_from_slice(b"what was there before");
    let (report, kept) = recorded_again(whole(), file.clone(), UNLIMITED);
    assert_eq!(kept.stopped, None);
    let again = file.0.borrow();
    assert_eq!(kept.size, Bytes(again.len() as u64));
    assert_eq!(records(&again), records(whole()));
    let (replayed, ending) = explained(&again);
    assert_eq!(ending, Ending::Whole);
    assert_eq!(document(&replayed), document(&report));
    assert_eq!(document(&replayed), document(&explained(whole()).0));
}

#[test]
fn at_its_limit_recording_stops_and_observing_goes_on() {
    let file = Shared::default();
    let limit = Bytes(whole().len() as u64 / 2);
    let (report, kept) = recorded_again(whole(), file.clone(), Limit(limit));
    assert_eq!(kept.stopped, Some(WhyStopped::Limit(limit)));
    assert!(kept.size <= limit, "{kept:?}");
    let complete = explained(whole()).0;
    assert_eq!(
        report.processes[0].events.received,
        complete.processes[0].events.received
    );
    assert!(
        report
            .notes
            .iter()
            .any(|note| note.contains("reached its limit")),
        "{report:?}"
    );
    assert_eq!(kept.records, records(&file.0.borrow()).len() as u64);
    let (replayed, ending) = explained(&file.0.borrow());
    assert_eq!(ending, Ending::Stopped(WhyStopped::Limit(limit)));
    assert!(
        replayed
            .notes
            .iter()
            .any(|note| note.contains("reached its limit")),
        "{replayed:?}"
    );
    assert!(replayed.processes[0].events.received > 0);
}

#[test]
fn on_a_full_disk_recording_stops_and_what_is_there_is_sound() {
    let file = Shared::default();
    recorded_again(whole(), file.clone(), UNLIMITED);
    let needed = file.0.borrow().len();
    for room in [0, 5, 100, needed / 2, needed - 1] {
        let file = Shared(std::rc::Rc::default(), Some(room));
        let (report, kept) = recorded_again(whole(), file.clone(), UNLIMITED);
        assert!(
            matches!(kept.stopped, Some(WhyStopped::Failed(_))),
            "{room}: {kept:?}"
        );
        let said = report
            .notes
            .iter()
            .any(|note| note.contains("could not be written"));
        // The last frame is written when the report is made already.
        assert!(said || room == needed - 1, "{room}: {report:?}");
        let file = file.0.borrow();
        assert_eq!(kept.size, Bytes(file.len() as u64), "{room}");
        assert!(records(whole()).starts_with(&records(&file)), "{room}");
        if let Ok(mut replay) = Replay::open(file.as_slice()) {
            let ending = replay.ending();
            let sound = file.len() as u64;
            let cut = Ending::Damaged(Damage::CutShort(sound));
            assert!(
                matches!(ending, Ending::Stopped(_)) || *ending == cut,
                "{room}: {ending:?}"
            );
        }
    }
}

#[test]
fn what_is_no_recording_is_told_in_a_sentence() {
    let refusal = |bytes: &[u8]| Replay::open(bytes).err().expect("refused").to_string();
    assert!(refusal(b"{\"schema\": 1}").starts_with("it is no recording"));
    assert!(refusal(b"x").starts_with("it is no recording"));
    assert!(refusal(b"").starts_with("the recording is cut short after 0 bytes"));
    let mut newer = whole().to_vec();
    newer[PREAMBLE - 4] += 1;
    assert!(
        refusal(&newer).starts_with("it is a recording of format 2, this tracer reads format 1")
    );
    let header = frames(whole())[0].1;
    let with = |from: &str, to: &str| {
        let text = String::from_utf8(header.to_vec())
            .expect("JSON")
            .replacen(from, to, 1);
        assert_ne!(text.as_bytes(), header, "{from}");
        let mut bytes = whole()[..PREAMBLE].to_vec();
        bytes.push(1);
        bytes.extend((text.len() as u32).to_le_bytes());
        bytes.extend(text.as_bytes());
        bytes.extend([0; 4]);
        refusal(&mended(&bytes))
    };
    assert!(with("\"wire\":", "\"wire\":9").starts_with("its records are of version 9"));
    assert!(with("\"arch\":\"", "\"arch\":\"not-").starts_with("it was recorded on not-"));
    assert!(
        with("\"page_size\":4096", "\"page_size\":0").starts_with("it claims a page size of 0")
    );
}
