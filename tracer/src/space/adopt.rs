//! The kernel's map against the model: what differs, what can be learnt, what is taken over.
//!
//! The lines must be of a moment that the model stands for: what has been applied and what
//! the kernel shows must be the same state.

use super::{
    Space,
    agree::{Line, bias_of, content_of},
    edit::Over,
    effect::Difference,
    intervals::Intervals,
    piece::{Backing, Origin, Piece, Provenance, SiteId, Traits},
    vma::Vma,
};
use crate::units::{Addr, Nanos, Span, Tid};

/// Runs put in one after the other from which on a map is packed.
const WORTH_PACKING: usize = 256;

impl Space {
    /// Takes the kernel's map as the truth. Where the model agrees (same protection, sharing and
    /// backing), pieces keep their origin, content and name; where it does not, bytes get the origin
    /// `how` at `at`. Unknown file names are learnt. Returns what differed (empty on agreement).
    pub fn adopt(&mut self, vmas: &[Vma], how: Provenance, at: Nanos) -> Vec<Difference> {
        self.latest = self.latest.max(at);
        self.make_room();
        let mut differences = Differences::default();
        let mut replaced = Vec::new();
        let mut learnt = Vec::new();
        walk(&self.map, vmas, |span, piece, vma| {
            let names = &mut self.names;
            if let (Some(piece), Some(vma)) = (piece, vma)
                && names.agree(piece, vma)
            {
                let mut known = Piece {
                    backing: names.learn_backing(piece, vma),
                    ..*piece
                };
                if let (None, Line::Anonymous(Some(name))) = (piece.name, Line::of(vma)) {
                    known.name = Some(names.intern(name));
                }
                if known != *piece {
                    learnt.push((span, known));
                }
                return;
            }
            differences.add(
                span,
                piece.map(|piece| names.vma(span, piece)),
                vma.map(|vma| vma.clipped(span)),
            );
            replaced.push((
                span,
                vma.map(|vma| Piece {
                    prot: vma.prot,
                    shared: vma.shared,
                    backing: names.backing(vma),
                    traits: traits_of(vma),
                    origin: Origin {
                        how,
                        site: SiteId::default(),
                        tid: Tid(0),
                        at,
                        mapped: vma.span.len(),
                    },
                    // Not the time of the reading: see the rule in `ordering`.
                    placed: Nanos(0),
                    content: content_of(vma),
                    name: match Line::of(vma) {
                        Line::Anonymous(Some(name)) => Some(names.intern(name)),
                        _ => None,
                    },
                }),
            ));
        });
        let is_new = replaced.len() >= WORTH_PACKING;
        for (span, piece) in replaced {
            self.clear(span, Over::Occupied, at);
            if let Some(piece) = piece {
                self.put(span, piece);
            }
        }
        self.overwrite(learnt);
        if is_new {
            self.map.pack();
        }
        differences.list
    }

    /// What differs from the kernel's map, nothing changed.
    #[must_use]
    pub fn compare(&self, vmas: &[Vma]) -> Vec<Difference> {
        let mut differences = Differences::default();
        walk(&self.map, vmas, |span, piece, vma| {
            if let (Some(piece), Some(vma)) = (piece, vma)
                && self.names.agree(piece, vma)
            {
                return;
            }
            differences.add(
                span,
                piece.map(|piece| self.names.vma(span, piece)),
                vma.map(|vma| vma.clipped(span)),
            );
        });
        differences.list
    }

    /// Fills in the names of files that were mapped by descriptor from the kernel's map. Nothing else changes.
    pub fn learn_names(&mut self, vmas: &[Vma]) {
        let mut learnt = Vec::new();
        walk(&self.map, vmas, |span, piece, vma| {
            if let (Some(piece), Some(vma)) = (piece, vma)
                && let Backing::File { bias, .. } = piece.backing
                && (piece.shared, bias) == (vma.shared, bias_of(vma))
            {
                let backing = self.names.learn_backing(piece, vma);
                if backing != piece.backing {
                    learnt.push((span, Piece { backing, ..*piece }));
                }
            }
        });
        self.overwrite(learnt);
    }

    /// The same bytes with more known of them.
    fn overwrite(&mut self, learnt: Vec<(Span, Piece)>) {
        for (span, piece) in learnt {
            self.map.update(span, |_, _| Some(piece));
        }
    }
}

/// The flags that a line gives away.
fn traits_of(vma: &Vma) -> Traits {
    Traits {
        grows_down: Line::of(vma) == Line::Stack,
        ..Traits::default()
    }
}

/// Differences, joined as long as both sides go on as they were.
#[derive(Default)]
struct Differences {
    list: Vec<Difference>,
}

impl Differences {
    fn add(&mut self, span: Span, model: Option<Vma>, kernel: Option<Vma>) {
        if let Some(last) = self.list.last_mut()
            && last.span.end == span.start
            && goes_on(last.model.as_ref(), model.as_ref())
            && goes_on(last.kernel.as_ref(), kernel.as_ref())
        {
            last.span.end = span.end;
            for side in [&mut last.model, &mut last.kernel].into_iter().flatten() {
                side.span.end = span.end;
            }
            return;
        }
        self.list.push(Difference {
            span,
            model,
            kernel,
        });
    }
}

fn goes_on(last: Option<&Vma>, next: Option<&Vma>) -> bool {
    match (last, next) {
        (Some(last), Some(next)) => last.is_continued_by(next),
        (None, None) => true,
        _ => false,
    }
}

/// Visits each longest span in which neither side changes and one at least has something.
fn walk<'a>(
    map: &'a Intervals,
    vmas: &'a [Vma],
    mut visit: impl FnMut(Span, Option<&'a Piece>, Option<&'a Vma>),
) {
    let lines = in_order(vmas);
    let mut model = map.iter().peekable();
    let mut kernel = lines.into_iter().peekable();
    let mut reached = Addr(0);
    loop {
        while model.next_if(|(span, _)| span.end <= reached).is_some() {}
        while kernel.next_if(|(span, _)| span.end <= reached).is_some() {}
        let sides = [model.peek().map(|m| m.0), kernel.peek().map(|k| k.0)];
        let Some(start) = sides.iter().flatten().map(|s| s.start.max(reached)).min() else {
            return;
        };
        // The next address at which a side begins or ends.
        let border = |span: &Span| {
            if span.start > start {
                span.start
            } else {
                span.end
            }
        };
        let end = sides.iter().flatten().map(border).min().unwrap_or(start);
        visit(
            Span::between(start, end),
            model.peek().filter(|m| m.0.contains(start)).map(|m| m.1),
            kernel.peek().filter(|k| k.0.contains(start)).map(|k| k.1),
        );
        reached = end;
    }
}

/// The lines that count, as disjoint spans in order of address: the kernel's are, but they
/// come from outside.
fn in_order(vmas: &[Vma]) -> Vec<(Span, &Vma)> {
    let mut lines: Vec<_> = vmas
        .iter()
        .filter(|vma| Line::of(vma) != Line::Gate)
        .map(|vma| (vma.span, vma))
        .collect();
    lines.sort_by_key(|(span, _)| span.start);
    let mut reached = Addr(0);
    lines.retain_mut(|(span, _)| {
        span.start = span.start.max(reached);
        let is_left = span.start < span.end;
        if is_left {
            reached = span.end;
        }
        is_left
    });
    lines
}
