//! Patterns of names: `word` is that word, `word*` a beginning, `*word` an end.

/// Whether a name fits one of the patterns.
pub fn any(patterns: &[&str], name: &str) -> bool {
    patterns.iter().any(|pattern| fits(pattern, name))
}

/// Whether a name fits a pattern.
pub fn fits(pattern: &str, name: &str) -> bool {
    if let Some(beginning) = pattern.strip_suffix('*') {
        name.starts_with(beginning)
    } else if let Some(end) = pattern.strip_prefix('*') {
        name.ends_with(end)
    } else {
        pattern == name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_the_rest() {
        assert!(fits("mallctl", "mallctl"));
        assert!(!fits("mallctl", "_rjem_mallctl"));
        assert!(fits("*mallctl", "_rjem_mallctl"));
        assert!(fits("mi_*", "mi_malloc"));
        assert!(!fits("mi_*", "_mi_os_alloc"));
    }
}
