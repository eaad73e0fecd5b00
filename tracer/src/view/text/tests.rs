use super::*;
use crate::{
    event::Syscall,
    report::CallCount,
    units::{Addr, Bytes, Span},
    view::{clean::columns, sample},
};

const HOSTILE: &str = "evil\n\u{1b}[2J\u{1b}]0;title\u{7}\r\u{9b}31m\u{202e}txt 测试测试测试";

fn plain(report: &Report, width: usize) -> String {
    render(report, Style::new(false, width), Detail::Everything)
}

#[test]
fn the_summary_answers_first() {
    let text = render(&sample::report(), Style::new(false, 100), Detail::Summary);
    assert_eq!(text, include_str!("expected/summary.txt"), "{text}");
}

#[test]
fn several_processes_begin_with_a_table() {
    let text = render(
        &sample::two_processes(),
        Style::new(false, 80),
        Detail::Everything,
    );
    assert_eq!(text, include_str!("expected/several.txt"), "{text}");
}

#[test]
fn no_line_is_wider_than_asked() {
    let mut report = sample::two_processes();
    hostile(&mut report);
    for width in [40, 57, 80, 100] {
        for line in plain(&report, width).lines() {
            assert!(columns(line) <= width, "{width}: {line}");
            assert_eq!(line, line.trim_end());
        }
    }
}

#[test]
fn what_others_named_cannot_direct_the_terminal() {
    let mut report = sample::report();
    let lines = plain(&report, 100).lines().count();
    hostile(&mut report);
    let text = plain(&report, 100);
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text}");
    assert!(!text.contains('\u{202e}'));
    assert!(text.contains("(evil\\n\\u{1b}[2J"));
    assert!(text.lines().count() > lines);
    let colored = render(&report, Style::new(true, 100), Detail::Everything);
    for after in colored.split('\u{1b}').skip(1) {
        assert!(
            ["[0m", "[1m", "[2m", "[1;32m", "[1;33m"]
                .iter()
                .any(|code| after.starts_with(code))
        );
    }
}

#[test]
fn colours_change_nothing_else() {
    let report = sample::two_processes();
    let mut colored = render(&report, Style::new(true, 100), Detail::Everything);
    assert!(colored.contains("\u{1b}[1;33mVERDICT retained-by-allocator"));
    for code in [
        "\u{1b}[0m",
        "\u{1b}[1m",
        "\u{1b}[2m",
        "\u{1b}[1;32m",
        "\u{1b}[1;33m",
    ] {
        colored = colored.replace(code, "");
    }
    assert_eq!(colored, plain(&report, 100));
}

#[test]
fn nothing_that_is_zero_takes_a_row() {
    let mut report = sample::report();
    let process = &mut report.processes[0];
    process.explanation.growth[0].mapped = Bytes(0);
    process.explanation.growth[0].discarded = Bytes(0);
    process.events.by_call = [(Syscall::Shmat, CallCount::default())].into();
    let text = plain(&report, 100);
    assert!(!text.contains("unknown"), "{text}");
    assert!(!text.contains("given back: by"), "{text}");
    assert!(!text.contains("shmat"), "{text}");
}

#[test]
fn what_cannot_be_trusted_is_said() {
    let mut report = sample::report();
    let process = &mut report.processes[0];
    process.events.lost = 1_234;
    process.reconciliation.drift_bytes = -4096;
    process.vm_size.at_end = Some(Bytes(1 << 20));
    let text = plain(&report, 100);
    assert!(text.contains("1,234 lost"));
    assert!(text.contains("drift -4 KiB at the end"));
    assert!(text.contains("cannot be accounted for"));
    process_without_checks(&mut report);
    assert!(plain(&report, 100).contains("never held against the kernel"));
}

fn process_without_checks(report: &mut Report) {
    report.processes[0].reconciliation.checks = 0;
}

/// Names as bad as can be wherever the traced process chooses them, figures as large.
fn hostile(report: &mut Report) {
    let process = &mut report.processes[0];
    process.target.comm = HOSTILE.into();
    process.target.exe = HOSTILE.into();
    process.target.cmdline = vec![HOSTILE.into(); 50];
    process.mappings[0].name = HOSTILE.into();
    process.mappings[1].span = Span::between(Addr(0), Addr(u64::MAX));
    process.notes = vec!["x".repeat(300), HOSTILE.into()];
    let explanation = &mut process.explanation;
    explanation.findings[0].evidence = vec![HOSTILE.into()];
    explanation.allocators[0].evidence = vec![HOSTILE.into()];
    explanation.ledger[0].bytes = Bytes(u64::MAX);
    explanation.growth[0].mapped = Bytes(u64::MAX);
    explanation.verdict.summary = HOSTILE.into();
}

#[test]
fn a_process_in_a_container_has_both_its_ids() {
    let mut report = sample::report();
    report.processes[0].target.ns_pid = Some(crate::units::Pid(7));
    let text = render(&report, Style::default(), Detail::Summary);
    let who = "process 4242 (test_virt; 7 in its namespace), observed";
    assert!(text.contains(who), "{text}");
}
