use super::*;
use crate::{
    audit::{
        rank::{Filter, Sort},
        roll::{Roll, Wishes},
        sample::{Began, Kind, Sample, Who},
    },
    units::{Nanos, Pid},
};

const MIB: u64 = 1 << 20;
const BOUNDS: Bounds = Bounds {
    processes: 2,
    groups: 2,
};

fn sample(pid: u32, mib: u64) -> Sample {
    Sample {
        pid: Pid(pid),
        began: Began(1),
        comm: format!("p{pid}"),
        vm_size: Bytes(mib * MIB),
        rss: Bytes(MIB),
        kind: Kind::User,
    }
}

/// Processes by their size in MiB, each in a group of its own.
fn audit(sizes: &[(u32, u64)]) -> Audit {
    let wishes = Wishes {
        min_size: Bytes(0),
        filter: Filter::default(),
        sort: Sort::Gap,
        top: None,
        picks: 0,
        pick_growth: Bytes(u64::MAX),
    };
    let mut roll = Roll::new(wishes, Nanos(0));
    let samples = sizes.iter().map(|(pid, mib)| sample(*pid, *mib));
    roll.look(Nanos(1), samples.collect());
    for pid in roll.strangers(100) {
        let who = Who {
            group: Group::of_path(&format!("/g{pid}")),
            ..Who::default()
        };
        roll.introduce(pid, who);
    }
    roll.audit(Nanos(2), false)
}

fn named(digest: &Digest) -> Vec<&str> {
    let mut names: Vec<&str> = digest
        .groups
        .iter()
        .map(|group| &*group.group.path)
        .collect();
    names.sort_unstable();
    names
}

#[test]
fn what_is_exported_is_bounded_and_sums_are_whole() {
    let audit = audit(&[(1, 100), (2, 400), (3, 300), (4, 200)]);
    let mut exporter = Exporter::default();
    let digest = exporter.digest(&audit, &BTreeMap::new(), Counts::NONE, BOUNDS);
    let pids: Vec<u32> = digest.processes.iter().map(|row| row.pid.0).collect();
    assert_eq!(pids, [2, 3]);
    assert_eq!(named(&digest), ["/g2", "/g3"]);
    let (others, _, unnamed) = digest.other_groups;
    assert_eq!(
        (others.processes, others.vm_size, unnamed),
        (2, Bytes(300 * MIB), 2)
    );
    assert_eq!(digest.totals.vm_size, Bytes(1000 * MIB));
    let reasons: u64 = digest.reasons.iter().map(|total| total.processes).sum();
    assert_eq!(reasons, 4);
}

#[test]
fn groups_do_not_take_turns() {
    let mut exporter = Exporter::default();
    let nothing = BTreeMap::new();
    let bounds = Bounds {
        processes: 1,
        groups: 5,
    };
    let sizes = |fifth, sixth| {
        [
            (1, 900),
            (2, 800),
            (3, 700),
            (4, 600),
            (5, fifth),
            (6, sixth),
        ]
    };
    let mut names = |fifth, sixth| {
        let audit = audit(&sizes(fifth, sixth));
        let digest = exporter.digest(&audit, &nothing, Counts::NONE, bounds);
        named(&digest).join(" ")
    };
    assert_eq!(names(500, 400), "/g1 /g2 /g3 /g4 /g5");
    // A little larger is no reason to change.
    assert_eq!(names(500, 550), "/g1 /g2 /g3 /g4 /g5");
    assert_eq!(names(100, 950), "/g1 /g2 /g3 /g4 /g6");
}

#[test]
fn sums_of_the_host_never_fall() {
    let audit = audit(&[(1, 100)]);
    let counts = |calls| {
        let mut counts = Counts::NONE;
        counts.calls[0] = calls;
        counts
    };
    let mut exporter = Exporter::default();
    for (counted, told) in [(5, 5), (3, 5), (9, 9)] {
        let digest = exporter.digest(&audit, &BTreeMap::new(), counts(counted), BOUNDS);
        assert_eq!(digest.host.total(), told);
    }
}

#[test]
fn more_allocators_than_are_named_are_summed_up() {
    let totals: Vec<AllocatorTotal> = (0..40)
        .map(|at| AllocatorTotal {
            allocator: format!("a{at}"),
            processes: 1,
            bytes: Bytes(1),
            reserved: Bytes(0),
            retained: Bytes(0),
        })
        .collect();
    let named = allocators(&totals);
    assert_eq!(named.len(), ALLOCATORS + 1);
    let last = named.last().expect("the others");
    assert_eq!((&*last.allocator, last.bytes), ("other", Bytes(8)));
}
