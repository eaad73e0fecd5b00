//! Progress: named steps in, a line at each one's start and end, and a summary.

use std::time::{Duration, Instant};

use anyhow::Result;

/// A counted series of steps, each with the time it took.
pub struct Steps {
    total: usize,
    done: Vec<(String, Duration)>,
    started: Instant,
}

impl Steps {
    /// A series of `total` steps, none of them begun.
    pub fn new(total: usize) -> Self {
        Self {
            total,
            done: Vec::new(),
            started: Instant::now(),
        }
    }

    /// Runs one step between its two lines.
    pub fn run<T>(&mut self, name: &str, step: impl FnOnce() -> Result<T>) -> Result<T> {
        println!("[{}/{}] {name}", self.done.len() + 1, self.total);
        let started = Instant::now();
        let result = step();
        let took = started.elapsed();
        let word = if result.is_ok() { "done" } else { "FAILED" };
        println!("      {word} after {}", elapsed(took));
        self.done.push((name.to_owned(), took));
        result
    }

    /// One line per step that ran, the last one marked where the series failed.
    pub fn summary(&self, failed: bool) -> String {
        let mut text = String::new();
        for (index, (name, took)) in self.done.iter().enumerate() {
            let last = index + 1 == self.done.len();
            let word = if failed && last { "FAILED" } else { "ok" };
            text.push_str(&format!("{word:>6}  {:>11}  {name}\n", elapsed(*took)));
        }
        let skipped = self.total.saturating_sub(self.done.len());
        let verdict = match (failed, skipped) {
            (false, _) => "all passed".to_owned(),
            (true, 0) => "stopped at the last step".to_owned(),
            (true, n) => format!("stopped there, {n} not run"),
        };
        let whole = elapsed(self.started.elapsed());
        text.push_str(&format!("{:>6}  {whole:>11}  {verdict}\n", ""));
        text
    }
}

/// A duration as people say it.
pub fn elapsed(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds < 10 {
        format!("{:.1} s", duration.as_secs_f64())
    } else if seconds < 60 {
        format!("{seconds} s")
    } else {
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn durations_read_well() {
        assert_eq!(elapsed(Duration::from_millis(420)), "0.4 s");
        assert_eq!(elapsed(Duration::from_secs(34)), "34 s");
        assert_eq!(elapsed(Duration::from_secs(125)), "2 min 05 s");
    }

    #[test]
    fn a_failed_step_is_marked_and_the_rest_counted() {
        let mut steps = Steps::new(3);
        steps.run("one", || Ok(())).expect("one succeeds");
        let two: Result<()> = steps.run("two", || bail!("no"));
        assert!(two.is_err());
        let summary = steps.summary(true);
        assert!(summary.contains("    ok"), "{summary}");
        assert!(summary.contains("FAILED"), "{summary}");
        assert!(summary.contains("1 not run"), "{summary}");
    }
}
