//! No file outgrows one subject: lines are counted without test modules.

use super::Fault;
use super::files::Source;

/// The longest a file may be.
const LIMIT: usize = 500;

/// The files that are longer.
pub fn check(sources: &[Source]) -> Vec<Fault> {
    let code = sources.iter().filter(|source| !source.is_test_module());
    let long = code.filter_map(|source| {
        let lines = source.code().lines().count();
        (lines > LIMIT).then(|| Fault {
            file: source.path.clone(),
            line: None,
            message: format!(
                "{lines} lines without its tests, more than {LIMIT}: split it by subject"
            ),
        })
    });
    long.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: String) -> usize {
        faults_at("x/src/y.rs", text)
    }

    fn faults_at(path: &str, text: String) -> usize {
        let path = path.to_owned();
        check(&[Source { path, text }]).len()
    }

    #[test]
    fn the_limit_is_exact_and_tests_are_free() {
        assert_eq!(faults("x\n".repeat(LIMIT)), 0);
        assert_eq!(faults("x\n".repeat(LIMIT + 1)), 1);
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "x\n".repeat(LIMIT));
        assert_eq!(faults("x\n".repeat(LIMIT) + &tests), 0);
        let long = || "x\n".repeat(LIMIT + 1);
        assert_eq!(faults_at("x/src/y/tests/z.rs", long()), 0);
        assert_eq!(faults_at("x/tests/live.rs", long()), 1);
    }
}
