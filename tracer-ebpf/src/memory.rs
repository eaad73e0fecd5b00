//! Memory of the kernel and of the user, read: figures, a stack's top, single words.
//!
//! Reads are at offsets that user space resolved from the kernel's BTF; without it nothing is
//! read and figures are zero. What belongs to the running task is loaded directly where the
//! kernel lets programs do that: it turns a load that faults into a zero. All else goes through
//! a helper that fails rather than faults, which costs far more.

use core::{mem::MaybeUninit, ptr};

use aya_ebpf::helpers::{
    bpf_get_current_pid_tgid,
    generated::{
        bpf_get_current_task, bpf_get_current_task_btf, bpf_probe_read_kernel, bpf_probe_read_user,
    },
};
use tracer_ebpf::{Figures, Layout, MM_WINDOW, RSS_WINDOW, STACK_WORDS};

/// Set by user space before the program is loaded; the verifier sees it as constant, so
/// code behind a zero is dead to it and helpers this kernel lacks do no harm there.
#[unsafe(no_mangle)]
pub static LAYOUT: Layout = Layout::UNKNOWN;

/// One field of [`LAYOUT`], as the loader left it.
#[inline(always)]
pub fn field(value: &'static u32) -> u32 {
    // SAFETY: a reference is readable; volatile because the loader replaces the value
    // after the compiler has seen the zeros above.
    unsafe { ptr::read_volatile(value) }
}

/// Whether the running task and what it points to may be loaded from. The verifier sees it as
/// constant.
#[inline(always)]
pub fn loads_directly() -> bool {
    field(&LAYOUT.direct) != 0
}

/// Loads a field behind a pointer whose type the verifier knows; zero if there is nothing.
#[inline(always)]
pub fn load<T: Copy>(base: u64, offset: u32) -> T {
    // SAFETY: the verifier accepts only pointers into structures that it knows, at offsets that
    // it knows; the kernel handles a fault.
    unsafe { ptr::read_volatile((base as *const u8).add(offset as usize).cast()) }
}

/// The task that runs this program.
#[derive(Clone, Copy)]
pub struct Running(u64);

impl Running {
    /// A pointer whose type the verifier knows where loads are direct, else an address.
    #[inline(always)]
    pub fn task() -> Self {
        if !loads_directly() {
            return Self(Task::current().address());
        }
        // SAFETY: the helper takes nothing and cannot fail.
        Self(unsafe { bpf_get_current_task_btf() as u64 })
    }

    /// As such a pointer or address.
    #[inline(always)]
    pub const fn pointer(self) -> u64 {
        self.0
    }

    /// Its thread, and in the upper half its process, as `bpf_get_current_pid_tgid` tells them.
    #[inline(always)]
    pub fn id(self) -> u64 {
        if !loads_directly() {
            return bpf_get_current_pid_tgid();
        }
        let number = |place: &'static u32| u64::from(load::<u32>(self.0, field(place)));
        number(&LAYOUT.task_tgid) << 32 | number(&LAYOUT.task_pid)
    }

    /// The figures of its address space; zero if it has none (any more).
    #[inline(always)]
    pub fn figures(self, out: *mut Figures) {
        if !loads_directly() {
            Task::from_address(self.0).figures(out);
            return;
        }
        let mm = self.mm();
        let size = |place: &'static u32| load(mm, field(&LAYOUT.mm_window) + field(place));
        let first = field(&LAYOUT.mm_rss);
        let pages = |index: u32| load(mm, first + index * field(&LAYOUT.rss_stride));
        // SAFETY: callers pass a place in a record they reserved; fields are written, none is
        // read. The order of the counters is the kernel's: file, anonymous, swap, shared memory.
        unsafe {
            (*out).mm = mm;
            (*out).total_vm = size(&LAYOUT.mm_total_vm);
            (*out).stack_vm = size(&LAYOUT.mm_stack_vm);
            (*out).brk = size(&LAYOUT.mm_brk);
            (*out).start_brk = size(&LAYOUT.mm_start_brk);
            (*out).hiwater_rss = size(&LAYOUT.mm_hiwater_rss);
            if field(&LAYOUT.rss_stride) == size_of::<u64>() as u32 {
                // Bare integers in an array (before Linux 6.2), into which the verifier lets
                // nobody look.
                resident_apart(mm, out);
            } else {
                (*out).rss_file = pages(0);
                (*out).rss_anon = pages(1);
                (*out).rss_shmem = pages(3);
            }
        }
    }

