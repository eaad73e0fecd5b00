//! What the tracer itself cost, in a sentence or two.

use super::number::{grouped, lasting};
use crate::cost::OwnCost;

/// In words.
pub fn in_words(cost: &OwnCost) -> String {
    let share = cost.share();
    let mut text = format!(
        "The tracer used {} of a processor ({}.{} % of one), and at most {} of memory.",
        lasting(cost.cpu_ns),
        share / 10,
        share % 10,
        cost.peak_rss,
    );
    match cost.probes {
        Some(probes) => {
            let each = probes
                .per_run()
                .map_or_else(String::new, |each| format!(" ({each} ns each)"));
            text.push_str(&format!(
                " In its first {} its probes ran {} times for {} of all processors together{each}.",
                lasting(probes.measured_ns),
                grouped(probes.runs),
                lasting(probes.run_time_ns),
            ));
        }
        None => text.push_str(" What its probes cost the kernel did not tell."),
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cost::ProbeCost, units::Bytes};

    #[test]
    fn costs_are_said() {
        let mut cost = OwnCost {
            cpu_ns: 150_000_000,
            elapsed_ns: 10_000_000_000,
            rss: Bytes(1 << 20),
            peak_rss: Bytes(12 << 20),
            probes: None,
        };
        let text = in_words(&cost);
        assert!(text.contains("0.150 s of a processor (1.5 % of one), and at most 12.0 MiB"));
        assert!(text.contains("did not tell"));
        cost.probes = Some(ProbeCost {
            measured_ns: 250_000_000,
            runs: 1234,
            run_time_ns: 123_400,
        });
        let text = in_words(&cost);
        assert!(
            text.contains("ran 1,234 times") && text.contains("(100 ns each)"),
            "{text}"
        );
    }
}
