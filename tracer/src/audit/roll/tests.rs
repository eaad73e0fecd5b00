use super::*;
use crate::{
    attribute::explanation::Confidence,
    audit::{
        counts::{CallKind, Counts},
        group::Group,
        judgement::{Basis, Owned},
        reason,
        sample::Began,
    },
};

const MIB: u64 = 1 << 20;
const SECOND: u64 = 1_000_000_000;

fn roll(wish: impl FnOnce(&mut Wishes)) -> Roll {
    let mut wishes = Wishes {
        min_size: Bytes(16 * MIB),
        filter: Filter::default(),
        sort: Sort::Gap,
        top: None,
        picks: 2,
        pick_growth: Bytes(256 * MIB),
    };
    wish(&mut wishes);
    Roll::new(wishes, Nanos(0))
}

fn sample(pid: u32, mib: u64) -> Sample {
    Sample {
        pid: Pid(pid),
        began: Began(u64::from(pid)),
        comm: format!("p{pid}"),
        vm_size: Bytes(mib * MIB),
        rss: Bytes(MIB),
        kind: Kind::User,
    }
}

fn introduce_all(roll: &mut Roll) {
    for pid in roll.strangers(100) {
        let group = Group::of_path(&format!("/system.slice/s{pid}.service"));
        let who = Who {
            group,
            ..Who::default()
        };
        roll.introduce(pid, who);
    }
}

fn judgement(owned: u64) -> Judgement {
    Judgement {
        basis: Basis::Snapshot,
        allocators: Vec::new(),
        owned: vec![Owned {
            allocator: "glibc".to_owned(),
            bytes: Bytes(owned * MIB),
            reserved: Bytes(0),
            retained: None,
        }],
        retained: None,
        lazy_free: None,
        reserved: Bytes(0),
        reason: reason::IN_MEMORY,
        bytes: Bytes(0),
        confidence: Confidence::High,
        summary: String::new(),
        advice: "",
    }
}

fn tally(since: u64, mmaps: u64) -> Tally {
    let mut counts = Counts::default();
    counts.calls[CallKind::Mmap as usize] = mmaps;
    Tally {
        since: Nanos(since),
        by_exec: false,
        counts,
    }
}

fn pids(due: &[(Pid, Depth)]) -> Vec<u32> {
    due.iter().map(|(pid, _)| pid.0).collect()
}

fn row(roll: &mut Roll, pid: u32, at: u64) -> crate::audit::row::Row {
    let audit = roll.audit(Nanos(at), false);
    let mut rows = audit.processes.into_iter();
    rows.find(|row| row.pid == Pid(pid)).expect("it is there")
}

#[test]
fn the_largest_is_looked_at_first_and_the_small_never() {
    let mut roll = roll(|_| {});
    roll.look(Nanos(1), vec![sample(1, 8), sample(2, 100), sample(3, 900)]);
    assert!(roll.due(Nanos(1), 9).is_empty(), "nobody is known yet");
    introduce_all(&mut roll);
    assert_eq!(pids(&roll.due(Nanos(1), 9)), [3, 2]);
    assert_eq!(pids(&roll.due(Nanos(1), 1)), [3]);
    let coverage = roll.audit(Nanos(1), false).coverage;
    assert_eq!((coverage.below_min_size, coverage.waiting), (1, 2));
    // Then what is in memory of those that lead.
    for pid in [2, 3] {
        roll.judge(Nanos(1), Pid(pid), Depth::Map, 50, None, judgement(1));
    }
    let due = roll.due(Nanos(2), 9);
    assert_eq!(
        due,
        [(Pid(3), Depth::Residency), (Pid(2), Depth::Residency)]
    );
    for pid in [2, 3] {
        roll.judge(Nanos(2), Pid(pid), Depth::Residency, 50, None, judgement(1));
    }
    assert!(roll.due(Nanos(3), 9).is_empty());
}

#[test]
fn what_moved_much_is_looked_at_again() {
    let mut roll = roll(|_| {});
    roll.look(Nanos(1), vec![sample(2, 100), sample(3, 900)]);
    introduce_all(&mut roll);
    for pid in [2, 3] {
        roll.judge(
            Nanos(1),
            Pid(pid),
            Depth::Residency,
            5000,
            None,
            judgement(1),
        );
    }
    roll.look(Nanos(2), vec![sample(2, 300), sample(3, 905)]);
    assert!(roll.due(Nanos(2), 9).is_empty(), "too soon");
    assert_eq!(pids(&roll.due(Nanos(6 * SECOND), 9)), [2]);
    // And what called, after a while.
    let counts = [(Pid(3), tally(5, 1))];
    roll.count(&counts, Turnover::default());
    assert_eq!(pids(&roll.due(Nanos(302 * SECOND), 9)), [2, 3]);
}

