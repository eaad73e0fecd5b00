//! The kernel's word: an address space at a moment, the programs and tables it has loaded.
//!
//! Read here without the tracer's own code, so that an error there cannot hide itself.

use std::{collections::BTreeSet, fmt, fs, str::FromStr};

use aya::{
    maps::{Array, HashMap, Map, MapData, MapType, loaded_maps},
    programs::loaded_programs,
};
use nix::sys::signal::{Signal, kill};
use tracer_ebpf::{InFlight, TARGET_PLACES, THREAD_PLACES, Target};

use super::{process::raw, wait_for};

/// A process that stands still; goes on when this is dropped.
pub struct Stopped(u32);

impl Stopped {
    /// Stops a process and waits until each of its threads stands.
    pub fn new(pid: u32) -> Self {
        kill(raw(pid), Signal::SIGSTOP).expect("the target runs");
        let stopped = Self(pid);
        wait_for("all threads to stand still", || {
            let states = states(pid);
            (!states.is_empty() && states.iter().all(|state| *state == 'T')).then_some(())
        });
        stopped
    }

    pub fn picture(&self) -> Picture {
        Picture::of(self.0).expect("it exists")
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = kill(raw(self.0), Signal::SIGCONT);
    }
}

/// An address space at a moment.
#[derive(PartialEq)]
pub struct Picture {
    pub lines: Vec<Line>,
    /// Bytes.
    pub vm_size: u64,
    /// Bytes.
    pub vm_peak: u64,
}

impl Picture {
    /// None if the process is gone or has no address space any more.
    pub fn of(pid: u32) -> Option<Self> {
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
        if maps.is_empty() {
            return None;
        }
        Some(Self {
            lines: join(maps.lines().map(parse)),
            vm_size: vm_size(pid),
            vm_peak: status(pid, "VmPeak:"),
        })
    }
}

/// A stretch of equal permissions and backing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    pub start: u64,
    pub end: u64,
    pub perms: String,
    pub backing: String,
}

impl Line {
    /// `name` as in `/proc/<pid>/maps`. The heap, the main stack and named memory are
    /// anonymous: the kernel splits and merges them by rules of its own.
    pub fn new(start: u64, end: u64, perms: &str, name: &str) -> Self {
        let anonymous = matches!(name, "" | "[heap]" | "[stack]") || name.starts_with("[anon:");
        let backing = if anonymous { "anonymous" } else { name };
        Self {
            start,
            end,
            perms: perms.to_owned(),
            backing: backing.to_owned(),
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            start,
            end,
            perms,
            backing,
        } = self;
        write!(f, "{start:x}-{end:x} {perms} {backing}")
    }
}

/// Joins neighbours that differ in nothing but their place. `[vsyscall]` is left out: it is no
/// part of the address space, and VmSize does not count it.
pub fn join(lines: impl IntoIterator<Item = Line>) -> Vec<Line> {
    let mut joined: Vec<Line> = Vec::new();
    for line in lines
        .into_iter()
        .filter(|line| line.backing != "[vsyscall]")
    {
        match joined.last_mut() {
            Some(last)
                if last.end == line.start
                    && last.perms == line.perms
                    && last.backing == line.backing =>
            {
                last.end = line.end;
            }
            _ => joined.push(line),
        }
    }
    joined
}

/// `start-end perms offset device inode   name`
fn parse(line: &str) -> Line {
    let fields: Vec<&str> = line.splitn(6, ' ').collect();
    let [range, perms, _, _, _, rest @ ..] = fields.as_slice() else {
        panic!("no line of maps: {line}");
    };
    let (start, end) = range.split_once('-').expect("a range");
    let address = |text| u64::from_str_radix(text, 16).expect("hexadecimal");
    let name = rest.first().map_or("", |name| name.trim_start());
    Line::new(address(start), address(end), perms, name)
}

/// VmSize, bytes.
pub fn vm_size(pid: u32) -> u64 {
    status(pid, "VmSize:")
}

fn status(pid: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it exists");
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or_else(|| panic!("no {field} in {status}")) << 10
}

/// The state of each thread, as in `/proc/<pid>/stat`.
pub fn states(pid: u32) -> Vec<char> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    let stats = tasks
        .flatten()
        .map(|task| fs::read_to_string(task.path().join("stat")));
    // Behind the name, which may contain anything, spaces and parentheses too.
    stats
        .flatten()
        .filter_map(|stat| stat.rsplit_once(") ")?.1.chars().next())
        .collect()
}

