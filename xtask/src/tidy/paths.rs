//! Tokens in, the paths they name out: `use` trees spread out, and paths in expressions.

use super::tokens::Token;

/// A path of two names or more, or any imported one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mention<'a> {
    /// Its names; a trailing `self` or `*` is left out.
    pub names: Vec<&'a str>,
    /// Whether a `use` names it, so that what is below it is in reach.
    pub imported: bool,
    /// Where.
    pub line: usize,
}

/// Every path in `tokens`.
pub fn mentions<'a>(tokens: &[Token<'a>]) -> Vec<Mention<'a>> {
    let mut reader = Reader {
        tokens,
        at: 0,
        found: Vec::new(),
    };
    while let Some(token) = reader.peek() {
        // `use<'a>` in a type captures lifetimes and imports nothing.
        if token.text == "use"
            && reader
                .tokens
                .get(reader.at + 1)
                .is_none_or(|t| t.text != "<")
        {
            reader.at += 1;
            reader.tree(&[]);
        } else if is_name(token.text) {
            reader.path();
        } else {
            reader.at += 1;
        }
    }
    reader.found
}

struct Reader<'t, 'a> {
    tokens: &'t [Token<'a>],
    at: usize,
    found: Vec<Mention<'a>>,
}

impl<'a> Reader<'_, 'a> {
    fn peek(&self) -> Option<Token<'a>> {
        self.tokens.get(self.at).copied()
    }

    fn skip(&mut self, text: &str) -> bool {
        let there = self.peek().is_some_and(|token| token.text == text);
        self.at += usize::from(there);
        there
    }

    /// One branch of a `use`, up to a comma, a closing brace or a semicolon.
    fn tree(&mut self, prefix: &[&'a str]) {
        let mut names = prefix.to_vec();
        let line = self.peek().map_or(0, |token| token.line);
        self.skip("::");
        while let Some(token) = self.peek() {
            match token.text {
                "{" => {
                    self.at += 1;
                    while !self.skip("}") && self.peek().is_some() {
                        let before = self.at;
                        self.tree(&names);
                        // Broken text must not hold the reader in place.
                        if !self.skip(",") && self.at == before {
                            self.at += 1;
                        }
                    }
                    return;
                }
                "self" if !names.is_empty() => self.at += 1,
                "*" => self.at += 1,
                "as" => self.at += 2,
                name if is_name(name) => {
                    names.push(name);
                    self.at += 1;
                }
                "::" => self.at += 1,
                _ => break,
            }
        }
        self.found.push(Mention {
            names,
            imported: true,
            line,
        });
    }

    /// Names joined by `::` outside of a `use`.
    fn path(&mut self) {
        let Some(first) = self.peek() else { return };
        let mut names = vec![first.text];
        self.at += 1;
        while self.skip("::") {
            match self.peek() {
                Some(token) if is_name(token.text) => {
                    names.push(token.text);
                    self.at += 1;
                }
                _ => break,
            }
        }
        if names.len() > 1 {
            self.found.push(Mention {
                names,
                imported: false,
                line: first.line,
            });
        }
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::super::tokens::tokens;
    use super::*;

    fn named(source: &str) -> Vec<String> {
        mentions(&tokens(source))
            .into_iter()
            .map(|mention| mention.names.join("::"))
            .collect()
    }

    #[test]
    fn use_trees_are_spread_out() {
        assert_eq!(
            named("use std::{fs::{self, File}, time::*, io as x}; use aya;"),
            ["std::fs", "std::fs::File", "std::time", "std::io", "aya"]
        );
        assert_eq!(
            named("pub use ::libc::{read, write,};"),
            ["libc::read", "libc::write"]
        );
        assert_eq!(named("use self::a; use super::b;"), ["self::a", "super::b"]);
    }

    #[test]
    fn paths_in_expressions_count() {
        assert_eq!(
            named("fn f() -> impl A + use<'a> { std::fs::read(x); y.z; Vec::<u8>::new() }"),
            ["std::fs::read"]
        );
    }

    #[test]
    fn broken_text_ends() {
        for source in ["use", "use {", "use a::{b", "use a::{;}", "a::", "use a as"] {
            mentions(&tokens(source));
        }
    }
}
