//! What this host allows, on standard output or in a file.

use std::io;

use anyhow::{Context as _, anyhow};

use super::{Failure, failed, output::Destination, style};
use crate::{
    cli::{
        Exit,
        intent::{Doctor, Format},
    },
    diagnosis::{Diagnosis, Outlook},
    host::{kernel, survey},
    probe::{self, Trial},
    view::{self, Style},
};

/// Finds it out and tells.
pub fn doctor(wanted: &Doctor) -> Result<(), Failure> {
    let destination = Destination::open(&wanted.output).map_err(failed)?;
    let Trial { facts, programs } = probe::try_out();
    let facts = survey::facts().into_iter().chain(facts).collect();
    let (release, architecture) = (kernel::release_name(), std::env::consts::ARCH);
    let diagnosis = Diagnosis::new(release, architecture, facts, programs);
    let document = match wanted.format {
        Format::Json => {
            let mut document = Vec::new();
            view::doctor::json::write(&diagnosis, &mut document)
                .context("cannot make JSON")
                .map_err(failed)?;
            document
        }
        Format::Text => {
            let style = if destination.is_file() {
                Style::default()
            } else {
                style(wanted.color, &io::stdout())
            };
            view::doctor::render(&diagnosis, style).into_bytes()
        }
    };
    destination.write(&document).map_err(failed)?;
    match diagnosis.outlook() {
        Outlook::Possible => Ok(()),
        Outlook::NotPermitted => {
            let way_out = crate::host::privilege::way_out();
            let error = anyhow!("tracing is not permitted. {way_out}");
            Err((Exit::NotPermitted, error))
        }
        Outlook::Unsupported => {
            let error = anyhow!("tracing is not possible here: see above what is missing");
            Err((Exit::Unsupported, error))
        }
    }
}
