//! One link for many functions of a file (`uprobe_multi`, Linux 6.6 and newer): programs of the
//! object in, links out.
//!
//! Without it each function takes a perf event of its own, and the kernel a tenth of a second to
//! take each away, one after the other. aya knows no such links, so the programs are loaded and
//! linked here.

use std::{
    collections::{HashMap, HashSet},
    ffi::CString,
    io,
    os::{
        fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd, RawFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

use anyhow::{Context as _, Result, bail};
use aya::{
    Ebpf,
    maps::{Map, MapData},
};
use aya_obj::{Function, Object};

use crate::units::Pid;

// `enum bpf_cmd`, `enum bpf_prog_type` and `enum bpf_attach_type` of `linux/bpf.h`.
const PROG_LOAD: libc::c_long = 5;
const LINK_CREATE: libc::c_long = 28;
const KPROBE: u32 = 2;
const UPROBE_MULTI: u32 = 48;
/// `BPF_F_UPROBE_MULTI_RETURN`.
const AT_RETURN: u32 = 1;

/// Programs that many functions can be linked to at a time.
pub(super) struct Multi {
    programs: HashMap<&'static str, OwnedFd>,
}

/// The part of `union bpf_attr` that `BPF_PROG_LOAD` reads.
#[repr(C)]
#[derive(Default)]
struct Load {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
    prog_ifindex: u32,
    expected_attach_type: u32,
}

/// The part of `union bpf_attr` that `BPF_LINK_CREATE` reads for such links.
#[repr(C)]
#[derive(Default)]
struct Link {
    prog_fd: u32,
    target_fd: u32,
    attach_type: u32,
    flags: u32,
    path: u64,
    offsets: u64,
    ref_ctr_offsets: u64,
    cookies: u64,
    cnt: u32,
    multi_flags: u32,
    pid: u32,
    _padding: u32,
}

impl Multi {
    /// Loads programs of `object`, which use the maps of `ebpf`.
    ///
    /// # Errors
    /// This kernel has no such links, or none that tell processes apart.
    pub fn load(
        ebpf: &Ebpf,
        object: &[u8],
        names: impl IntoIterator<Item = &'static str>,
    ) -> Result<Self> {
        let mut object = Object::parse(object)?;
        let sections: HashSet<usize> = object.functions.keys().map(|(index, _)| *index).collect();
        // Those that are not plain have their maps in other objects.
        let maps: Vec<(&str, &MapData)> = ebpf
            .maps()
            .filter_map(|(name, map)| Some((name, data(map)?)))
            .collect();
        let places = maps.iter().map(|(name, data)| {
            let known = object.maps.get(*name).cloned();
            (*name, data.fd().as_fd().as_raw_fd(), known)
        });
        let places: Vec<(&str, RawFd, _)> = places
            .filter_map(|(name, fd, known)| Some((name, fd, known?)))
            .collect();
        object.relocate_maps(
            places.iter().map(|(name, fd, map)| (*name, *fd, map)),
            &sections,
        )?;
        object.relocate_calls(&sections)?;
        let mut programs = HashMap::new();
        for name in names {
            let program = object.programs.get(name).context("a program is missing")?;
            let function = object
                .functions
                .get(&program.function_key())
                .context("a program has no code")?;
            let fd = load(name, function).with_context(|| format!("loading `{name}`"))?;
            programs.insert(name, fd);
        }
        let multi = Self { programs };
        multi.check()?;
        Ok(multi)
    }

    /// Whether such links are what is needed, by how the kernel refuses two that cannot be: those
    /// of a folder, if it knows such links; those of a process that cannot be, if it tells
    /// processes apart (the first ones told threads apart instead).
    fn check(&self) -> Result<()> {
        let fd = self.programs.values().next().context("there is none")?;
        let folder = Path::new("/");
        for (pid, errno) in [(0, libc::EBADF), (u32::MAX, libc::EINVAL)] {
            match link(fd, pid, folder, &[0], 0) {
                Err(error) if error.raw_os_error() == Some(errno) => {}
                Err(error) => bail!("this kernel has none that can be used: {error}"),
                Ok(_) => bail!("this kernel links what cannot be"),
            }
        }
        Ok(())
    }

    /// Links a program to functions of a file in one process.
    ///
    /// # Errors
    /// The kernel's.
    pub fn attach(
        &self,
        name: &str,
        pid: Pid,
        path: &Path,
        offsets: &[u64],
        at_return: bool,
    ) -> io::Result<OwnedFd> {
        let fd = self.programs.get(name);
        let fd = fd.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        link(
            fd,
            pid.0,
            path,
            offsets,
            if at_return { AT_RETURN } else { 0 },
        )
    }
}

fn load(name: &str, function: &Function) -> io::Result<OwnedFd> {
    let code = &function.instructions;
    let mut attr = Load {
        prog_type: KPROBE,
        insn_cnt: u32::try_from(code.len()).unwrap_or_default(),
        insns: code.as_ptr().addr() as u64,
        license: c"Dual MIT/GPL".as_ptr().addr() as u64,
        expected_attach_type: UPROBE_MULTI,
        ..Load::default()
    };
    // The last byte stays zero.
    for (to, from) in attr.prog_name[..15].iter_mut().zip(name.bytes()) {
        *to = from;
    }
    bpf(PROG_LOAD, &attr)
}

fn link(
    program: &OwnedFd,
    pid: u32,
    path: &Path,
    offsets: &[u64],
    multi_flags: u32,
) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let attr = Link {
        prog_fd: program.as_raw_fd().cast_unsigned(),
        attach_type: UPROBE_MULTI,
        path: path.as_ptr().addr() as u64,
        offsets: offsets.as_ptr().addr() as u64,
        cnt: u32::try_from(offsets.len()).unwrap_or_default(),
        multi_flags,
        pid,
        ..Link::default()
    };
    bpf(LINK_CREATE, &attr)
}

/// `bpf(2)` of a command that makes a descriptor.
#[expect(unsafe_code, reason = "aya has no call for such links")]
fn bpf<A>(command: libc::c_long, attr: &A) -> io::Result<OwnedFd> {
    // SAFETY: `attr` begins with the members that the command reads, all of them are integers, and
    // the addresses among them are of what the callers own beyond the call, as long as they say.
    let made = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_ref(attr),
            size_of::<A>(),
        )
    };
    let made = RawFd::try_from(made).unwrap_or(-1);
    if made < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made it, for nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(made) })
}

/// The map itself, of the kinds that the object has.
const fn data(map: &Map) -> Option<&MapData> {
    match map {
        Map::Array(data)
        | Map::HashMap(data)
        | Map::LruHashMap(data)
        | Map::PerCpuArray(data)
        | Map::RingBuf(data) => Some(data),
        _ => None,
    }
}
