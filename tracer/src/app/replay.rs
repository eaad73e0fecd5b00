//! A recorded run, explained.

use std::{
    fs::File,
    io::{self, BufReader, ErrorKind, Read},
    path::Path,
};

use anyhow::{Result, anyhow, bail};

use super::{Failure, exit_of, failed, refuse_empty, screen::Screen, show, style};
use crate::{
    cli::{
        Exit,
        intent::{Report, Source},
    },
    recording::{Damage, Ending, Replay},
    session,
};

/// Makes the report of a recording, as far as it is sound.
pub fn report(wanted: &Report) -> Result<(), Failure> {
    let name = match &wanted.source {
        Source::Standard => "standard input".to_owned(),
        Source::File(path) => path.display().to_string(),
    };
    let unreadable = |error| (Exit::NoRecording, error);
    let source: Box<dyn Read> = match &wanted.source {
        Source::Standard => Box::new(io::stdin().lock()),
        Source::File(path) => Box::new(BufReader::new(open(path).map_err(unreadable)?)),
    };
    let mut replay = Replay::open(source)
        .map_err(|error| unreadable(anyhow::Error::new(error).context(name.clone())))?;
    let destinations = show::Destinations::open(&wanted.view).map_err(failed)?;
    let mut screen = Screen::replay(&wanted.view, style(wanted.view.color, &io::stdout()));
    let outcome = session::run(&mut replay, &mut screen);
    let damage = match replay.ending() {
        Ending::Damaged(damage) => Some(damage.clone()),
        Ending::Whole | Ending::Stopped(_) => None,
    };
    let written = outcome.map_err(exit_of).and_then(|report| {
        refuse_empty(&report)?;
        show::write(&report, &wanted.view, destinations)
    });
    match damage {
        None => written,
        Some(damage) => Err(damaged(&name, &damage, &written)),
    }
}

fn open(path: &Path) -> Result<File> {
    let name = path.display();
    let file = File::open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => anyhow!("there is no file {name}"),
        ErrorKind::PermissionDenied => anyhow!(
            "{name} may not be read: a recording is its owner's, who is root if it was made by root"
        ),
        _ => anyhow!("cannot open {name}: {error}"),
    })?;
    if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        bail!("{name} is a directory");
    }
    Ok(file)
}

/// What is said of a damaged recording, whatever could be written of it.
fn damaged(name: &str, damage: &Damage, written: &Result<(), Failure>) -> Failure {
    match written {
        Ok(()) => {
            let error = anyhow!("{name}: {damage}. The summary is of what comes before");
            (Exit::Damaged, error)
        }
        Err((Exit::Failed, error)) => failed(anyhow!("{error:#}")),
        Err(_) => {
            let error = anyhow!("{name}: {damage}. Nothing can be told of what comes before");
            (Exit::Damaged, error)
        }
    }
}
