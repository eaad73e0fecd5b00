//! Raw calls: numbers in, what the kernel returns out. The only file of the
//! fuzzer that can touch memory.
#![expect(
    unsafe_code,
    reason = "makes raw system calls, forks, and shares a page between processes"
)]

use std::ffi::{c_int, c_void};
use std::io;
use std::ptr;

use super::ground::PAGE;
use super::tally::{Call, Tally};
use crate::error::Error;

/// A descriptor.
pub type Fd = c_int;

/// What the calls of all threads refer to.
#[derive(Debug)]
pub struct Kit {
    /// Counts calls of this process and its children.
    pub tally: &'static Tally,
    /// A file in memory, [`Kit::FILE_PAGES`] long.
    pub memory: Fd,
    /// The program's own file, read-only.
    pub program: Fd,
    /// Names this process.
    pub itself: Fd,
    /// Children that live on wait for its end, which is the parent's.
    pub life: [Fd; 2],
    /// The lowest end of the heap: what lies below is the C library's.
    pub heap: usize,
}

impl Kit {
    pub const FILE_PAGES: usize = 2048;

    /// Opens and maps everything.
    pub fn new() -> Result<Self, Error> {
        let tally = shared_tally().map_err(|error| Error::Fuzz("map a page", error))?;
        let memory = new_file(Self::FILE_PAGES).map_err(|e| Error::Fuzz("make a file", e))?;
        let program = open_program().map_err(|e| Error::Fuzz("open the program", e))?;
        let mut life = [0; 2];
        // SAFETY: the array has room for two descriptors.
        if unsafe { libc::pipe(life.as_mut_ptr()) } != 0 {
            return Err(Error::Fuzz("make a pipe", io::Error::last_os_error()));
        }
        // SAFETY: takes numbers only. Kernels without it give -1, which makes calls fail.
        let itself = unsafe { libc::syscall(libc::SYS_pidfd_open, libc::getpid(), 0) };
        Ok(Self {
            tally,
            memory,
            program,
            itself: itself as Fd,
            life,
            heap: raised_heap(),
        })
    }

    /// Makes a call and counts it; none if it failed.
    pub fn call(&self, call: Call, arguments: [usize; 6]) -> Option<usize> {
        let [a, b, c, d, e, f] = arguments;
        // SAFETY: the callers' ranges come from a `Ground`: no thread's stack, no code and no
        // value of Rust's lies there. Pointers among the arguments are to live values.
        let result = unsafe { libc::syscall(call.number(), a, b, c, d, e, f) };
        self.tally.count(call, result >= 0);
        usize::try_from(result).ok()
    }

    /// Moves the end of the heap; not below where it was in the beginning.
    pub fn brk(&self, pages: usize) {
        let wanted = self.heap + pages * PAGE;
        // SAFETY: nobody uses what lies above `heap`.
        let end = unsafe { libc::syscall(libc::SYS_brk, wanted) };
        self.tally.count(Call::Brk, end as usize == wanted);
    }

    /// Writes to a page, if it can be written to.
    pub fn touch(&self, address: usize) {
        // SAFETY: the kernel writes a byte to memory that is no value of Rust's, or fails.
        unsafe { libc::pread(self.memory, ptr::without_provenance_mut(address), 1, 0) };
    }
}

fn shared_tally() -> io::Result<&'static Tally> {
    const { assert!(size_of::<Tally>() <= PAGE) }
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping at an address of the kernel's choice.
    let page = unsafe { libc::mmap(ptr::null_mut(), PAGE, access, flags, -1, 0) };
    if page == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    let tally = page.cast::<Tally>();
    // SAFETY: the page is large enough, aligned, writable, and never unmapped; all
    // later access is through shared references to atomics.
    unsafe {
        tally.write(Tally::new());
        Ok(&*tally)
    }
}

