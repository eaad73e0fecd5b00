//! A flame graph: stacks in, an SVG document without scripts out. A box is as wide as its
//! share, callers lie below what they called; a box tells its name and size when pointed at.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{Measure, folded};
use crate::{report::Report, units::Bytes};

const WIDTH: f64 = 1200.0;
const MARGIN: f64 = 10.0;
const ROW: f64 = 17.0;
/// Above the boxes: the title.
const HEAD: f64 = 40.0;
/// Of a letter of the text, about.
const LETTER: f64 = 7.0;
/// Narrower boxes are left out.
const NARROWEST: f64 = 0.3;

#[derive(Default)]
struct Node {
    bytes: u64,
    callees: BTreeMap<String, Node>,
}

/// The document.
#[must_use]
pub fn render(report: &Report, measure: Measure) -> String {
    let mut root = Node::default();
    for (stack, bytes) in folded::stacks(report, measure) {
        let mut node = &mut root;
        node.bytes += bytes;
        for frame in stack {
            node = node.callees.entry(frame).or_default();
            node.bytes += bytes;
        }
    }
    let height = HEAD + ROW * (depth(&root) + 1) as f64 + MARGIN;
    let mut svg = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" height=\"{height}\" font-family=\"monospace\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fdfdf8\"/>\n\
         <text x=\"{MARGIN}\" y=\"24\" font-size=\"15\">Bytes {} by call path: {}</text>\n",
        measure.name().replace('_', " "),
        Bytes(root.bytes),
    );
    let canvas = Canvas {
        total: root.bytes.max(1),
        bottom: height - MARGIN - ROW,
    };
    canvas.draw(&mut svg, "all", &root, MARGIN, 0);
    svg.push_str("</svg>\n");
    svg
}

fn depth(node: &Node) -> usize {
    let below = node.callees.values().map(depth).max();
    below.map_or(0, |below| below + 1)
}

struct Canvas {
    total: u64,
    bottom: f64,
}

impl Canvas {
    fn draw(&self, svg: &mut String, name: &str, node: &Node, x: f64, level: usize) {
        let width = self.width(node.bytes);
        if width < NARROWEST {
            return;
        }
        let y = self.bottom - ROW * level as f64;
        let share = 100.0 * node.bytes as f64 / self.total as f64;
        let shown = escaped(name);
        let _ = writeln!(
            svg,
            "<g><title>{shown}: {}, {share:.1} %</title><rect x=\"{x:.1}\" y=\"{y:.1}\" \
             width=\"{width:.1}\" height=\"{:.1}\" rx=\"1\" fill=\"{}\"/>{}</g>",
            Bytes(node.bytes),
            ROW - 1.0,
            colour(name),
            text(name, x, y, width),
        );
        let mut left = x;
        for (name, callee) in &node.callees {
            self.draw(svg, name, callee, left, level + 1);
            left += self.width(callee.bytes);
        }
    }

    fn width(&self, bytes: u64) -> f64 {
        (WIDTH - 2.0 * MARGIN) * bytes as f64 / self.total as f64
    }
}

/// As much of a name as fits its box.
fn text(name: &str, x: f64, y: f64, width: f64) -> String {
    let room = ((width - 4.0) / LETTER).max(0.0) as usize;
    if room < 3 {
        return String::new();
    }
    let shown: String = if name.chars().count() <= room {
        name.to_owned()
    } else {
        name.chars().take(room - 1).chain(['…']).collect()
    };
    format!(
        "<text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
        x + 2.0,
        y + ROW - 5.0,
        escaped(&shown)
    )
}

/// A warm colour, the same for the same name.
fn colour(name: &str) -> String {
    let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    let (green, blue) = (120 + (hash >> 8) % 100, 60 + (hash >> 16) % 60);
    format!("rgb({},{green},{blue})", 225 + hash % 30)
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            c => safe.push(c),
        }
    }
    safe
}