#[test]
fn an_id_used_again_is_another_process() {
    let mut roll = roll(|_| {});
    roll.look(Nanos(1), vec![sample(2, 100)]);
    introduce_all(&mut roll);
    roll.judge(Nanos(1), Pid(2), Depth::Map, 50, None, judgement(1));
    roll.count(&[(Pid(2), tally(1, 7))], Turnover::default());
    let mut other = sample(2, 60);
    other.began = Began(99);
    roll.look(Nanos(2), vec![other]);
    introduce_all(&mut roll);
    let row = row(&mut roll, 2, 2);
    assert_eq!((row.calls, row.basis), (0, None));
    // It was not there when the audit began: all it has is growth.
    assert_eq!(row.growth, 60 << 20);
}

#[test]
fn counts_go_on_after_exec_and_eviction() {
    let mut roll = roll(|_| {});
    let look = |roll: &mut Roll| roll.look(Nanos(1), vec![sample(2, 100)]);
    look(&mut roll);
    introduce_all(&mut roll);
    roll.judge(Nanos(1), Pid(2), Depth::Map, 50, None, judgement(1));
    let count = |roll: &mut Roll, tally| {
        roll.count(&[(Pid(2), tally)], Turnover::default());
    };
    count(&mut roll, tally(10, 7));
    let exec = Tally {
        by_exec: true,
        ..tally(20, 2)
    };
    count(&mut roll, exec);
    let after = row(&mut roll, 2, 2);
    assert_eq!((after.calls, after.counts_incomplete), (9, false));
    assert_eq!(after.basis, None, "another program: judged anew");
    assert_eq!(roll.strangers(9), [Pid(2)]);
    count(&mut roll, tally(30, 1));
    let after = row(&mut roll, 2, 2);
    assert_eq!((after.calls, after.counts_incomplete), (10, true));
}

#[test]
fn rates_are_since_the_last_report() {
    let mut roll = roll(|_| {});
    roll.look(Nanos(0), vec![sample(2, 100)]);
    let count = |roll: &mut Roll, mmaps| {
        let counts = [(Pid(2), tally(1, mmaps))];
        roll.count(&counts, Turnover::default());
    };
    count(&mut roll, 30);
    let rate = |roll: &mut Roll, at, mark| {
        let audit = roll.audit(Nanos(at * SECOND), mark);
        audit.processes[0].calls_per_second
    };
    assert!(
        (rate(&mut roll, 2, true) - 15.0).abs() < 0.01,
        "since it is counted"
    );
    count(&mut roll, 31);
    assert!((rate(&mut roll, 4, true) - 0.5).abs() < 0.01);
}

#[test]
fn growth_or_a_filter_picks() {
    let grown = |roll: &mut Roll| {
        let begin = (2..6).map(|pid| sample(pid, 100)).collect();
        roll.look(Nanos(1), begin);
        let mib = |pid| if pid < 5 { 400 + u64::from(pid) } else { 100 };
        let now = (2..6).map(|pid| sample(pid, mib(pid))).collect();
        roll.look(Nanos(2), now);
        introduce_all(roll);
    };
    let mut growing = roll(|_| {});
    grown(&mut growing);
    assert_eq!(growing.picks(), [Pid(4), Pid(3)]);
    growing.trace(Nanos(3), Pid(4));
    assert_eq!(growing.picks(), [Pid(3)]);
    growing.leave(Pid(4));
    assert_eq!(growing.picks(), [Pid(3), Pid(2)], "not again");
    let again = (2..6).map(|pid| sample(pid, if pid == 4 { 700 } else { 100 }));
    growing.look(Nanos(4), again.collect());
    assert_eq!(growing.picks(), [Pid(4)], "unless it grew as much again");
    let mut filtered = roll(|wishes| wishes.filter.comm = Some("p5".to_owned()));
    grown(&mut filtered);
    assert_eq!(filtered.picks(), [Pid(5)]);
    let mut never = roll(|wishes| wishes.picks = 0);
    grown(&mut never);
    assert!(never.picks().is_empty());
}

#[test]
fn who_was_traced_for_long_makes_room() {
    let mut roll = roll(|_| {});
    roll.look(Nanos(1), (2..5).map(|pid| sample(pid, 100)).collect());
    roll.look(Nanos(2), (2..5).map(|pid| sample(pid, 400)).collect());
    introduce_all(&mut roll);
    let late = Nanos(100 * SECOND);
    roll.trace(Nanos(3), Pid(3));
    roll.trace(Nanos(2), Pid(2));
    assert!(roll.leavers(Nanos(SECOND)).is_empty(), "it was not long");
    assert_eq!(roll.leavers(late), [Pid(2)], "one waits");
    roll.leave(Pid(2));
    roll.trace(late, Pid(4));
    assert!(roll.leavers(Nanos(500 * SECOND)).is_empty(), "nobody waits");
    let wishes = Wishes {
        picks: 1,
        ..roll.wishes.clone()
    };
    roll.wish(wishes);
    assert_eq!(roll.leavers(late), [Pid(3)], "there are fewer places");
}

