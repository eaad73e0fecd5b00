//! The system call `bpf` in the little that is needed of it (`include/uapi/linux/bpf.h`).
#![expect(unsafe_code, reason = "loads and attaches programs")]

use std::ffi::{CStr, c_long};
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

const PROG_LOAD: c_long = 5;
const RAW_TRACEPOINT_OPEN: c_long = 17;
const PROG_TYPE_RAW_TRACEPOINT: u32 = 17;

/// `r0 = 0`, `exit`.
const NOTHING: [u64; 2] = [0xb7, 0x95];

/// The head of `union bpf_attr` for `BPF_PROG_LOAD`.
#[repr(C)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    rest: [u64; 12],
}

/// The head of `union bpf_attr` for `BPF_RAW_TRACEPOINT_OPEN`.
#[repr(C)]
struct Open {
    name: u64,
    program: u32,
    padding: u32,
    rest: [u64; 12],
}

/// Attaches both programs; they are detached with what this returns.
pub fn attach() -> io::Result<[OwnedFd; 2]> {
    let program = load()?;
    Ok([open(c"sys_enter", &program)?, open(c"sys_exit", &program)?])
}

fn load() -> io::Result<OwnedFd> {
    let attributes = Load {
        kind: PROG_TYPE_RAW_TRACEPOINT,
        count: 2,
        instructions: NOTHING.as_ptr().addr() as u64,
        license: c"GPL".as_ptr().addr() as u64,
        rest: [0; 12],
    };
    bpf(PROG_LOAD, &attributes)
}

fn open(tracepoint: &CStr, program: &OwnedFd) -> io::Result<OwnedFd> {
    let attributes = Open {
        name: tracepoint.as_ptr().addr() as u64,
        program: program.as_raw_fd().cast_unsigned(),
        padding: 0,
        rest: [0; 12],
    };
    bpf(RAW_TRACEPOINT_OPEN, &attributes)
}

fn bpf<T>(command: c_long, attributes: &T) -> io::Result<OwnedFd> {
    // SAFETY: the kernel reads as many bytes of `attributes` as it is told; what they point to
    // lives until the call returns.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, command, attributes, size_of::<T>()) };
    let fd = i32::try_from(fd).unwrap_or(-1);
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call returned a new descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
