//! Every lint exception says why, and is an `expect`, which reports itself once it is not needed.

use super::Fault;
use super::files::Source;
use super::tokens::{Token, tokens};

/// The attributes that allow or expect a lint and give no reason.
pub fn check(sources: &[Source]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for source in sources {
        let tokens = tokens(&source.text);
        for (at, token) in tokens.iter().enumerate() {
            let exception = matches!(token.text, "allow" | "expect");
            if exception && is_attribute(&tokens, at) && !has_reason(&tokens, at) {
                faults.push(Fault {
                    file: source.path.clone(),
                    line: Some(token.line),
                    message: format!(
                        "{} without a reason: write #[expect(…, reason = \"…\")]",
                        token.text
                    ),
                });
            }
        }
    }
    faults
}

/// Whether the word at `at` opens `#[word(` or `#![word(`, or stands so in a `cfg_attr`.
fn is_attribute(tokens: &[Token<'_>], at: usize) -> bool {
    let opens = tokens.get(at + 1).is_some_and(|token| token.text == "(");
    let before: Vec<&str> = tokens[at.saturating_sub(6)..at]
        .iter()
        .map(|token| token.text)
        .collect();
    let direct = before.ends_with(&["#", "["]) || before.ends_with(&["#", "!", "["]);
    let conditional = before.last() == Some(&",") && before.contains(&"cfg_attr");
    opens && (direct || conditional)
}

fn has_reason(tokens: &[Token<'_>], at: usize) -> bool {
    let mut depth = 0usize;
    for token in tokens.iter().skip(at + 1) {
        match token.text {
            "(" => depth += 1,
            ")" if depth <= 1 => return false,
            ")" => depth -= 1,
            "reason" => return true,
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<Option<usize>> {
        let source = Source {
            path: "x.rs".to_owned(),
            text: text.to_owned(),
        };
        check(&[source]).into_iter().map(|f| f.line).collect()
    }

    #[test]
    fn exceptions_without_a_reason_are_found() {
        assert_eq!(lines("\n#[allow(dead_code)]"), [Some(2)]);
        assert_eq!(lines("#![allow(\n  dead_code\n)]"), [Some(1)]);
        assert_eq!(lines("#[expect(unsafe_code)] fn f() {}"), [Some(1)]);
        assert_eq!(lines("#[cfg_attr(test, allow(dead_code))]"), [Some(1)]);
    }

    #[test]
    fn reasons_calls_and_comments_pass() {
        let text = "#[expect(dead_code, reason = \"used by tests\")]\n\
            // #[allow(dead_code)]\nfn f() { x.expect(\"#[allow(y)]\") }";
        assert_eq!(lines(text), []);
    }
}
