//! The comparison as one page: two runs in, text of at most 100 columns out. Pure.

use super::amount::{self, Bytes};
use super::experiment::Run;
use super::report::{Finding, Process};
use super::table::wrap;
use super::{calls, explain, ledger, steps_table};

/// Colours, or none.
#[derive(Debug, Clone, Copy)]
pub struct Paint {
    colours: bool,
}

impl Paint {
    /// Colours are for terminals, and not for those who say no.
    pub fn new(terminal: bool) -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            colours: terminal && !refused,
        }
    }

    /// For titles.
    pub fn bold(self, text: &str) -> String {
        self.wrapped("1", text)
    }

    /// For heads of columns.
    pub fn dim(self, text: &str) -> String {
        self.wrapped("2", text)
    }

    fn wrapped(self, code: &str, text: &str) -> String {
        if self.colours && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

const TWO_SIZES: &str = "VmSize is the address space a process holds; RSS is the memory behind \
    it. munmap lowers VmSize. madvise can give the memory back and keep the address space: \
    RSS falls, VmSize does not.";

/// Findings about less than this part of the growth are only counted: one in twenty.
const SMALL_SHARE: u64 = 20;

/// All sections in reading order.
pub fn render(runs: &[Run; 2], paint: Paint) -> String {
    let mut text = format!("\n{}\n", paint.bold("One program, two allocators"));
    text.push_str(&wrap("", &format!("{} {TWO_SIZES}", what_it_did(&runs[0]))));
    let mut section = |title: &str, body: String| {
        text.push_str(&format!("\n{}\n{body}", paint.bold(title)));
    };
    section(
        "What the program saw: VmSize in its own /proc/self/status after every step",
        steps_table::render(runs, paint) + &resident(runs),
    );
    section(
        "What the kernel saw: the calls of the whole process, counted by the probes",
        calls::render(runs, paint),
    );
    for run in runs {
        section(&format!("Why, on {}", run.label), why(run));
    }
    section(
        "Who holds the address space at the end, by the tracer's ledger",
        ledger::render(runs, paint),
    );
    section(
        "How far to trust these figures",
        runs.iter().map(honesty).collect(),
    );
    text.push('\n');
    text
}

fn what_it_did(run: &Run) -> String {
    let of = |action| run.steps.iter().filter(move |step| step.action == action);
    let size = of("alloc").find_map(|step| step.bytes);
    format!(
        "The program calls malloc({}) {} times, then free {} times.",
        amount::short(size),
        of("alloc").count(),
        of("free").count()
    )
}

/// The other size, in one line: that it stays small is half of the explanation.
fn resident(runs: &[Run; 2]) -> String {
    let peaks = runs.each_ref().map(|run| {
        let peak = run.steps.iter().filter_map(super::witness::Step::rss).max();
        format!(
            "{} on {}",
            amount::short(peak.map(|peak| peak.0)),
            run.label
        )
    });
    wrap("  ", &format!("RSS was never above {}.", peaks.join(", ")))
}

fn why(run: &Run) -> String {
    let mut text = wrap("  ", &explain::sentences(run));
    let verdict = &run.process.verdict.summary;
    if !verdict.is_empty() {
        text.push_str(&wrap("  verdict: ", verdict));
    }
    let least = explain::growth(run) / SMALL_SHARE;
    let findings = run.process.findings.iter();
    let (large, small): (Vec<&Finding>, Vec<&Finding>) =
        findings.partition(|finding| finding.bytes.is_none_or(|bytes| bytes >= least));
    let mut remedies = Vec::new();
    for found in large {
        let repeated = remedies.contains(&found.remedy.as_str());
        remedies.push(&found.remedy);
        text.push_str(&finding(found, repeated));
    }
    if !small.is_empty() {
        let bytes: u64 = small.iter().filter_map(|finding| finding.bytes).sum();
        let line = format!(
            "{} more about {}, in the report",
            small.len(),
            amount::short(Some(bytes))
        );
        text.push_str(&wrap("  smaller findings: ", &line));
    }
    text
}

/// A reason with its evidence; a remedy that stands above already is not repeated.
fn finding(finding: &Finding, repeated: bool) -> String {
    let head = format!(
        "{} ({}, confidence {}): {}",
        finding.reason,
        amount::short(finding.bytes),
        Some(finding.confidence.as_str())
            .filter(|word| !word.is_empty())
            .unwrap_or("?"),
        finding.summary
    );
    let mut text = wrap("  finding: ", &head);
    for evidence in &finding.evidence {
        text.push_str(&wrap("    evidence: ", evidence));
    }
    if repeated && !finding.remedy.is_empty() {
        text.push_str("    remedy: as above\n");
    } else if !finding.remedy.is_empty() {
        text.push_str(&wrap("    remedy: ", &finding.remedy));
    }
    text
}

fn honesty(run: &Run) -> String {
    let Process {
        events,
        reconciliation: checked,
        vm_size,
        ..
    } = &run.process;
    let drift = match checked.drift_bytes {
        None => amount::unknown(),
        Some(0) => "0".to_owned(),
        Some(drift) => format!(
            "{}{}",
            if drift < 0 { "−" } else { "+" },
            Bytes(drift.unsigned_abs()).short()
        ),
    };
    let line = format!(
        "{} events received, {} lost; compared with the kernel {} times, {} mismatches, \
         {} resyncs; VmSize at the end {} by the model and {} by the kernel, drift {drift}",
        amount::count(events.received),
        amount::count(events.lost),
        amount::count(checked.checks),
        amount::count(checked.mismatches),
        amount::count(checked.resyncs),
        amount::short(vm_size.at_end),
        amount::short(vm_size.kernel_at_end),
    );
    wrap(&format!("  {}: ", run.label), &line)
}

#[cfg(test)]
pub mod tests {
    use super::super::table::WIDTH;
    use super::super::{report, witness};
    use super::*;

    /// What both sides write in the two runs of the seed experiment.
    pub fn sample_runs() -> [Run; 2] {
        let run = |label, steps, report| Run {
            label,
            steps: witness::parse(steps).expect("the sample steps are well formed"),
            process: report::parse(report).expect("the sample report is well formed"),
        };
        [
            run(
                "glibc's ptmalloc",
                include_str!("../../samples/system.jsonl"),
                include_str!("../../samples/system.json"),
            ),
            run(
                "jemalloc",
                include_str!("../../samples/jemalloc.jsonl"),
                include_str!("../../samples/jemalloc.json"),
            ),
        ]
    }

    #[test]
    fn no_line_is_wider_than_the_page() {
        let text = render(&sample_runs(), Paint { colours: false });
        for line in text.lines() {
            assert!(line.chars().count() <= WIDTH, "{line}");
        }
    }

    #[test]
    fn both_columns_tell_their_story() {
        let text = render(&sample_runs(), Paint { colours: false });
        for part in [
            "malloc(128 MiB) 8 times, then free 8 times",
            "malloc 128 MiB",
            "munmap",
            "madvise",
            "verdict: ",
            "retain:false",
            "evidence: ",
            "released but retained",
            "40 events received, 0 lost",
            "0 mismatches",
        ] {
            assert!(text.contains(part), "no {part:?} in:\n{text}");
        }
    }

    #[test]
    fn small_findings_are_counted_and_remedies_said_once() {
        let [glibc, mut jemalloc] = sample_runs();
        let mut again = jemalloc.process.findings[0].clone();
        again.reason = "over-mapped".to_owned();
        let mut small = again.clone();
        (small.reason, small.bytes) = ("not-released".to_owned(), Some(1 << 20));
        jemalloc.process.findings.extend([again, small]);
        let text = render(&[glibc, jemalloc], Paint { colours: false });
        assert!(text.contains("over-mapped (1 GiB"), "{text}");
        assert!(!text.contains("not-released"), "{text}");
        assert!(
            text.contains("smaller findings: 1 more about 1 MiB"),
            "{text}"
        );
        assert_eq!(text.matches("retain:false").count(), 1, "{text}");
        assert!(text.contains("remedy: as above"), "{text}");
    }

    #[test]
    fn colours_change_nothing_but_colours() {
        let runs = sample_runs();
        let plain = render(&runs, Paint { colours: false });
        let mut coloured = render(&runs, Paint { colours: true });
        assert_ne!(plain, coloured);
        for code in ["\x1b[1m", "\x1b[2m", "\x1b[0m"] {
            coloured = coloured.replace(code, "");
        }
        assert_eq!(plain, coloured);
    }

    #[test]
    fn an_unknowing_report_still_makes_a_page() {
        let mut runs = sample_runs();
        for run in &mut runs {
            run.process = Process::default();
        }
        let text = render(&runs, Paint { colours: false });
        assert!(text.contains("? events received, ? lost"), "{text}");
    }
}
