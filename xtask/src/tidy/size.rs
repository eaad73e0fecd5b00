//! No file outgrows one subject: lines are counted without a trailing test module.

use super::Fault;
use super::files::Source;

/// The longest a file may be.
const LIMIT: usize = 500;

/// The files that are longer.
pub fn check(sources: &[Source]) -> Vec<Fault> {
    let long = sources.iter().filter_map(|source| {
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
        check(&[Source {
            path: "x/src/y.rs".to_owned(),
            text,
        }])
        .len()
    }

    #[test]
    fn the_limit_is_exact_and_tests_are_free() {
        assert_eq!(faults("x\n".repeat(LIMIT)), 0);
        assert_eq!(faults("x\n".repeat(LIMIT + 1)), 1);
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "x\n".repeat(LIMIT));
        assert_eq!(faults("x\n".repeat(LIMIT) + &tests), 0);
    }
}
