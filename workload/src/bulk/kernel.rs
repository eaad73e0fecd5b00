//! The calls themselves: numbers in, what the kernel returns out.
#![expect(unsafe_code, reason = "maps memory, forks")]

use std::ffi::c_void;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::{fs, io, ptr};

const PAGE: usize = 4096;
const ACCESS: i32 = libc::PROT_READ | libc::PROT_WRITE;
const FLAGS: i32 = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;

/// Calls that [`gust`] makes.
pub const CALLS_PER_GUST: u32 = 5;

/// Maps, protects, advises and unmaps a few pages.
pub fn gust() {
    const PAGES: usize = 8;
    // SAFETY: a new mapping, which nobody else knows and which is gone in the end.
    unsafe {
        let Ok(block) = map(PAGES) else {
            return;
        };
        libc::mprotect(block.byte_add(PAGE), PAGE, libc::PROT_NONE);
        libc::madvise(block, PAGE, libc::MADV_DONTNEED);
        libc::munmap(block.byte_add(3 * PAGE), PAGE);
        libc::munmap(block, PAGES * PAGE);
    }
}

/// Waits for the end of the process.
pub fn park() -> ! {
    loop {
        // SAFETY: only waits.
        unsafe { libc::pause() };
    }
}

/// Maps until the process has so many mappings; returns how many it has. Neighbours differ in
/// what they permit, so that the kernel cannot join them.
pub fn scatter(count: usize) -> io::Result<usize> {
    let lines = || Ok(fs::read_to_string("/proc/self/maps")?.lines().count());
    let first: usize = lines()?;
    let wanted = count.saturating_sub(first);
    if wanted < 3 {
        return Ok(first);
    }
    // SAFETY: a new mapping, whose pages nobody uses.
    unsafe {
        let block = map(wanted)?;
        for index in (1..wanted).step_by(2) {
            if libc::mprotect(block.byte_add(index * PAGE), PAGE, libc::PROT_READ) != 0 {
                return Err(io::Error::last_os_error());
            }
        }
    }
    lines()
}

/// Reserves address space that is never used.
pub fn reserve(bytes: usize) -> io::Result<()> {
    map(bytes / PAGE).map(drop)
}

/// Takes memory for good, and touches the beginning of it.
pub fn take(bytes: usize, touched: usize) -> io::Result<()> {
    let block = map(bytes / PAGE)?;
    for offset in (0..touched.min(bytes)).step_by(PAGE) {
        // SAFETY: within the mapping just made, which only this function knows.
        unsafe { block.cast::<u8>().add(offset).write_volatile(1) };
    }
    Ok(())
}

/// Executes this program anew, to make as many gusts; returns why it could not.
pub fn execute_anew(gusts: u32) -> io::Error {
    Command::new("/proc/self/exe")
        .args(["calls", "--gusts", &gusts.to_string()])
        .exec()
}

/// Forks a child that sleeps until this thread ends; returns its id.
pub fn child() -> io::Result<libc::pid_t> {
    child_that(|| ())
}

/// Forks a child that does something until this thread ends; returns its id.
pub fn child_that(life: impl FnOnce()) -> io::Result<libc::pid_t> {
    // SAFETY: this is the only thread, so the child finds every lock free.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            // SAFETY: takes numbers only.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            life();
            park()
        }
        child => Ok(child),
    }
}

fn map(pages: usize) -> io::Result<*mut c_void> {
    // SAFETY: a new mapping at an address of the kernel's choice.
    let block = unsafe { libc::mmap(ptr::null_mut(), pages * PAGE, ACCESS, FLAGS, -1, 0) };
    if block == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    Ok(block)
}
