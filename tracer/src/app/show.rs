//! A report and how the user wants it in, a document where the user wants it out.

use std::io;

use anyhow::{Context as _, Result};

use super::{Failure, failed, output::Destination, style};
use crate::{
    cli::intent::{Format, Output, Verbosity, View},
    report::Report,
    view::{self, Style},
};

/// Writes the report.
pub fn write(report: &Report, view: &View, destination: Destination) -> Result<(), Failure> {
    let style = if destination.is_file() {
        Style::new(false, Style::WIDEST)
    } else {
        style(view.color, &io::stdout())
    };
    let document = render(report, view, style).map_err(failed)?;
    destination.write(&document).map_err(failed)
}

fn render(report: &Report, view: &View, style: Style) -> Result<Vec<u8>> {
    match view.format {
        Format::Json => {
            let layout = if view.events && view.output == Output::Standard {
                view::json::Layout::Line
            } else {
                view::json::Layout::Pretty
            };
            let mut document = Vec::new();
            view::json::write(report, layout, &mut document).context("cannot make JSON")?;
            Ok(document)
        }
        Format::Text => {
            let detail = if view.verbosity >= Verbosity::Verbose {
                view::text::Detail::Everything
            } else {
                view::text::Detail::Summary
            };
            Ok(view::text::render(report, style, detail).into_bytes())
        }
    }
}
