//! How text may look: its width and whether it may have colours.

use super::clean;

/// What a view may use of the terminal or file that its text is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    color: bool,
    width: usize,
}

/// What colour says of a piece of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paint {
    /// Nothing.
    Plain,
    /// It heads what follows.
    Heading,
    /// As it should be.
    Good,
    /// Deserves attention.
    Notable,
    /// Less important than the rest.
    Faint,
}

impl Style {
    /// Widest text, columns.
    pub const WIDEST: usize = 100;
    /// Narrowest text, columns: below, tables cannot be read.
    pub const NARROWEST: usize = 40;

    /// Text of at most `width` columns, held between [`Self::NARROWEST`] and [`Self::WIDEST`].
    #[must_use]
    pub fn new(color: bool, width: usize) -> Self {
        Self {
            color,
            width: width.clamp(Self::NARROWEST, Self::WIDEST),
        }
    }

    /// Widest table, columns.
    pub const WIDEST_TABLE: usize = 160;

    /// The same for pages of tables, which may be wider than what is read in lines.
    #[must_use]
    pub fn wide(color: bool, width: usize) -> Self {
        Self {
            color,
            width: width.clamp(Self::NARROWEST, Self::WIDEST_TABLE),
        }
    }

    /// Columns that a line may take.
    #[must_use]
    pub const fn width(self) -> usize {
        self.width
    }

    /// `text` in the colour of `paint`; made safe to print first.
    pub(super) fn paint(self, paint: Paint, text: &str) -> String {
        let text = clean::clean(text);
        let code = match paint {
            Paint::Plain => return text.into_owned(),
            Paint::Heading => "1",
            Paint::Good => "1;32",
            Paint::Notable => "1;33",
            Paint::Faint => "2",
        };
        if self.color && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.into_owned()
        }
    }
}

impl Default for Style {
    /// For a file: no colours, as wide as may be.
    fn default() -> Self {
        Self::new(false, Self::WIDEST)
    }
}
