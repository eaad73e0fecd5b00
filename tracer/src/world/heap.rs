//! The heap view of this host: looks at what a process has mapped, and has its allocators probed.

use std::{
    collections::{HashMap, HashSet},
    fs,
    os::fd::AsRawFd as _,
    path::{Path, PathBuf},
};

use crate::{
    heap::{
        Look, ProbedFile,
        functions::{LIBRARIES, is_loader},
    },
    host::{
        clock, elf,
        exports::{self, Functions},
        maps,
    },
    probe::Probes,
    space::vma::Vma,
    units::{Addr, Nanos, Pid, Span},
};

/// Processes in the heap view, at most: each takes a descriptor for each probed function.
const MOST_PROCESSES: usize = 200;
/// Files of one process that are probed, at most.
const MOST_FILES: usize = 32;
/// Where libraries lie that a command may load.
const FOLDERS: [&str; 7] = [
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
];

/// A file, by its inode and its name: the device in a map is another one than in `stat` on overlay
/// file systems.
type FileKey = (u64, String);

/// What was looked at so far.
#[derive(Debug, Default)]
pub(super) struct HeapView {
    /// What each file has, to be probed.
    known: HashMap<FileKey, Result<Functions, String>>,
    processes: HashMap<Pid, Process>,
    refused: bool,
}

#[derive(Debug, Default)]
struct Process {
    /// Files with probes.
    probed: HashMap<FileKey, Probed>,
    /// Files without anything to be probed.
    plain: HashSet<FileKey>,
    /// To be told at the next look.
    untold: Look,
}

/// A file with probes in one process.
#[derive(Clone, Copy, Debug)]
struct Probed {
    /// Whether it was told of since the process executed its program.
    told: bool,
    /// Whether code of it may have run before.
    late: bool,
    since: Nanos,
}

/// Whether code of a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stands {
    /// It stands still before the code that was mapped last.
    Still,
    /// It runs.
    Not,
}

impl HeapView {
    /// Looks at what a process has mapped, probes what is new, and tells what came since the last
    /// time.
    pub fn look(&mut self, probes: &mut Probes, pid: Pid, stands: Stands) -> Look {
        self.probe(probes, pid, stands);
        let process = self.processes.get_mut(&pid);
        process.map_or_else(Look::default, |process| std::mem::take(&mut process.untold))
    }

    /// Probes what is new in a process, to be told later.
    pub fn probe(&mut self, probes: &mut Probes, pid: Pid, stands: Stands) {
        if !self.admit(probes, pid) {
            return;
        }
        let vmas = maps::read_maps(pid).unwrap_or_default();
        for vma in vmas.iter().filter(|vma| is_code_of_file(vma)) {
            let key = (vma.inode, name_of(&vma.name));
            self.probe_file(probes, pid, &vma.name, key, stands == Stands::Not, true);
        }
    }

    /// Probes files that a command may map later: nothing of it is missed then. Those that it
    /// does not map cost it nothing.
    pub fn probe_ahead(&mut self, probes: &mut Probes, pid: Pid) {
        if !self.admit(probes, pid) {
            return;
        }
        let libraries = probes.attaches_ahead().then(libraries);
        for path in libraries.into_iter().flatten() {
            use std::os::unix::fs::MetadataExt as _;
            if let Ok(metadata) = fs::metadata(&path) {
                let path = path.to_string_lossy();
                let key = (metadata.ino(), name_of(&path));
                self.probe_file(probes, pid, &path, key, false, false);
            }
        }
    }

    fn admit(&mut self, probes: &mut Probes, pid: Pid) -> bool {
        if self.processes.contains_key(&pid) {
            return true;
        }
        if self.processes.len() >= MOST_PROCESSES {
            self.refused = true;
            return false;
        }
        let mut process = Process::default();
        if let Err(error) = probes.add_heap(pid) {
            process.untold.trouble.push(error.to_string());
        }
        self.processes.insert(pid, process);
        true
    }

