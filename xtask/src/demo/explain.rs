//! Two witnesses of one run in, sentences about what VmSize did and through which calls out. Pure.
//!
//! Only what the figures carry is said; the reasons are the tracer's own findings.

use super::amount::Bytes;
use super::experiment::Run;
use super::witness::Step;

/// What the frees did to VmSize, by the workload's reading.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// Nearly all of the growth went away.
    Fell,
    /// Nearly all of it stayed.
    Stayed,
    /// Something between.
    Between,
}

/// The shape of one run.
#[derive(Debug)]
struct Shape {
    start: Bytes,
    peak: Bytes,
    end: Bytes,
    frees: usize,
    lowered: usize,
}

impl Shape {
    fn of(steps: &[Step]) -> Option<Self> {
        let sizes: Vec<Bytes> = steps.iter().filter_map(Step::vm_size).collect();
        let pairs = steps.iter().zip(steps.iter().skip(1));
        let frees: Vec<_> = pairs.filter(|(_, after)| after.action == "free").collect();
        let fell = |(before, after): &&(&Step, &Step)| after.vm_size() < before.vm_size();
        Some(Self {
            start: *sizes.first()?,
            peak: sizes.iter().copied().max()?,
            end: *sizes.last()?,
            frees: frees.len(),
            lowered: frees.iter().filter(fell).count(),
        })
    }

    fn growth(&self) -> u64 {
        self.peak.0.saturating_sub(self.start.0)
    }

    fn outcome(&self) -> Outcome {
        let kept = self.end.0.saturating_sub(self.start.0);
        match self.growth() {
            growth if kept <= growth / 20 => Outcome::Fell,
            growth if kept >= growth - growth / 20 => Outcome::Stayed,
            _ => Outcome::Between,
        }
    }
}

/// How much VmSize rose, by the workload's reading; nothing where it did not tell.
pub fn growth(run: &Run) -> u64 {
    Shape::of(&run.steps).map_or(0, |shape| shape.growth())
}

/// What happened, then through which calls.
pub fn sentences(run: &Run) -> String {
    let Some(shape) = Shape::of(&run.steps) else {
        return "The workload did not tell its sizes.".to_owned();
    };
    let frees = match (shape.lowered, shape.frees) {
        (0, frees) => format!("None of the {frees} frees lowered it"),
        (lowered, frees) if lowered == frees => format!("Each of the {frees} frees lowered it"),
        (lowered, frees) => format!("{lowered} of the {frees} frees lowered it"),
    };
    let ended = match shape.outcome() {
        Outcome::Fell => "it ended where it began".to_owned(),
        Outcome::Stayed => "it ended at its peak".to_owned(),
        Outcome::Between => format!("it ended at {}", shape.end.short()),
    };
    format!(
        "VmSize rose from {} to {}. {frees}: {ended}. {}",
        shape.start.short(),
        shape.peak.short(),
        through_calls(run, &shape)
    )
}

fn through_calls(run: &Run, shape: &Shape) -> String {
    let bytes = |name: &str| {
        let call = run.process.events.by_call.get(name);
        call.map_or(Some(0), |call| call.bytes)
    };
    let calls = |name: &str| {
        let call = run.process.events.by_call.get(name);
        let number = call.and_then(|call| call.calls);
        number.map_or_else(|| "an unknown number of".to_owned(), |n| n.to_string())
    };
    let most = shape.growth() / 2;
    let (Some(unmapped), Some(advised)) = (bytes("munmap"), bytes("madvise")) else {
        return "The tracer could not tell through which calls.".to_owned();
    };
    if unmapped >= most {
        return format!(
            "The tracer saw why: {} munmap calls gave {} of address space back to the kernel.",
            calls("munmap"),
            Bytes(unmapped).short()
        );
    }
    let no_unmap = match unmapped {
        0 => "no munmap gave any address space back".to_owned(),
        some => format!("munmap gave back only {}", Bytes(some).short()),
    };
    let advice = format!(
        "{} madvise calls covered {}",
        calls("madvise"),
        Bytes(advised).short()
    );
    // madvise has many meanings: only the ledger says that pages were given back and ranges kept.
    if advised >= most && retained(run) >= most {
        return format!(
            "The tracer saw why: {no_unmap}. Instead {advice}: they hand the pages back to the \
             kernel and leave the addresses with the allocator, for its next malloc. Kept addresses \
             count in VmSize, though no memory is behind them."
        );
    }
    format!("The tracer saw that {no_unmap} and that {advice}.")
}

/// Address space whose pages were given back, by the tracer's ledger.
fn retained(run: &Run) -> u64 {
    let rows = run.process.ledger.iter();
    rows.filter(|row| row.state == "released-but-retained")
        .filter_map(|row| row.bytes)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::super::page::tests::sample_runs;
    use super::*;

    #[test]
    fn munmap_is_named_where_vmsize_fell() {
        let [glibc, _] = sample_runs();
        let text = sentences(&glibc);
        assert!(
            text.contains("Each of the 8 frees lowered it: it ended where it began"),
            "{text}"
        );
        assert!(text.contains("9 munmap calls gave"), "{text}");
    }

    #[test]
    fn madvise_is_named_where_it_stayed() {
        let [_, jemalloc] = sample_runs();
        let text = sentences(&jemalloc);
        assert!(
            text.contains("None of the 8 frees lowered it: it ended at its peak"),
            "{text}"
        );
        assert!(text.contains("8 madvise calls covered 1 GiB"), "{text}");
        assert!(
            text.contains("leave the addresses with the allocator"),
            "{text}"
        );
    }

    #[test]
    fn nothing_is_claimed_without_counts() {
        let [_, mut jemalloc] = sample_runs();
        for call in jemalloc.process.events.by_call.values_mut() {
            call.bytes = None;
        }
        assert!(sentences(&jemalloc).contains("could not tell"));
        let [_, mut jemalloc] = sample_runs();
        jemalloc.process.ledger.clear();
        assert!(!sentences(&jemalloc).contains("why"));
        jemalloc.process.events.by_call.clear();
        let text = sentences(&jemalloc);
        assert!(
            text.contains("no munmap") && !text.contains("why"),
            "{text}"
        );
    }
}