    /// `mm->brk`.
    #[inline(always)]
    pub fn brk(self) -> u64 {
        self.size(&LAYOUT.mm_brk)
    }

    /// `mm->total_vm`, pages.
    #[inline(always)]
    pub fn total_vm(self) -> u64 {
        self.size(&LAYOUT.mm_total_vm)
    }

    /// A field of its `mm_struct`, by its place in the window.
    #[inline(always)]
    fn size(self, place: &'static u32) -> u64 {
        let offset = field(&LAYOUT.mm_window) + field(place);
        if loads_directly() {
            load(self.mm(), offset)
        } else {
            read(read(self.0, field(&LAYOUT.task_mm)), offset)
        }
    }

    #[inline(always)]
    fn mm(self) -> u64 {
        load(self.0, field(&LAYOUT.task_mm))
    }
}

/// A task (`struct task_struct`) by its address in the kernel.
#[derive(Clone, Copy)]
pub struct Task(u64);

impl Task {
    /// The task that runs this program; its fields read as zero without BTF.
    #[inline(always)]
    pub fn current() -> Self {
        if field(&LAYOUT.known) == 0 {
            return Self(0);
        }
        // SAFETY: the helper takes nothing and cannot fail.
        Self(unsafe { bpf_get_current_task() })
    }

    /// A task that a raw tracepoint handed over.
    #[inline(always)]
    pub const fn from_address(address: u64) -> Self {
        Self(address)
    }

    /// Its process.
    #[inline(always)]
    pub fn tgid(self) -> u32 {
        read(self.0, field(&LAYOUT.task_tgid))
    }

    /// Its thread id.
    #[inline(always)]
    pub fn pid(self) -> u32 {
        read(self.0, field(&LAYOUT.task_pid))
    }

    /// How many threads of its process are alive; `None` if that cannot be read.
    #[inline(always)]
    pub fn live_threads(self) -> Option<u32> {
        let signal: u64 = read(self.0, field(&LAYOUT.task_signal));
        if signal == 0 {
            return None;
        }
        Some(read(signal, field(&LAYOUT.signal_live)))
    }

    /// The figures of its address space; zero if it has none (any more).
    ///
    /// A function of the kernel's too: what it needs of the stack, which is most of what there is,
    /// is free again behind it.
    #[inline(never)]
    pub fn figures(self, out: *mut Figures) {
        // Without one, or without BTF, what is read is at no address.
        let mm: u64 = read(self.0, field(&LAYOUT.task_mm));
        // SAFETY: as in `sizes`.
        unsafe { (*out).mm = mm };
        // Two copies rather than a copy for each figure: the helper costs more than the
        // bytes. One after the other, so that they can have the same place on the stack: Linux
        // 5.10 has little of it.
        sizes(mm, out);
        resident(mm, out);
    }

    /// Where it is in the kernel.
    #[inline(always)]
    pub const fn address(self) -> u64 {
        self.0
    }
}