    fn probe_file(
        &mut self,
        probes: &mut Probes,
        pid: Pid,
        path: &str,
        key: FileKey,
        late: bool,
        mapped: bool,
    ) {
        let Some(process) = self.processes.get_mut(&pid) else {
            return;
        };
        if process.plain.contains(&key) {
            return;
        }
        let known = process.probed.get(&key).copied();
        if known.is_some_and(|known| known.told || !mapped) {
            return;
        }
        let functions = self
            .known
            .entry(key.clone())
            .or_insert_with(|| functions_of(pid, path, key.0));
        let functions = match functions {
            Ok(functions) if functions.is_empty() => {
                process.plain.insert(key);
                return;
            }
            Ok(functions) => functions,
            Err(why) => {
                if mapped {
                    process.untold.trouble.push(format!("{path} {why}"));
                }
                process.plain.insert(key);
                return;
            }
        };
        let probed = if let Some(known) = known {
            known
        } else {
            let attached = if process.probed.len() >= MOST_FILES {
                Err("too many files have functions of allocators".to_owned())
            } else {
                attach(probes, pid, path, key.0, functions)
            };
            if let Err(why) = attached {
                process.untold.trouble.push(format!("{path}: {why}"));
                process.plain.insert(key);
                return;
            }
            let since = clock::now();
            Probed {
                told: false,
                late,
                since,
            }
        };
        if mapped {
            process.untold.files.push(ProbedFile {
                path: path.to_owned(),
                functions: u32::try_from(functions.len()).unwrap_or(u32::MAX),
                late: probed.late,
                since: probed.since,
            });
        }
        let told = mapped;
        process.probed.insert(key, Probed { told, ..probed });
    }

    /// Whether processes were left out because there were too many.
    pub const fn was_full(&self) -> bool {
        self.refused
    }

    /// A process executes another program: it has other files.
    pub fn executed(&mut self, pid: Pid) {
        if let Some(process) = self.processes.get_mut(&pid) {
            let probed = process.probed.values_mut();
            probed.for_each(|probed| probed.told = false);
            process.untold = Look::default();
        }
    }

    /// A process is gone whose sums nobody wants.
    pub fn forget(&mut self, probes: &mut Probes, pid: Pid) {
        self.processes.remove(&pid);
        probes.forget_heap(Some(pid));
    }
}

/// Where the loader of a process that has run nothing yet lies.
pub(super) fn loader(pid: Pid) -> Vec<Span> {
    let exe = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    let vmas = maps::read_maps(pid).unwrap_or_default();
    let code = vmas.iter().filter(|vma| is_code_of_file(vma));
    code.filter(|vma| Path::new(&vma.name) != exe)
        .map(|vma| vma.span)
        .collect()
}

fn is_code_of_file(vma: &Vma) -> bool {
    vma.prot.exec && vma.name.starts_with('/') && vma.span.start > Addr(0)
}

fn name_of(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_owned()
}

fn functions_of(pid: Pid, path: &str, inode: u64) -> Result<Functions, String> {
    if is_loader(path) {
        return Ok(Functions::new());
    }
    let file = elf::open(pid, path, inode)?;
    // What is no object file has no functions.
    Ok(exports::functions(file).unwrap_or_default())
}

fn attach(
    probes: &mut Probes,
    pid: Pid,
    path: &str,
    inode: u64,
    functions: &Functions,
) -> Result<(), String> {
    // The very file that is mapped, whatever has its name by now.
    let file = elf::open(pid, path, inode)?;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    probes
        .attach_heap(pid, Path::new(&path), functions)
        .map_err(|error| error.to_string())
}

/// Libraries of allocators of this host, each once.
fn libraries() -> Vec<PathBuf> {
    let mut found = HashSet::new();
    for folder in FOLDERS {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if LIBRARIES.iter().any(|prefix| name.starts_with(prefix))
                && name.contains(".so.")
                && !name.contains("debug")
                && let Ok(path) = fs::canonicalize(entry.path())
            {
                found.insert(path);
            }
        }
    }
    let mut found: Vec<PathBuf> = found.into_iter().collect();
    found.sort();
    found.truncate(MOST_FILES / 2);
    found
}
