//! What a console said in, how the tests went out. Pure.

use super::machine::Ending;

/// What the guest's first process says of itself begins so.
const MARKER: &str = "vm: ";
/// What a live test found out of this kernel, see `fact` in the harness of tracer/tests/live. The
/// columns of the table that are about the kernel come from here alone: what else is to be shown of
/// it, such as a list of features that a program of the guest prints, becomes a fact in
/// [`Outcome::read`].
const FACT: &str = "fact: ";
/// What a live test says where it had nothing to test.
const SKIPPED: &str = "skipped: ";

/// How the tests of a kernel went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// All of them passed.
    Passed,
    /// These failed.
    Failed(Vec<String>),
    /// The kernel began to run them and did not come to their end.
    Broke,
    /// They were not over in time.
    TimedOut,
    /// The kernel never came to run them.
    NoBoot,
}

/// All that a console said that matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The verdict.
    pub verdict: Verdict,
    /// Tests that passed, those that skipped among them.
    pub passed: u32,
    /// Tests that had nothing to test.
    pub skipped: u32,
    /// What tests found out of the kernel: what it is about, and what it is.
    pub facts: Vec<(String, String)>,
}

impl Outcome {
    /// Reads a whole console.
    pub fn read(console: &str, ending: Ending) -> Self {
        let marker = |text: &str| {
            let mut lines = console.lines();
            lines.find_map(|line| line.strip_prefix(MARKER)?.strip_prefix(text))
        };
        let counts = console.lines().rev().find_map(parse_result);
        let exit = marker("tests ended with ").map(str::trim);
        let verdict = match (exit, counts) {
            (Some("0"), Some((passed, 0))) if passed > 0 => Verdict::Passed,
            (Some(_), Some((_, failed))) if failed > 0 => Verdict::Failed(failures(console)),
            _ if ending == Ending::TimedOut => Verdict::TimedOut,
            _ if marker("booted").is_some() => Verdict::Broke,
            _ => Verdict::NoBoot,
        };
        let lines_with = |prefix| {
            let lines = console.lines();
            lines.filter_map(move |line| line.strip_prefix(prefix))
        };
        Self {
            verdict,
            passed: counts.map_or(0, |(passed, _)| passed),
            skipped: u32::try_from(lines_with(SKIPPED).count()).unwrap_or(u32::MAX),
            facts: lines_with(FACT)
                .filter_map(|fact| fact.split_once(": "))
                .map(|(about, what)| (about.to_owned(), what.trim().to_owned()))
                .collect(),
        }
    }

    /// The number of tests that failed.
    pub const fn failed(&self) -> usize {
        match &self.verdict {
            Verdict::Failed(names) => names.len(),
            _ => 0,
        }
    }
}

/// `test result: ok. 3 passed; 1 failed; …`
fn parse_result(line: &str) -> Option<(u32, u32)> {
    let rest = line.strip_prefix("test result: ")?;
    let count = |word: &str| {
        let before = rest.split(&format!(" {word}")).next()?;
        before.rsplit(' ').next()?.parse().ok()
    };
    Some((count("passed")?, count("failed")?))
}

/// The names in the last list of failures, one a line, indented.
fn failures(console: &str) -> Vec<String> {
    let Some((_, list)) = console.rsplit_once("\nfailures:\n") else {
        return Vec::new();
    };
    let lines = list
        .lines()
        .take_while(|line| !line.starts_with("test result"));
    lines
        .filter_map(|line| line.strip_prefix("    "))
        .map(|line| line.trim().to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSED: &str = "[ 0.1] noise\nvm: booted 6.1.0-44-cloud-amd64\n\
        test a ... ok\n\n---- a stdout ----\nfact: programs: 12\nskipped: no node\n\n\
        test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 1 filtered out; finished in 9s\n\n\
        vm: tests ended with 0\n";

    #[test]
    fn what_passed_is_counted_and_facts_are_kept() {
        let outcome = Outcome::read(PASSED, Ending::Off);
        assert_eq!(outcome.verdict, Verdict::Passed);
        assert_eq!((outcome.passed, outcome.skipped), (2, 1));
        let fact = ("programs".to_owned(), "12".to_owned());
        assert_eq!(outcome.facts, [fact]);
    }

    #[test]
    fn failures_are_named() {
        let console = "vm: booted x\n\nfailures:\n\n---- m::b stdout ----\n    indented\n\n\
            failures:\n    m::b\n    m::c\n\n\
            test result: FAILED. 2 passed; 2 failed; 0 ignored\n\nvm: tests ended with 101\n";
        let outcome = Outcome::read(console, Ending::Off);
        let names = ["m::b", "m::c"].map(str::to_owned);
        assert_eq!(outcome.verdict, Verdict::Failed(names.to_vec()));
        assert_eq!(outcome.failed(), 2);
    }

    #[test]
    fn without_its_end_nothing_passed() {
        let cut = PASSED.replace("vm: tests ended with 0\n", "");
        let verdict = |console, ending| Outcome::read(console, ending).verdict;
        assert_eq!(verdict(&cut, Ending::Off), Verdict::Broke);
        assert_eq!(verdict(&cut, Ending::TimedOut), Verdict::TimedOut);
        assert_eq!(verdict("Kernel panic", Ending::Off), Verdict::NoBoot);
        assert_eq!(verdict("", Ending::TimedOut), Verdict::TimedOut);
    }

    #[test]
    fn no_test_at_all_is_no_success() {
        let none = PASSED.replace("2 passed", "0 passed");
        assert_ne!(Outcome::read(&none, Ending::Off).verdict, Verdict::Passed);
    }
}
