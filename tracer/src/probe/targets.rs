//! The table of targets, as this side keeps it: which process has a place of its own.

use std::{
    collections::BTreeMap,
    io,
    time::{Duration, Instant},
};

use aya::{
    Ebpf,
    maps::{Array, HashMap, MapData, MapError},
};
use tracer_ebpf::{Layout, TARGET_PLACES, Target};

use super::{error::ProbeError, load::take};
use crate::units::Pid;

/// How long a place rests before it is given again: far longer than a program runs that may still
/// hold a pointer to it.
const REST: Duration = Duration::from_secs(1);

/// No process has this id.
const NOBODY: Pid = Pid(0);

/// The table.
pub(super) struct Targets {
    placed: Array<MapData, Value>,
    owners: Array<MapData, u32>,
    others: HashMap<MapData, u32, Value>,
    places: BTreeMap<u32, Place>,
    /// Whether the programs look for places.
    gives_places: bool,
}

/// A place that was given once.
enum Place {
    Of(Pid),
    FreeSince(Instant),
}

/// [`Target`] as aya's maps want it.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Value(Target);

#[expect(unsafe_code, reason = "aya's marker for plain data")]
// SAFETY: `Target` is `repr(C)` of integers only, without padding (zerocopy's `IntoBytes`
// is derived for it, which refuses padding).
unsafe impl aya::Pod for Value {}

impl Targets {
    /// Takes its maps out of what was loaded for this layout.
    pub fn take(ebpf: &mut Ebpf, layout: &Layout) -> Result<Self, ProbeError> {
        Ok(Self {
            placed: take(ebpf, "TARGETS_PLACED", Array::try_from)?,
            owners: take(ebpf, "OWNERS", Array::try_from)?,
            others: take(ebpf, "TARGETS", HashMap::try_from)?,
            places: BTreeMap::new(),
            gives_places: layout.direct != 0,
        })
    }

    /// Adds a process, or begins anew with it.
    pub fn add(&mut self, pid: Pid, target: Target) -> Result<(), MapError> {
        self.remove(pid);
        let place = place(pid);
        if !self.gives_places || !self.is_free(place) {
            return self.others.insert(pid.0, Value(target), 0);
        }
        self.placed.set(place, Value(target), 0)?;
        // The programs look here first: what they find then is whole.
        self.owners.set(place, pid.0, 0)?;
        self.places.insert(place, Place::Of(pid));
        Ok(())
    }

    /// What the kernel side keeps of a process.
    pub fn get(&self, pid: Pid) -> Result<Target, MapError> {
        let place = place(pid);
        let Value(target) = if self.owners.get(&place, 0)? == pid.0 {
            self.placed.get(&place, 0)?
        } else {
            self.others.get(&pid.0, 0)?
        };
        Ok(target)
    }

    /// Removes a process, which may have removed itself by ending.
    pub fn remove(&mut self, pid: Pid) {
        let place = place(pid);
        if let Some(Place::Of(owner)) = self.places.get(&place)
            && *owner == pid
        {
            let _ = self.owners.set(place, NOBODY.0, 0);
            self.places.insert(place, Place::FreeSince(Instant::now()));
        }
        let _ = self.others.remove(&pid.0);
    }

    /// Whether this process has the right to change it.
    pub fn can_be_changed(&mut self) -> bool {
        // There is nothing to be removed, which only one without the right is not told.
        match self.others.remove(&NOBODY.0) {
            Err(MapError::SyscallError(error)) => {
                error.io_error.kind() != io::ErrorKind::PermissionDenied
            }
            _ => true,
        }
    }

    fn is_free(&self, place: u32) -> bool {
        match self.places.get(&place) {
            None => true,
            Some(Place::Of(_)) => false,
            Some(Place::FreeSince(left)) => left.elapsed() >= REST,
        }
    }
}

const fn place(pid: Pid) -> u32 {
    pid.0 % TARGET_PLACES
}