#[test]
fn totals_are_of_all_that_pass() {
    let mut roll = roll(|wishes| wishes.top = Some(1));
    let kernel = Sample {
        kind: Kind::Kernel,
        ..sample(9, 0)
    };
    roll.look(
        Nanos(1),
        vec![sample(1, 8), sample(2, 100), sample(3, 900), kernel],
    );
    introduce_all(&mut roll);
    for (pid, owned) in [(2, 50), (3, 800)] {
        roll.judge(
            Nanos(1),
            Pid(pid),
            Depth::Map,
            50,
            Some(Bytes(2 * MIB)),
            judgement(owned),
        );
    }
    let audit = roll.audit(Nanos(1), false);
    assert_eq!(audit.processes.len(), 1);
    assert_eq!(audit.processes[0].pid, Pid(3));
    assert_eq!(audit.processes[0].rss, Bytes(2 * MIB), "as measured");
    let totals = audit.totals;
    assert_eq!(totals.all.processes, 3);
    assert_eq!(totals.all.vm_size, Bytes(1008 * MIB));
    assert_eq!(totals.by_cgroup.len(), 3);
    assert_eq!(totals.by_cgroup[0].cgroup, "/system.slice/s3.service");
    assert_eq!(totals.by_allocator[0].processes, 2);
    assert_eq!(totals.by_allocator[0].bytes, Bytes(850 * MIB));
    assert_eq!(audit.coverage.kernel_threads, 1);
}

#[test]
fn who_may_not_be_read_is_counted_and_left_alone() {
    let mut roll = roll(|_| {});
    roll.look(Nanos(1), vec![sample(2, 100)]);
    introduce_all(&mut roll);
    roll.refuse(Pid(2));
    assert!(roll.due(Nanos(1), 9).is_empty());
    let audit = roll.audit(Nanos(1), false);
    assert_eq!(audit.coverage.unreadable, 1);
    assert_eq!(audit.processes[0].reason, reason::NOT_LOOKED_AT);
}

fn calls(flows: &std::collections::BTreeMap<String, Flow>, pid: u32) -> u64 {
    let path = format!("/system.slice/s{pid}.service");
    flows.get(&path).map_or(0, |flow| flow.calls)
}

#[test]
fn each_call_flows_once_and_to_its_group() {
    let mut roll = roll(|_| {});
    roll.look(Nanos(1), vec![sample(1, 100), sample(2, 100)]);
    introduce_all(&mut roll);
    let none = Turnover::default();
    roll.count(&[(Pid(1), tally(1, 5)), (Pid(2), tally(1, 7))], none);
    let flows = roll.flows();
    assert_eq!((calls(&flows, 1), calls(&flows, 2)), (5, 7));
    assert!(roll.flows().is_empty());
    roll.count(&[(Pid(1), tally(1, 6)), (Pid(2), tally(1, 9))], none);
    // The second ends: what it was seen to do is told all the same.
    roll.look(Nanos(4), vec![sample(1, 100)]);
    let flows = roll.flows();
    assert_eq!((calls(&flows, 1), calls(&flows, 2)), (1, 2));
}

#[test]
fn what_was_not_asked_for_does_not_come_later() {
    let mut roll = roll(|wishes| wishes.filter.comm = Some("p2".to_owned()));
    roll.look(Nanos(1), vec![sample(1, 100)]);
    introduce_all(&mut roll);
    roll.count(&[(Pid(1), tally(1, 5))], Turnover::default());
    assert!(roll.flows().is_empty());
    let mut wishes = roll.wishes.clone();
    wishes.filter.comm = None;
    roll.wish(wishes);
    roll.count(&[(Pid(1), tally(1, 6))], Turnover::default());
    assert_eq!(calls(&roll.flows(), 1), 1);
}

#[test]
fn sums_of_the_host_outlast_ends_and_evictions() {
    let mut roll = roll(|_| {});
    let all = || vec![sample(1, 100), sample(2, 100)];
    let total = |roll: &Roll| roll.host().total();
    let mut turnover = Turnover::default();
    roll.look(Nanos(1), all());
    roll.count(&[(Pid(1), tally(1, 5)), (Pid(2), tally(1, 7))], turnover);
    assert_eq!(total(&roll), 12);
    // The table lets go of the first, which calls again later.
    turnover.evicted = 1;
    roll.look(Nanos(2), all());
    roll.count(&[(Pid(2), tally(1, 8))], turnover);
    assert_eq!(total(&roll), 13);
    roll.count(&[(Pid(1), tally(3, 1)), (Pid(2), tally(1, 8))], turnover);
    assert_eq!(total(&roll), 14);
    assert!(row(&mut roll, 1, 4).counts_incomplete);
    // It is let go of and comes back between two looks.
    turnover.evicted = 2;
    roll.count(&[(Pid(1), tally(4, 1)), (Pid(2), tally(1, 8))], turnover);
    assert_eq!(total(&roll), 15);
    // The second ends: the table has its sum.
    turnover.gone = tally(0, 8).counts;
    roll.look(Nanos(6), vec![sample(1, 100)]);
    roll.count(&[(Pid(1), tally(4, 1))], turnover);
    assert_eq!(total(&roll), 15);
    // Another program in the first: what the old one did is among what is gone.
    turnover.gone += tally(0, 1).counts;
    let by_exec = Tally {
        by_exec: true,
        ..tally(7, 2)
    };
    roll.count(&[(Pid(1), by_exec)], turnover);
    assert_eq!(total(&roll), 17);
}
