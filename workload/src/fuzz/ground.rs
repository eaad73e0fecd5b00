//! The addresses that calls may be about: a window that nobody else is given,
//! and what the kernel placed elsewhere.
//!
//! Knows addresses only. What lies there, if anything, only the kernel knows.

use crate::random::Xorshift;

/// The page size that lengths are multiples of. Where the machine's is larger,
/// some calls fail that would not.
pub const PAGE: usize = 4096;

/// A range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    pub start: usize,
    pub len: usize,
}

impl Range {
    pub const fn end(self) -> usize {
        self.start + self.len
    }

    const fn contains(self, address: usize) -> bool {
        self.start <= address && address < self.end()
    }

    const fn pages(self) -> usize {
        self.len / PAGE
    }

    /// `count` pages from page `first` on.
    const fn part(self, first: usize, count: usize) -> Self {
        Self {
            start: self.start + first * PAGE,
            len: count * PAGE,
        }
    }
}

/// A window at addresses which the kernel does not choose by itself: below
/// those of programs and libraries, above those of programs that want to be
/// low.
#[derive(Debug, Clone, Copy)]
pub struct Window(Range);

impl Window {
    const FIRST: usize = 64 << 30;
    const DISTANCE: usize = 256 << 20;
    const PAGES: usize = 256;
    /// Below the window: nothing is placed here, but a stack may grow into it.
    const SKIRT: usize = 64;

    /// The window of a number.
    pub const fn new(number: usize) -> Self {
        Self(Range {
            start: Self::FIRST + number * Self::DISTANCE,
            len: Self::PAGES * PAGE,
        })
    }

    /// Some pages of it, mostly few.
    pub fn range(self, random: &mut Xorshift) -> Range {
        let longest = random.one_of(&[4, 16, 16, 64, Self::PAGES]);
        let count = 1 + random.below(longest);
        self.0.part(random.below(Self::PAGES - count + 1), count)
    }

    /// As many pages of it as this.
    pub fn room(self, random: &mut Xorshift, len: usize) -> Range {
        let count = len.div_ceil(PAGE).clamp(1, Self::PAGES);
        self.0.part(random.below(Self::PAGES - count + 1), count)
    }

    /// The first pages, and a place below them that a stack there grows to.
    pub fn stack(self, random: &mut Xorshift) -> (Range, usize) {
        let depth = 1 + random.below(Self::SKIRT);
        (
            self.0.part(0, 1 + random.below(4)),
            self.0.start - depth * PAGE,
        )
    }

    /// The skirt and the first pages.
    pub const fn hem(self) -> Range {
        Range {
            start: self.0.start - Self::SKIRT * PAGE,
            len: (Self::SKIRT + 4) * PAGE,
        }
    }

    pub fn holds(self, range: Range) -> bool {
        self.hem().contains(range.start) || self.0.contains(range.start)
    }
}

/// A window, and ranges that the kernel placed.
#[derive(Debug)]
pub struct Ground {
    pub window: Window,
    placed: Vec<Range>,
    /// How many ranges to have, more or less.
    appetite: usize,
}

impl Ground {
    /// So many ranges at most. Room for them is allocated now.
    const MOST: usize = 1000;

    pub fn new(window: Window) -> Self {
        Self {
            window,
            placed: Vec::with_capacity(Self::MOST),
            appetite: 16,
        }
    }

    /// Whether there are more ranges than it wants.
    pub fn is_full(&self) -> bool {
        self.placed.len() >= self.appetite
    }

    /// Whether no range can be added.
    pub fn is_crowded(&self) -> bool {
        // Room for what a call adds, and for what it splits.
        self.placed.len() + 4 > Self::MOST
    }

    /// Wants another number of ranges from now on.
    pub fn change_appetite(&mut self, random: &mut Xorshift) {
        self.appetite = random.one_of(&[4, 32, 32, 256, Self::MOST]);
    }

    /// A range of the window or of what was placed, a part of one, or several.
    pub fn range(&self, random: &mut Xorshift) -> Range {
        if self.placed.is_empty() || random.once_in(2) {
            return self.window.range(random);
        }
        self.placed_range(random)
    }

    /// The same of what was placed; of the window if that is nothing.
    pub fn placed_range(&self, random: &mut Xorshift) -> Range {
        if self.placed.is_empty() {
            return self.window.range(random);
        }
        let whole = random.one_of(&self.placed);
        let pages = whole.pages();
        let cut = random.below(pages);
        match random.below(8) {
            0 => whole.part(0, cut + 1),
            1 => whole.part(cut, pages - cut),
            2 => whole.part(cut, 1 + random.below(pages - cut)),
            3 => self.with_neighbour(whole),
            _ => whole,
        }
    }

    fn with_neighbour(&self, range: Range) -> Range {
        let next = self.placed.iter().find(|next| next.start == range.end());
        Range {
            len: range.len + next.map_or(0, |next| next.len),
            ..range
        }
    }

    /// What the kernel placed is ours from now on.
    pub fn add(&mut self, range: Range) {
        if range.len > 0 && !self.window.holds(range) {
            self.placed.push(range);
        }
    }

    /// What is unmapped may be anyone's.
    pub fn remove(&mut self, gone: Range) {
        let mut index = 0;
        while let Some(&range) = self.placed.get(index) {
            if range.end() <= gone.start || gone.end() <= range.start {
                index += 1;
                continue;
            }
            self.placed.swap_remove(index);
            if range.start < gone.start {
                self.placed.push(Range {
                    len: gone.start - range.start,
                    ..range
                });
            }
            if gone.end() < range.end() {
                self.placed.push(Range {
                    start: gone.end(),
                    len: range.end() - gone.end(),
                });
            }
        }
    }

    /// Hands ranges over to another.
    pub fn hand_over(&mut self, other: &mut Self, random: &mut Xorshift) {
        for _ in 0..1 + random.below(4) {
            if other.is_crowded() {
                return;
            }
            let Some(range) = self.placed.pop() else {
                return;
            };
            other.placed.push(range);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: usize, pages: usize) -> Range {
        Range {
            start,
            len: pages * PAGE,
        }
    }

    #[test]
    fn what_is_unmapped_is_forgotten_to_the_page() {
        let mut ground = Ground::new(Window::new(0));
        ground.add(range(0x10_0000, 16));
        ground.remove(range(0x10_4000, 4));
        ground.placed.sort_by_key(|range| range.start);
        assert_eq!(ground.placed, [range(0x10_0000, 4), range(0x10_8000, 8)]);
        ground.remove(range(0x10_0000, 16));
        assert_eq!(ground.placed, []);
    }

    #[test]
    fn ranges_stay_within_what_is_ours() {
        let mut random = Xorshift::new(3);
        let mut ground = Ground::new(Window::new(1));
        ground.add(range(0x10_0000, 16));
        let whole = range(0x10_0000, 16);
        let window = ground.window.0;
        for _ in 0..10_000 {
            let drawn = ground.range(&mut random);
            let inside = |whole: Range| whole.start <= drawn.start && drawn.end() <= whole.end();
            assert!(
                drawn.len > 0 && (inside(whole) || inside(window)),
                "{drawn:?}"
            );
        }
    }
}