/// A file in memory.
pub fn new_file(pages: usize) -> io::Result<Fd> {
    // SAFETY: the name is a string of C.
    let file = unsafe { libc::syscall(libc::SYS_memfd_create, c"fuzz".as_ptr(), 0) } as Fd;
    // SAFETY: takes numbers only.
    if file < 0 || unsafe { libc::ftruncate(file, (pages * PAGE) as libc::off_t) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(file)
}

fn open_program() -> io::Result<Fd> {
    // SAFETY: the path is a string of C.
    match unsafe { libc::open(c"/proc/self/exe".as_ptr(), libc::O_RDONLY) } {
        -1 => Err(io::Error::last_os_error()),
        file => Ok(file),
    }
}

/// Closes a descriptor.
pub fn close(file: Fd) {
    // SAFETY: the callers' own descriptor.
    unsafe { libc::close(file) };
}

/// Raises the heap so far that the C library will not come near: it believes that the
/// heap ends where it left it.
fn raised_heap() -> usize {
    const ROOM: usize = 1 << 20;
    // SAFETY: asks, then grows.
    unsafe {
        let end = libc::syscall(libc::SYS_brk, 0) as usize;
        let raised = end.next_multiple_of(PAGE) + ROOM;
        libc::syscall(libc::SYS_brk, raised);
        raised
    }
}

/// A new segment of shared memory; it goes with its last attachment once [`drop_segment`] was
/// called.
pub fn new_segment(pages: usize) -> Option<usize> {
    // SAFETY: takes numbers only.
    let id = unsafe { libc::shmget(libc::IPC_PRIVATE, pages * PAGE, 0o600) };
    usize::try_from(id).ok()
}

/// Lets a segment go with its last attachment.
pub fn drop_segment(id: usize) {
    // SAFETY: the command takes no buffer.
    unsafe { libc::shmctl(id as c_int, libc::IPC_RMID, ptr::null_mut()) };
}

/// Forks: `Some(0)` in the child, its id in the parent.
pub fn fork() -> Option<libc::pid_t> {
    // SAFETY: the child goes on with this thread alone, allocates nothing, takes no lock that
    // other threads take, and ends with `exit_now` or a signal.
    match unsafe { libc::fork() } {
        -1 => None,
        child => Some(child),
    }
}

/// Runs `body` in a child that borrows this address space, and waits for its end.
pub fn borrow(body: &mut dyn FnMut()) {
    extern "C" fn entry(body: *mut c_void) -> c_int {
        // SAFETY: `borrow` passes this very pointer, and waits.
        let body = unsafe { &mut *body.cast::<&mut dyn FnMut()>() };
        body();
        exit_now()
    }
    const STACK: usize = 64 << 10;
    let mut body = body;
    let mut stack = [const { 0_u8 }; STACK];
    let top = stack.as_mut_ptr_range().end.map_addr(|top| top & !63);
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: this thread sleeps until the child has ended, so stack and body outlive it.
    let child = unsafe { libc::clone(entry, top.cast(), flags, (&raw mut body).cast()) };
    if child > 0 {
        wait_for(child);
    }
}

/// Waits for a child's end.
pub fn wait_for(child: libc::pid_t) {
    // SAFETY: no status is asked for.
    unsafe { libc::waitpid(child, ptr::null_mut(), 0) };
}

/// Waits until the parent is gone, then ends.
pub fn outlive_nobody(kit: &Kit) -> ! {
    close(kit.life[1]);
    let mut byte = 0_u8;
    // SAFETY: room for one byte. The end of the pipe, an error, or a byte that nobody writes:
    // it is over in any case.
    unsafe { libc::read(kit.life[0], (&raw mut byte).cast(), 1) };
    exit_now()
}

/// Ends the process without running anything.
pub fn exit_now() -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(0) }
}

/// This process.
pub fn own_id() -> u32 {
    // Asked of the kernel: `std::process::id` may not be called between fork and exit.
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::getpid() as u32 }
}

/// Does nothing for ever.
pub fn park() -> ! {
    loop {
        // SAFETY: sleeps until a signal is handled, which none is.
        unsafe { libc::pause() };
    }
}

/// Whether a line or the end of input waits on standard input.
pub fn has_input() -> bool {
    let mut input = libc::pollfd {
        fd: 0,
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one descriptor, does not wait.
    unsafe { libc::poll(&raw mut input, 1, 0) > 0 }
}
