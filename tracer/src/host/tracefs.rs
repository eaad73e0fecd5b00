//! The file system that tells which tracepoints there are.

use std::path::Path;

use anyhow::{Context as _, Result};
use nix::mount::{MsFlags, mount};

const PLACES: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// Mounts it where it belongs if it is not mounted. (Nothing is unmounted at the end: it
/// is where every tracing tool expects it.)
///
/// # Errors
/// It is not mounted and cannot be.
pub fn ensure_mounted() -> Result<()> {
    if mounted().is_some() {
        return Ok(());
    }
    mount(
        Some("tracefs"),
        PLACES[0],
        Some("tracefs"),
        MsFlags::empty(),
        None::<&str>,
    )
    .with_context(|| {
        format!(
            "tracefs is not mounted (or may not be read) and mounting it failed: as root run \
                 `mount -t tracefs tracefs {}`",
            PLACES[0]
        )
    })
}

/// Whether this kernel has a tracepoint.
#[must_use]
pub fn has_event(category: &str, name: &str) -> bool {
    mounted().is_some_and(|root| root.join("events").join(category).join(name).exists())
}

fn mounted() -> Option<&'static Path> {
    PLACES
        .into_iter()
        .map(Path::new)
        .find(|place| place.join("events").is_dir())
}
