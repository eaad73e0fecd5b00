//! Rows in, lines of equal columns out; and long text broken into lines. Pure.

use super::page::Paint;

/// The widest line of the page.
pub const WIDTH: usize = 100;

/// How a column stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// A table with a head.
pub struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table with these columns.
    pub fn new(columns: &[(&str, Align)]) -> Self {
        let columns = columns
            .iter()
            .map(|(title, align)| ((*title).to_owned(), *align));
        Self {
            columns: columns.collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; its cells are the columns'.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The lines, the head first. `groups` are titles above runs of columns.
    pub fn render(&self, paint: Paint, groups: &[(&str, usize)]) -> String {
        let widths: Vec<usize> = (0..self.columns.len()).map(|at| self.width(at)).collect();
        let mut text = String::new();
        if !groups.is_empty() {
            text.push_str(&group_line(groups, &widths, paint));
        }
        let titles: Vec<String> = self
            .columns
            .iter()
            .map(|(title, _)| title.clone())
            .collect();
        text.push_str(&paint.dim(&self.line(&titles, &widths)));
        text.push('\n');
        for row in &self.rows {
            text.push_str(&self.line(row, &widths));
            text.push('\n');
        }
        text
    }

    fn width(&self, at: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(at));
        let title = self.columns.get(at).map(|(title, _)| title);
        cells
            .chain(title)
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default()
    }

    fn line(&self, cells: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        for ((cell, width), (_, align)) in cells.iter().zip(widths).zip(&self.columns) {
            line.push_str("  ");
            line.push_str(&match align {
                Align::Left => format!("{cell:<width$}"),
                Align::Right => format!("{cell:>width$}"),
            });
        }
        line.trim_end().to_owned()
    }
}

/// Titles that each start where their run of columns starts.
fn group_line(groups: &[(&str, usize)], widths: &[usize], paint: Paint) -> String {
    let mut line = String::new();
    let mut at = 0;
    for (title, columns) in groups {
        let span = widths.get(at..at + columns).unwrap_or_default();
        let width = span.iter().map(|width| width + 2).sum::<usize>();
        line.push_str(&format!("  {title:<0$}", width.saturating_sub(2)));
        at += columns;
    }
    format!("{}\n", paint.bold(line.trim_end()))
}

/// `text` in lines of at most the page's width: the first after `first`, the others indented alike.
pub fn wrap(first: &str, text: &str) -> String {
    let indent = " ".repeat(first.chars().count());
    let mut lines = Vec::new();
    let mut line = first.to_owned();
    let mut empty = true;
    for word in text.split_whitespace() {
        let room = WIDTH.saturating_sub(line.chars().count());
        if !empty && word.chars().count() + 1 > room {
            lines.push(std::mem::replace(&mut line, indent.clone()));
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    lines.push(line);
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_under_their_groups() {
        let mut table = Table::new(&[
            ("call", Align::Left),
            ("n", Align::Right),
            ("m", Align::Right),
        ]);
        table.row(["mmap".to_owned(), "8".to_owned(), "1,000".to_owned()]);
        let text = table.render(Paint::new(false), &[("", 1), ("one", 1), ("two", 1)]);
        assert_eq!(
            text,
            "        one  two\n  call  n      m\n  mmap  8  1,000\n"
        );
    }

    #[test]
    fn long_text_is_broken_and_indented() {
        let text = wrap("  - ", &"word ".repeat(40));
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH));
        assert!(
            text.lines()
                .skip(1)
                .all(|line| line.starts_with("    word"))
        );
        assert_eq!(wrap("a: ", ""), "a: \n");
        assert_eq!(wrap("", &"x".repeat(120)).lines().count(), 1);
    }
}
