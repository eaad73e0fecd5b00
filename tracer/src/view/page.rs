//! Paragraphs, bullets and tables in, lines that fit out.
//!
//! All text passes through here, so two things hold for every line of every view made
//! with it: it is no wider than the style says, and nothing in it directs a terminal.

use super::{
    clean::{clean, columns, fit, split_at_column},
    style::{Paint, Style},
    table::Table,
};

/// A text under way.
#[derive(Debug)]
pub struct Page {
    style: Style,
    text: String,
}

impl Page {
    /// An empty page.
    pub const fn new(style: Style) -> Self {
        Self {
            style,
            text: String::new(),
        }
    }

    /// Columns that a line may take.
    pub const fn width(&self) -> usize {
        self.style.width()
    }

    /// What was written.
    pub fn into_text(self) -> String {
        self.text
    }

    /// An empty line.
    pub fn blank(&mut self) {
        self.text.push('\n');
    }

    /// One line, cut if too long.
    pub fn line(&mut self, paint: Paint, text: &str) {
        let text = clean(text);
        let shown = fit(&text, self.width());
        self.text
            .push_str(&self.style.paint(paint, shown.trim_end()));
        self.text.push('\n');
    }

    /// A heading after an empty line.
    pub fn heading(&mut self, text: &str) {
        self.blank();
        self.line(Paint::Heading, text);
    }

    /// `text` wrapped; the first line begins with `mark`, the others are set in as far.
    pub fn paragraph(&mut self, mark: &str, text: &str) {
        self.painted(Paint::Plain, mark, text);
    }

    /// The same in a colour.
    pub fn painted(&mut self, paint: Paint, mark: &str, text: &str) {
        let mark = clean(mark);
        let indent = " ".repeat(columns(&mark));
        let room = self.width().saturating_sub(indent.len());
        for (at, line) in wrap(&clean(text), room).into_iter().enumerate() {
            let begin = if at == 0 { &*mark } else { &indent };
            self.line(paint, &format!("{begin}{line}"));
        }
    }

    /// A table, set in by two columns. Nothing if it has no rows.
    pub fn table(&mut self, table: &Table) {
        const INDENT: &str = "  ";
        for (paint, line) in table.lines(self.width() - INDENT.len()) {
            self.line(paint, &format!("{INDENT}{line}"));
        }
    }
}

/// `text` broken into lines of at most `room` columns: between words, inside a word only
/// if it is longer than a line. At least one line.
pub fn wrap(text: &str, room: usize) -> Vec<String> {
    let room = room.max(2);
    let mut lines = Vec::new();
    let mut line = String::new();
    for mut word in text.split(' ').filter(|word| !word.is_empty()) {
        let fits = columns(&line) + 1 + columns(word) <= room;
        if fits && !line.is_empty() {
            line.push(' ');
        } else if !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        while columns(word) > room {
            let (head, rest) = split_at_column(word, room);
            lines.push(head.to_owned());
            word = rest;
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_wrap_and_long_ones_break() {
        assert_eq!(wrap("a bc def", 4), ["a bc", "def"]);
        assert_eq!(wrap("x abcdefgh y", 3), ["x", "abc", "def", "gh", "y"]);
        assert_eq!(wrap("测试程序", 5), ["测试", "程序"]);
        assert_eq!(wrap("", 5), [""]);
    }

    #[test]
    fn marks_hang_and_hostile_text_stays_on_its_line() {
        let mut page = Page::new(Style::new(false, 40));
        page.paragraph("  - ", "one\ntwo three four five six seven eight nine");
        assert_eq!(
            page.into_text(),
            "  - one\\ntwo three four five six seven\n    eight nine\n"
        );
    }
}
