//! Columns and rows in, aligned lines out.
//!
//! Numbers keep their width. Words give way: their cells wrap inside the column, or are cut.

use super::{
    clean::{clean, columns, fit},
    page::wrap,
    style::Paint,
};

/// Space between columns.
const GAP: usize = 2;
/// Narrowest a column of words may get.
const NARROWEST: usize = 6;

/// Rows under headed columns.
#[derive(Debug)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

/// How the cells of a column are set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Align {
    /// Words: to the left, wrapped if need be.
    Left,
    /// Words: to the left, cut if need be, so that a row is a line.
    Cut,
    /// Numbers: to the right, never wrapped.
    Right,
}

#[derive(Debug)]
struct Column {
    title: &'static str,
    align: Align,
}

impl Table {
    /// A table of columns headed `titles`; those that begin with `>` hold numbers, those that
    /// begin with `~` words that are cut.
    pub fn new(titles: &[&'static str]) -> Self {
        let columns = titles.iter().map(|title| {
            let (title, align) = match (title.strip_prefix('>'), title.strip_prefix('~')) {
                (Some(title), _) => (title, Align::Right),
                (_, Some(title)) => (title, Align::Cut),
                _ => (*title, Align::Left),
            };
            Column { title, align }
        });
        Self {
            columns: columns.collect(),
            rows: Vec::new(),
        }
    }

    /// Another row, a cell for each column.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells = cells.into_iter().map(|cell| clean(&cell).into_owned());
        let cells: Vec<String> = cells.collect();
        debug_assert_eq!(cells.len(), self.columns.len(), "a cell for each column");
        self.rows.push(cells);
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Its lines; none without rows.
    pub fn lines(&self, room: usize) -> Vec<(Paint, String)> {
        if self.is_empty() {
            return Vec::new();
        }
        let widths = self.widths(room);
        let titles: Vec<&str> = self.columns.iter().map(|column| column.title).collect();
        let mut lines = Vec::new();
        if titles.iter().any(|title| !title.is_empty()) {
            lines.extend(self.set(&titles, &widths).map(|line| (Paint::Faint, line)));
        }
        for row in &self.rows {
            let cells: Vec<&str> = row.iter().map(String::as_str).collect();
            lines.extend(self.set(&cells, &widths).map(|line| (Paint::Plain, line)));
        }
        lines
    }

    /// The widths that cells want, taken back from the widest words until all fit.
    fn widths(&self, room: usize) -> Vec<usize> {
        let mut widths: Vec<usize> = (0..self.columns.len())
            .map(|at| {
                let cells = self.rows.iter().map(|row| columns(&row[at]));
                cells
                    .chain([columns(self.columns[at].title)])
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        let gaps = GAP * widths.len().saturating_sub(1);
        while widths.iter().sum::<usize>() + gaps > room {
            let widest = (0..widths.len())
                .filter(|&at| self.columns[at].align != Align::Right && widths[at] > NARROWEST)
                .max_by_key(|&at| widths[at]);
            match widest {
                Some(at) => widths[at] -= 1,
                None => break,
            }
        }
        widths
    }

    /// One row, as many lines as its tallest cell.
    fn set<'a>(&'a self, cells: &[&str], widths: &'a [usize]) -> impl Iterator<Item = String> + 'a {
        let wrapped: Vec<Vec<String>> = (0..widths.len())
            .map(|at| match self.columns[at].align {
                Align::Left => wrap(cells[at], widths[at]),
                Align::Cut => vec![fit(cells[at], widths[at]).into_owned()],
                Align::Right => vec![cells[at].to_owned()],
            })
            .collect();
        let height = wrapped.iter().map(Vec::len).max().unwrap_or(0);
        (0..height).map(move |row| {
            let mut line = String::new();
            for (at, &width) in widths.iter().enumerate() {
                let cell = wrapped[at].get(row).map_or("", String::as_str);
                let pad = " ".repeat(width.saturating_sub(columns(cell)));
                let gap = if at > 0 {
                    " ".repeat(GAP)
                } else {
                    String::new()
                };
                line += &match self.columns[at].align {
                    Align::Left | Align::Cut => format!("{gap}{cell}{pad}"),
                    Align::Right => format!("{gap}{pad}{cell}"),
                };
            }
            line.truncate(line.trim_end().len());
            line
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(table: &Table, room: usize) -> Vec<String> {
        table
            .lines(room)
            .into_iter()
            .map(|(_, line)| line)
            .collect()
    }

    #[test]
    fn numbers_stand_right_and_words_left() {
        let mut table = Table::new(&["owner", ">bytes"]);
        table.row(["jemalloc".into(), "1,024".into()]);
        table.row(["测试".into(), "7".into()]);
        assert_eq!(
            lines(&table, 40),
            ["owner     bytes", "jemalloc  1,024", "测试          7"]
        );
    }

    #[test]
    fn words_are_cut_where_a_row_must_be_a_line() {
        let mut table = Table::new(&[">n", "~by"]);
        table.row(["1,000".into(), "mmap and then brk".into()]);
        assert_eq!(lines(&table, 16), ["    n  by", "1,000  mmap and…"]);
    }

    #[test]
    fn words_wrap_where_room_is_short() {
        let mut table = Table::new(&["", ">n", "by"]);
        table.row(["a".into(), "1,000,000".into(), "mmap and then brk".into()]);
        assert_eq!(
            lines(&table, 22),
            [
                "           n  by",
                "a  1,000,000  mmap and",
                "              then brk"
            ]
        );
        assert!(lines(&Table::new(&["a"]), 10).is_empty());
    }
}
