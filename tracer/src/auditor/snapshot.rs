//! A process at a moment: its map and what is in memory in, an explanation out.
//!
//! The same attribution as for traced processes, given no call: owners are told by names and looks.

use crate::{
    attribute::{
        self,
        evidence::{CallSite, Doubt, Evidence, Module, Resident, Settings, Trend},
        explanation::Explanation,
    },
    audit::{
        roll::Depth,
        sample::{Rollup, Who},
    },
    host::{clock, crowd, maps},
    space::{
        Space,
        piece::{Backing, Provenance},
    },
    units::{Bytes, PageSize, Pid},
};

use super::files::Files;

/// What was read and what follows from it.
pub struct Snapshot {
    /// What its address space consists of.
    pub explanation: Explanation,
    /// The sum of what is in memory; `None` if it may not be read.
    pub rollup: Option<Rollup>,
    /// Mappings.
    pub vmas: u64,
}

/// Reads a process.
///
/// # Errors
/// It is gone, or may not be read.
pub fn take(
    pid: Pid,
    depth: Depth,
    who: &Who,
    settings: &Settings,
    page: PageSize,
    files: &mut Files,
) -> anyhow::Result<Snapshot> {
    let vmas = maps::read_maps(pid)?;
    anyhow::ensure!(
        !vmas.is_empty(),
        "process {pid} has no address space: it has ended"
    );
    let count = vmas.len() as u64;
    let mut space = Space::new(page);
    let now = clock::now();
    let _ = space.adopt(&vmas, Provenance::PreExisting, now);
    drop(vmas);
    let residency = match depth {
        Depth::Map => None,
        Depth::Residency => maps::read_residency(pid).ok(),
    };
    let rollup = match &residency {
        Some(residency) => Some(sum(residency)),
        None => crowd::rollup(pid).ok(),
    };
    let modules = modules(&space, pid, who, files);
    let trend = |now: Option<Bytes>| Trend {
        at_attach: now,
        peak: now,
        at_end: now,
    };
    let explanation = attribute::explain(&Evidence {
        sites: &[CallSite::default()],
        modules: &modules,
        settings,
        residency: residency.as_deref(),
        heap: None,
        held: None,
        vm_size: trend(Some(space.vm_size())),
        rss: trend(rollup.map(|rollup| rollup.rss)),
        rss_anon_at_end: rollup.map(|rollup| rollup.anonymous),
        doubt: Doubt::default(),
        pages: None,
        observed: (now, now),
        space: &space,
    });
    Ok(Snapshot {
        explanation,
        rollup,
        vmas: count,
    })
}

fn sum(residency: &[Resident]) -> Rollup {
    let mut rollup = Rollup::default();
    for resident in residency {
        rollup.rss += resident.rss;
        rollup.anonymous += resident.anonymous;
        rollup.lazy_free += resident.lazy_free;
        rollup.swap += resident.swap;
    }
    rollup
}

/// The files that it has mapped code of, with what they tell of allocators.
fn modules(space: &Space, pid: Pid, who: &Who, files: &mut Files) -> Vec<Module> {
    let mut modules: Vec<Module> = Vec::new();
    for (_, piece) in space.pieces().filter(|(_, piece)| piece.prot.exec) {
        let Backing::File { file, .. } = piece.backing else {
            continue;
        };
        let name = space.names().file(file);
        let Some(path) = name.name.clone() else {
            continue;
        };
        if modules.iter().any(|module| module.file == file) {
            continue;
        }
        let told = files.told(pid, name);
        modules.push(Module {
            file,
            is_program: path == who.exe,
            path,
            unreadable: told.unreadable,
            telling_symbols: told.symbols,
            telling_strings: told.strings,
        });
    }
    modules
}
