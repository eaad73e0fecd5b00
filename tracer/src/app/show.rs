//! A report and how the user wants it in, a document where the user wants it out.

use std::{io, path::PathBuf};

use anyhow::{Context as _, Result};

use super::{Failure, failed, output::Destination, style};
use crate::{
    cli::intent::{self, Format, Output, Profiles, Verbosity, View},
    report::Report,
    view::{
        self, Style,
        profile::{self, Measure},
    },
};

/// Where the summary and the profiles go, all of them open before anything runs.
pub struct Destinations {
    summary: Destination,
    profiles: Vec<(Kind, Destination)>,
}

#[derive(Clone, Copy)]
enum Kind {
    Folded,
    FlameGraph,
    Pprof,
}

impl Destinations {
    /// Makes sure that all can be written.
    ///
    /// # Errors
    /// One cannot.
    pub fn open(view: &View) -> Result<Self> {
        let Profiles {
            folded,
            flamegraph,
            pprof,
            measure: _,
        } = &view.profiles;
        let wanted = [
            (Kind::Folded, folded),
            (Kind::FlameGraph, flamegraph),
            (Kind::Pprof, pprof),
        ];
        let open = |(kind, path): (Kind, &Option<PathBuf>)| {
            let path = path.clone()?;
            Some(Destination::open(&Output::File(path)).map(|destination| (kind, destination)))
        };
        Ok(Self {
            summary: Destination::open(&view.output)?,
            profiles: wanted.into_iter().filter_map(open).collect::<Result<_>>()?,
        })
    }

    /// Whether putting a file into its place needs rights over the folder of another user.
    pub fn are_elsewhere(&self) -> bool {
        let profiles = self.profiles.iter().map(|(_, destination)| destination);
        profiles
            .chain([&self.summary])
            .any(Destination::is_elsewhere)
    }
}

/// Writes the report, and the profiles before it.
pub fn write(report: &Report, view: &View, destinations: Destinations) -> Result<(), Failure> {
    let measure = match view.profiles.measure {
        intent::Measure::Mapped => Measure::Mapped,
        intent::Measure::StillMapped => Measure::StillMapped,
        intent::Measure::Retained => Measure::Retained,
        intent::Measure::Released => Measure::Released,
        intent::Measure::Purged => Measure::Purged,
    };
    for (kind, destination) in destinations.profiles {
        let document = match kind {
            Kind::Folded => profile::folded::render(report, measure).into_bytes(),
            Kind::FlameGraph => profile::flamegraph::render(report, measure).into_bytes(),
            Kind::Pprof => profile::pprof::render(report)
                .context("cannot make a profile")
                .map_err(failed)?,
        };
        destination.write(&document).map_err(failed)?;
    }
    let destination = destinations.summary;
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
            Ok(view::text::render_with(report, style, detail, view.stacks).into_bytes())
        }
    }
}
