//! What the tracer says of an allocator against what that says of itself: for each scenario and each
//! allocator there is, linked in or preloaded, the verdict, and bytes by its own statistics.
//!
//! One tracer watches all of a scenario, attached before the first step. So it is growth that is
//! compared: what came before belongs to nobody the tracer has seen.

use std::path::PathBuf;

use serde_json::Value;

use crate::harness::{
    Account, Target, Tracer, command, fact, preload, preloadable, skip, workload_on,
    workload_program,
};

/// An allocator under test.
struct Subject {
    name: &'static str,
    way: Way,
    /// Whose bytes they are.
    owner: &'static str,
}

/// How the workload comes to it.
enum Way {
    /// By the name that the workload has for it.
    Linked(&'static str),
    /// By a library that takes the place of the C library's malloc.
    Preloaded(&'static str),
    /// By a workload that has it in that place.
    Replaced(&'static str),
}

use Way::{Linked, Preloaded, Replaced};

const COUNT: usize = 12;
const SUBJECTS: [Subject; COUNT] = [
    subject("glibc", "glibc", Linked("system")),
    subject("jemalloc", "jemalloc", Linked("jemalloc")),
    subject("mimalloc", "mimalloc", Linked("mimalloc")),
    subject("libjemalloc", "jemalloc", Preloaded("libjemalloc.so.2")),
    subject(
        "libtcmalloc",
        "tcmalloc",
        Preloaded("libtcmalloc_minimal.so.4"),
    ),
    subject("libmimalloc", "mimalloc", Preloaded("libmimalloc.so.2")),
    subject(
        "libtbbmalloc",
        "tbbmalloc",
        Preloaded("libtbbmalloc_proxy.so.2"),
    ),
    subject("snmalloc", "snmalloc", Linked("snmalloc")),
    subject("rpmalloc", "rpmalloc", Linked("rpmalloc")),
    subject("libscudo", "scudo", Preloaded("clang:scudo_standalone")),
    subject("tcmalloc", "google-tcmalloc", Replaced("tcmalloc")),
    subject("hardened_malloc", "hardened_malloc", Replaced("hardened")),
];

const fn subject(name: &'static str, owner: &'static str, way: Way) -> Subject {
    Subject { name, way, owner }
}

impl Subject {
    /// The program that runs on it, if all it needs is there.
    fn program(&self) -> Option<PathBuf> {
        match self.way {
            Linked(_) => Some(workload_program()),
            Preloaded(library) => preloadable(library).then(workload_program),
            Replaced(malloc) => workload_on(malloc),
        }
    }
}

/// A process under test, and what its allocator said before it began.
struct Run<'s> {
    subject: &'s Subject,
    verdict: &'static str,
    target: Target,
    before: Value,
}

/// Runs a scenario of `size` MiB on each allocator; `verdicts` in the order of [`SUBJECTS`].
fn check(scenario: &str, size: u32, verdicts: [&'static str; COUNT]) {
    let subjects = SUBJECTS.iter().zip(verdicts);
    let mut runs: Vec<Run<'_>> = subjects
        .filter_map(|(subject, verdict)| start(scenario, size, subject, verdict))
        .collect();
    let pids: Vec<u32> = runs.iter().map(|run| run.target.pid()).collect();
    let tracer = Tracer::attach(&pids);
    runs.iter_mut().for_each(|run| run.target.go());
    let after: Vec<Value> = runs.iter().map(|run| step(&run.target, "end")).collect();
    let ended = tracer.interrupt();
    for (run, after) in runs.iter().zip(&after) {
        let account = ended.account_of(run.target.pid());
        account.check_trust();
        compare(scenario, run, after, &account);
        let name = run.subject.name;
        let expected = run.verdict.split(" or ");
        assert!(
            expected.into_iter().any(|one| one == account.verdict()),
            "{scenario} on {name}: {account}"
        );
    }
    if runs.len() < SUBJECTS.len() {
        skip("not every allocator is there");
    }
}

/// `None` if it is not there.
fn start<'s>(
    scenario: &str,
    size: u32,
    subject: &'s Subject,
    verdict: &'static str,
) -> Option<Run<'s>> {
    let mut program = command(subject.program()?);
    program.args([scenario, "--stats"]);
    program.args(["--size-mib", &size.to_string(), "--format", "json"]);
    program.args(["--idle", "0", "--wait-start", "--hold"]);
    match subject.way {
        Linked(name) => program.args(["--allocator", name]),
        Preloaded(library) => program.env("LD_PRELOAD", preload(library)?),
        Replaced(_) => &mut program,
    };
    let target = Target::start(&mut program);
    let before = step(&target, "start");
    Some(Run {
        subject,
        verdict,
        target,
        before,
    })
}

/// The statistics of a step.
fn step(target: &Target, action: &str) -> Value {
    let text = format!("\"action\":\"{action}\"");
    target.lines.find(action, |line| {
        let line = line.contains(&text).then_some(line)?;
        let step: Value = serde_json::from_str(line).expect("a step is JSON");
        Some(step["stats"].clone())
    })
}

/// How much a figure of the allocator's grew.
fn grown(run: &Run<'_>, after: &Value, names: &[&str]) -> Option<i64> {
    let figure = |stats: &Value, name: &str| stats.get(name).and_then(Value::as_i64);
    let change = |name: &&str| Some(figure(after, name)? - figure(&run.before, name)?);
    names.iter().map(change).sum()
}

/// Holds the tracer's bytes to the allocator's.
fn compare(scenario: &str, run: &Run<'_>, after: &Value, account: &Account) {
    let Subject { name, owner, .. } = run.subject;
    let source = after["source"].as_str().unwrap_or("none");
    let of = |state| i64::try_from(account.ledger(owner, state)).expect("a size");
    let net = account.net_growth(owner);
    let (told, witness) = match source {
        // All address space that it has: what is mapped and what is retained.
        "jemalloc" => (net, grown(run, after, &["mapped", "retained"])),
        // The heap, accessible parts of arenas, and chunks with mappings of their own. What it cut
        // off an arena's end it does not count; it stays mapped.
        "glibc" => {
            let counted = net - of("reserved") - of("released-but-retained");
            (counted, grown(run, after, &["arena", "hblkhd"]))
        }
        "tcmalloc" => (net, grown(run, after, &["heap"])),
        // Version 3. Version 2.0 tells what it has committed, not what it has mapped.
        "mimalloc" => (net, grown(run, after, &["reserved"])),
        // It tells nothing of address space, but what it has committed: by how much that is below
        // its peak, so much it has offered to the kernel. Of its first 16 MiB, which it mapped
        // before the attach, the tracer does not know the owner.
        "snmalloc" => {
            let committed = ["committed_peak", "committed"].map(|name| after[name].as_i64());
            let [peak, now] = committed.map(|figure| figure.expect("snmalloc tells it"));
            let older = account.ledger("unknown", "lazily-freed").cast_signed();
            (of("lazily-freed") + older, Some(peak - now))
        }
        // It does not count what it maps to align the rest.
        "rpmalloc" => (net, grown(run, after, &["mapped"])),
        // All that is accessible, but for its records, which are in a region too.
        "google-tcmalloc" => {
            let accessible = of("live-or-cached") + of("released-but-retained");
            let heap = ["heap", "unmapped"].map(|name| after[name].as_i64());
            (accessible, heap.into_iter().sum())
        }
        "hardened_malloc" => (slabs_and_blocks(account), after["accessible"].as_i64()),
        // Accessible memory.
        "scudo" => {
            let accessible = of("live-or-cached") + of("released-but-retained");
            (accessible, grown(run, after, &["mapped"]))
        }
        _ => (net, None),
    };
    // tbbmalloc tells nothing; the figures are those of the C library, which it displaced.
    let witness = witness.filter(|_| source == *owner);
    let by_itself = witness.map_or("none".to_owned(), |witness| witness.to_string());
    fact(
        &format!("{scenario} on {name}"),
        format!(
            "{}, {told} bytes, by its own statistics {by_itself}",
            account.verdict()
        ),
    );
    if let Some(witness) = witness {
        let beyond = told - witness;
        assert!(
            is_beyond(scenario, owner, beyond, account),
            "{scenario} on {name}: {told}, {after} {account}"
        );
    }
    if source == "jemalloc" {
        check_retained(scenario, run, after, account);
    }
    if source == "google-tcmalloc" {
        let unmapped = after["unmapped"].as_i64();
        let given_back = of("released-but-retained");
        assert_eq!(Some(given_back), unmapped, "{scenario}: {account}");
    }
    if let Some(pinned) = account.finding("heap-top-pinned") {
        check_free(
            scenario,
            after,
            pinned["bytes"].as_i64().unwrap_or_default(),
        );
    }
}

/// What is accessible of hardened_malloc's slabs and large blocks. Its records are where it began to
/// allocate and so above all else, from a mapping on that no slab and, where all is freed, no block
/// is as large as.
fn slabs_and_blocks(account: &Account) -> i64 {
    const RECORDS: u64 = 24 << 20;
    let rows = account.list("/mappings").iter();
    let accessible = rows.filter(|row| {
        let perms = row["perms"].as_str().expect("a text");
        row["owner"] == "hardened_malloc" && perms.starts_with("rw")
    });
    let address = |text: &Value| {
        let digits = text.as_str().and_then(|text| text.strip_prefix("0x"));
        u64::from_str_radix(digits.expect("an address"), 16).expect("an address")
    };
    let spans: Vec<(u64, u64)> = accessible
        .map(|row| (address(&row["start"]), address(&row["end"])))
        .collect();
    let large = spans.iter().filter(|(start, end)| end - start >= RECORDS);
    let records = large.map(|(start, _)| *start).max();
    let records = records.unwrap_or_else(|| panic!("it has no records: {account}"));
    let below = spans.iter().filter(|(start, _)| *start < records);
    let sum: u64 = below.map(|(start, end)| end - start).sum();
    i64::try_from(sum).expect("a size")
}

/// Whether the tracer may tell so much more than the allocator does: of most, nothing.
fn is_beyond(scenario: &str, owner: &str, beyond: i64, account: &Account) -> bool {
    const SPAN: i64 = 64 << 10;
    const CACHED_BLOCKS: i64 = 32 * (520 << 10);
    const HUGE_PAGE: i64 = 2 << 20;
    match owner {
        // What was freed and used again was offered more than once.
        "snmalloc" if ["threshold", "realloc"].contains(&scenario) => beyond >= 0,
        // One span for each mapping that is there.
        "rpmalloc" if scenario != "threads" => {
            let mapped = account.calls("mmap").cast_signed();
            beyond == SPAN * (mapped - account.calls("munmap").cast_signed())
        }
        // There, stacks are mapped and unmapped too.
        "rpmalloc" => beyond >= 0 && beyond % SPAN == 0,
        // Its records, by huge pages.
        "google-tcmalloc" => {
            (HUGE_PAGE..=4 * HUGE_PAGE).contains(&beyond) && beyond % HUGE_PAGE == 0
        }
        // It keeps mappings of large blocks that were freed, and does not count them.
        "scudo" => (0..=CACHED_BLOCKS).contains(&beyond),
        _ => beyond == 0,
    }
}

/// What was given back and what was mapped beyond use is what jemalloc calls retained: exactly, where
/// whole blocks came and went. Elsewhere its extents are cut otherwise: a mapping of which no part
/// was given back is not called over-mapped though it may be retained, and free memory that was
/// never written is over-mapped though it may be dirty by jemalloc's count.
fn check_retained(scenario: &str, run: &Run<'_>, after: &Value, account: &Account) {
    const TOLERANCE: i64 = 20;
    let retained = grown(run, after, &["retained"]).expect("jemalloc tells it");
    let states = ["released-but-retained", "over-mapped"];
    let told: u64 = states
        .iter()
        .map(|state| account.ledger("jemalloc", state))
        .sum();
    let told = i64::try_from(told).expect("a size");
    if ["seed", "touched"].contains(&scenario) {
        assert_eq!(told, retained, "{scenario}: {after} {account}");
    } else if account.verdict() == "retained-by-allocator" {
        let apart = (told - retained).abs();
        assert!(
            apart <= retained / TOLERANCE,
            "{scenario}: {told}, {after} {account}"
        );
    }
    // It counts dirty pages as in memory whether they were written or not.
    let resident = after["resident"].as_u64().expect("jemalloc tells it");
    assert!(
        account.resident("jemalloc") <= resident,
        "{scenario}: {after} {account}"
    );
}

/// What the walk through the heap found free below the pin is what glibc calls free, but for the top
/// and for what the scenario's program had free before.
fn check_free(scenario: &str, after: &Value, free: i64) {
    let figure = |name: &str| after[name].as_i64().expect("glibc tells it");
    let below = figure("fordblks") - figure("keepcost");
    let apart = (free - below).abs();
    assert!(apart <= below / 100, "{scenario}: {free}, {after}");
}

macro_rules! scenarios {
    ($($test:ident $scenario:literal $size:literal [$($verdict:literal)*])*) => {
        $(
            #[test]
            #[ignore = "loads probes into the kernel: needs root"]
            fn $test() {
                check($scenario, $size, [$($verdict),*]);
            }
        )*
    };
}

// Where two verdicts are given it depends on the speed of the machine which it comes to: jemalloc and
// mimalloc give back some time after a free, when they are called. glibc's heap is pinned by chunks
// in the thread's cache if the last ones freed are small enough for that. Scudo's small blocks lie
// in what it reserved at its start, so VmSize does not grow by them. A thread that snmalloc is to
// hear the end of has an arena of glibc's, which keeps a record of that. Google's tcmalloc and
// hardened_malloc have reserved enough before the scenario begins, unless tcmalloc reserves another
// GiB for the blocks that it samples.
#[rustfmt::skip]
scenarios! {
    //                             MiB
    //    glibc  jemalloc  mimalloc (3)
    //    libjemalloc  libtcmalloc  libmimalloc (2.0)  libtbbmalloc
    //    snmalloc  rpmalloc  libscudo  tcmalloc (Google's)  hardened_malloc
    seed "seed"                    256 [
        "shrank" "retained-by-allocator" "not-released"
        "retained-by-allocator" "not-released" "shrank" "not-released"
        "retained-by-allocator" "shrank" "shrank"
        "no-growth or not-released" "shrank"
    ]
    touched "touched"               64 [
        "shrank" "retained-by-allocator" "not-released or retained-by-allocator"
        "retained-by-allocator" "not-released" "not-released or retained-by-allocator or mixed" "not-released"
        "retained-by-allocator" "shrank" "shrank"
        "no-growth or not-released" "retained-by-allocator"
    ]
    small "small"                   32 [
        "heap-top-pinned or shrank" "not-released" "not-released or retained-by-allocator"
        "not-released" "not-released" "not-released or shrank" "not-released or shrank"
        "not-released" "not-released" "no-growth"
        "not-released or no-growth" "no-growth"
    ]
    fragmented "fragmented"         32 [
        "heap-top-pinned" "not-released" "not-released or retained-by-allocator"
        "not-released" "not-released" "not-released" "not-released"
        "not-released" "not-released" "no-growth"
        "not-released or no-growth" "no-growth"
    ]
    threads "threads"               64 [
        "arena-reserve" "retained-by-allocator or not-released" "not-released or retained-by-allocator"
        "retained-by-allocator or not-released" "not-released" "not-released or retained-by-allocator" "not-released"
        "arena-reserve" "not-released" "not-released"
        "not-released" "not-released"
    ]
    threshold "threshold"           33 [
        "not-released" "retained-by-allocator" "not-released or retained-by-allocator"
        "retained-by-allocator" "not-released" "shrank or no-growth" "shrank or not-released"
        "retained-by-allocator" "not-released" "shrank or no-growth"
        "no-growth or not-released" "retained-by-allocator"
    ]
    realloc "realloc"               48 [
        "shrank" "retained-by-allocator or not-released" "not-released or retained-by-allocator"
        "retained-by-allocator or not-released" "not-released" "shrank or no-growth" "shrank"
        "retained-by-allocator" "not-released" "shrank"
        "no-growth or not-released" "retained-by-allocator"
    ]
    pinned_top "pinned-top"         32 [
        "heap-top-pinned" "not-released" "not-released or retained-by-allocator"
        "not-released" "not-released" "not-released" "not-released"
        "not-released" "not-released" "no-growth"
        "not-released or no-growth" "no-growth"
    ]
}