/// Writes the figures that lie in one part of `mm_struct`.
#[inline(always)]
fn sizes(mm: u64, out: *mut Figures) {
    let mut window = Window::<MM_WINDOW>::new();
    window.copy(mm.wrapping_add(u64::from(field(&LAYOUT.mm_window))));
    // SAFETY: callers pass a place in a record they reserved; fields are written, none is read.
    unsafe {
        (*out).total_vm = window.at(field(&LAYOUT.mm_total_vm));
        (*out).stack_vm = window.at(field(&LAYOUT.mm_stack_vm));
        (*out).brk = window.at(field(&LAYOUT.mm_brk));
        (*out).start_brk = window.at(field(&LAYOUT.mm_start_brk));
        (*out).hiwater_rss = window.at(field(&LAYOUT.mm_hiwater_rss));
    }
}

/// [`resident`] as a function of the kernel's, for the same reason as [`Task::figures`].
#[inline(never)]
fn resident_apart(mm: u64, out: *mut Figures) {
    resident(mm, out);
}

/// Writes the counters of `mm_struct.rss_stat`.
#[inline(always)]
fn resident(mm: u64, out: *mut Figures) {
    let mut window = Window::<RSS_WINDOW>::new();
    window.copy(mm.wrapping_add(u64::from(field(&LAYOUT.mm_rss))));
    let stride = field(&LAYOUT.rss_stride);
    // SAFETY: as in `sizes`. The order is that of the kernel's counters: file, anonymous, swap,
    // shared memory.
    unsafe {
        (*out).rss_file = window.at(0) as i64;
        (*out).rss_anon = window.at(stride) as i64;
        (*out).rss_shmem = window.at(3 * stride) as i64;
    }
}

/// A part of a kernel structure, copied at once.
#[repr(align(8))]
struct Window<const BYTES: usize>(MaybeUninit<[u8; BYTES]>);

impl<const BYTES: usize> Window<BYTES> {
    /// Not zeroed, as that would be a call of a function, which has a stack of its own.
    #[inline(always)]
    const fn new() -> Self {
        Self(MaybeUninit::uninit())
    }

    /// Takes what is at an address; zeros where nothing can be read.
    #[inline(always)]
    fn copy(&mut self, address: u64) {
        // SAFETY: the destination is as large as said; the helper zeroes it where the
        // source cannot be read.
        unsafe {
            bpf_probe_read_kernel(
                self.0.as_mut_ptr().cast(),
                BYTES as u32,
                address as *const _,
            )
        };
    }

    /// The word at an offset that user space keeps within the window, and aligned.
    #[inline(always)]
    fn at(&self, offset: u32) -> u64 {
        // SAFETY: by the promise above; the verifier checks it, as it knows the offset.
        unsafe { ptr::read_volatile(self.0.as_ptr().cast::<u8>().add(offset as usize).cast()) }
    }
}

/// Copies the top of the running thread's user stack; zeros where it is not in memory.
#[inline(always)]
pub fn user_stack(sp: u64, words: *mut [u64; STACK_WORDS]) {
    const BYTES: u32 = (STACK_WORDS * size_of::<u64>()) as u32;
    // SAFETY: `words` is a place in a reserved record; the helper writes its size, and
    // zeroes it where it fails.
    unsafe { bpf_probe_read_user(words.cast(), BYTES, sp as *const _) };
}

/// Copies a value from the user's memory; zero if it is not there.
#[inline(always)]
pub fn read_user_u64(address: u64) -> u64 {
    let mut value = 0u64;
    // SAFETY: the destination is a local of the size given.
    unsafe { bpf_probe_read_user((&raw mut value).cast(), 8, address as *const _) };
    value
}

/// A field of a kernel structure; zero if there is no structure or no BTF.
#[inline(always)]
pub fn read<T: Copy + Default>(base: u64, offset: u32) -> T {
    let mut value = T::default();
    if base != 0 && field(&LAYOUT.known) != 0 {
        let address = base + u64::from(offset);
        // SAFETY: the destination is a local of the size given; the helper zeroes it
        // where the source cannot be read.
        unsafe {
            bpf_probe_read_kernel(
                (&raw mut value).cast(),
                size_of::<T>() as u32,
                address as *const _,
            )
        };
    }
    value
}