/// Whether the kernel side of some tracer has a process in its table of whom to observe.
pub fn is_target(pid: u32) -> bool {
    const WORDS: usize = size_of::<Target>() / size_of::<u64>();
    has_a_place(pid)
        || hash_tables(size_of::<u32>(), size_of::<Target>()).any(|table| {
            let table = HashMap::<_, u32, [u64; WORDS]>::try_from(Map::HashMap(table));
            table.is_ok_and(|table| table.get(&pid, 0).is_ok())
        })
}

/// The same, in the table of places.
fn has_a_place(pid: u32) -> bool {
    let mut owners = arrays(size_of::<u32>(), TARGET_PLACES);
    owners.any(|table| {
        let table = Array::<_, u32>::try_from(Map::Array(table));
        table.is_ok_and(|table| table.get(&(pid % TARGET_PLACES), 0).ok() == Some(pid))
    })
}

/// How many calls of threads of a process the kernel side of some tracer keeps, from their entry to
/// the end of the thread.
pub fn calls_kept_of(pid: u32) -> usize {
    const WORDS: usize = size_of::<InFlight>() / size_of::<u64>();
    let is_its = |id: u64| (id >> 32) as u32 == pid;
    let placed = arrays(size_of::<u64>(), THREAD_PLACES).filter_map(|table| {
        let owners = Array::<_, u64>::try_from(Map::Array(table)).ok()?;
        Some(owners.iter().flatten().filter(|id| is_its(*id)).count())
    });
    let others = hash_tables(size_of::<u64>(), size_of::<InFlight>()).filter_map(|table| {
        let table = HashMap::<_, u64, [u64; WORDS]>::try_from(Map::HashMap(table)).ok()?;
        Some(table.keys().flatten().filter(|id| is_its(*id)).count())
    });
    placed.sum::<usize>() + others.sum::<usize>()
}

/// Maps by their shape: aya names no map where the kernel's version has two numbers only
/// (7.3-cloud).
fn hash_tables(key: usize, value: usize) -> impl Iterator<Item = MapData> {
    let maps = loaded_maps().flatten().filter(move |map| {
        matches!(map.map_type(), Ok(MapType::Hash))
            && map.key_size() as usize == key
            && map.value_size() as usize == value
    });
    maps.filter_map(|map| MapData::from_id(map.id()).ok())
}

/// Likewise.
fn arrays(value: usize, length: u32) -> impl Iterator<Item = MapData> {
    let maps = loaded_maps().flatten().filter(move |map| {
        matches!(map.map_type(), Ok(MapType::Array))
            && map.value_size() as usize == value
            && map.max_entries() == length
    });
    maps.filter_map(|map| MapData::from_id(map.id()).ok())
}

/// How often a process has gone to sleep, if it sleeps now.
pub fn sleeps(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name| {
        let mut lines = status.lines();
        lines.find_map(|line| Some(line.strip_prefix(name)?.trim()))
    };
    let count = field("voluntary_ctxt_switches:")?.parse().ok()?;
    field("State:")?.starts_with('S').then_some(count)
}

/// The BPF programs in the kernel, by id.
pub fn bpf_programs() -> BTreeSet<u32> {
    loaded_programs()
        .flatten()
        .map(|program| program.id())
        .collect()
}

/// The BPF programs that a process holds, by id.
pub fn bpf_programs_of(pid: u32) -> BTreeSet<u32> {
    of_descriptors(pid, "prog_id:").collect()
}

/// Bytes of the kernel's memory that the BPF programs and maps of a process take.
pub fn bpf_memory_of(pid: u32) -> u64 {
    of_descriptors::<u64>(pid, "memlock:").sum()
}

/// A field of what the kernel tells of each open file, where it tells it.
fn of_descriptors<T: FromStr>(pid: u32, field: &str) -> impl Iterator<Item = T> {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fdinfo")).expect("it exists");
    let infos = descriptors.flatten();
    let infos = infos.filter_map(|entry| fs::read_to_string(entry.path()).ok());
    infos.filter_map(move |info| {
        let value = info.lines().find_map(|line| line.strip_prefix(field))?;
        value.trim().parse().ok()
    })
}
