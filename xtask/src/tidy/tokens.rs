//! Rust text in, tokens with their lines out; comments and literals are dropped. Never fails.

/// A word, `::`, or one sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token<'a> {
    /// As written.
    pub text: &'a str,
    /// Counted from one.
    pub line: usize,
}

/// Splits `source` into tokens.
pub fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut rest = source;
    let mut line = 1;
    let mut found = Vec::new();
    while let Some(first) = rest.chars().next() {
        let (length, kept) = measure(rest, first);
        // Every length is at least one character and ends on a boundary.
        let (text, tail) = rest.split_at(length);
        if kept {
            found.push(Token { text, line });
        }
        line += text.matches('\n').count();
        rest = tail;
    }
    found
}

/// The length of what `rest` starts with, and whether it is a token.
fn measure(rest: &str, first: char) -> (usize, bool) {
    if let Some(length) = comment(rest).or_else(|| raw_string(rest)) {
        return (length, false);
    }
    for prefix in ["b\"", "c\"", "\"", "b'"] {
        if rest.starts_with(prefix) {
            let quote = prefix.as_bytes()[prefix.len() - 1];
            return (quoted(rest, prefix.len(), quote), false);
        }
    }
    if first == '\'' {
        return (lifetime_or_char(rest), false);
    }
    if is_word(first) {
        let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        return (length, true);
    }
    if rest.starts_with("::") {
        return (2, true);
    }
    (first.len_utf8(), !first.is_whitespace())
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn comment(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if !rest.starts_with("/*") {
        return None;
    }
    let mut depth = 0usize;
    let bytes = rest.as_bytes();
    let mut at = 0;
    while let Some(pair) = bytes.get(at..at + 2) {
        match pair {
            b"/*" => depth += 1,
            b"*/" => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return Some(at);
        }
    }
    Some(rest.len())
}

/// `r"…"`, `r#"…"#` and their byte and C forms; not `r#word`.
fn raw_string(rest: &str) -> Option<usize> {
    let marked = ["r", "br", "cr"]
        .iter()
        .find_map(|prefix| rest.strip_prefix(prefix))?;
    let hashes = marked.bytes().take_while(|byte| *byte == b'#').count();
    let body = marked.get(hashes..)?.strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let start = rest.len() - body.len();
    Some(
        body.find(&end)
            .map_or(rest.len(), |at| start + at + end.len()),
    )
}

/// The end of a literal whose text begins at `start`.
fn quoted(rest: &str, start: usize, quote: u8) -> usize {
    let mut bytes = rest.bytes().enumerate().skip(start);
    while let Some((at, byte)) = bytes.next() {
        if byte == b'\\' {
            bytes.next();
        } else if byte == quote {
            return at + 1;
        }
    }
    rest.len()
}

/// `'a'` and `'\n'` are characters, `'a` is a lifetime.
fn lifetime_or_char(rest: &str) -> usize {
    let mut chars = rest.chars().skip(1);
    let (first, second) = (chars.next(), chars.next());
    if first == Some('\\') || second == Some('\'') {
        return quoted(rest, 1, b'\'');
    }
    let word = rest[1..].find(|c| !is_word(c));
    word.map_or(rest.len(), |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> Vec<&str> {
        tokens(source).into_iter().map(|token| token.text).collect()
    }

    #[test]
    fn comments_and_literals_are_dropped() {
        let source =
            "a // std::fs\n/* b /* c */ d */ e \"std::\\\"net\" r#\"x\"y\"# f b'\\'' 'g' '\\n'";
        assert_eq!(words(source), ["a", "e", "f"]);
        assert_eq!(words("'é' a"), ["a"]);
    }

    #[test]
    fn lifetimes_do_not_swallow_what_follows() {
        assert_eq!(words("&'a str 'b' x"), ["&", "str", "x"]);
    }

    #[test]
    fn lines_are_counted_through_everything() {
        let found = tokens("a\n/* \n */ b \"\n\" c::d");
        let lines: Vec<_> = found.iter().map(|token| (token.text, token.line)).collect();
        assert_eq!(lines, [("a", 1), ("b", 3), ("c", 4), ("::", 4), ("d", 4)]);
    }

    #[test]
    fn unfinished_text_ends_quietly() {
        for source in ["\"a", "/* a", "r#\"a", "'", "'\\", "b'", "é'", "r#", "'é"] {
            tokens(source);
        }
    }
}
