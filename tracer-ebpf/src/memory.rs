//! The kernel's own figures of an address space, and the user's stack.
//!
//! Every read goes through a helper that fails rather than faults, at offsets that user
//! space resolved from the kernel's BTF; without it nothing is read and figures are zero.

use core::ptr;

use aya_ebpf::helpers::generated::{
    bpf_get_current_task, bpf_get_current_task_btf, bpf_probe_read_kernel,
    bpf_probe_read_kernel_str, bpf_probe_read_user, bpf_task_pt_regs,
};
use tracer_ebpf::{Figures, FileRecord, Layout, PATH_PART_LEN, PATH_PARTS, STACK_WORDS};

/// Set by user space before the program is loaded; the verifier sees it as constant, so
/// code behind a zero is dead to it and helpers this kernel lacks do no harm there.
#[unsafe(no_mangle)]
static LAYOUT: Layout = Layout::UNKNOWN;

/// One field of [`LAYOUT`], as the loader left it.
#[inline(always)]
fn field(value: &'static u32) -> u32 {
    // SAFETY: a reference is readable; volatile because the loader replaces the value
    // after the compiler has seen the zeros above.
    unsafe { ptr::read_volatile(value) }
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
    #[inline(always)]
    pub fn figures(self, out: *mut Figures) {
        let mm: u64 = read(self.0, field(&LAYOUT.task_mm));
        let rss: u32 = field(&LAYOUT.mm_rss);
        let stride: u32 = field(&LAYOUT.rss_stride);
        // SAFETY: callers pass a place in a record they reserved; each field is written,
        // none is read.
        unsafe {
            (*out).mm = mm;
            (*out).total_vm = read(mm, field(&LAYOUT.mm_total_vm));
            (*out).stack_vm = read(mm, field(&LAYOUT.mm_stack_vm));
            (*out).brk = read(mm, field(&LAYOUT.mm_brk));
            (*out).start_brk = read(mm, field(&LAYOUT.mm_start_brk));
            // The order of the kernel's counters: file, anonymous, swap, shared memory.
            (*out).rss_file = read(mm, rss);
            (*out).rss_anon = read(mm, rss + stride);
            (*out).rss_shmem = read(mm, rss + 3 * stride);
            (*out).hiwater_rss = read(mm, field(&LAYOUT.mm_hiwater_rss));
        }
    }

    /// `mm->brk`.
    #[inline(always)]
    pub fn brk(self) -> u64 {
        read(read(self.0, field(&LAYOUT.task_mm)), field(&LAYOUT.mm_brk))
    }

    /// `mm->total_vm`, pages.
    #[inline(always)]
    pub fn total_vm(self) -> u64 {
        read(
            read(self.0, field(&LAYOUT.task_mm)),
            field(&LAYOUT.mm_total_vm),
        )
    }
}

/// Tells which file a descriptor of the running task is: inode, device, and the path as
/// the host sees it. The path is what the process' map would show, unless that has been
/// given another root; user space prefers the map where it can still read it.
#[inline(always)]
pub fn describe_file(fd: u64, record: *mut FileRecord) {
    // SAFETY: callers pass a record they reserved; the fields are written, none is read.
    unsafe {
        (*record).inode = 0;
        (*record).device = 0;
        (*record).count = 0;
    }
    if field(&LAYOUT.files) == 0 {
        return;
    }
    let files: u64 = read(Task::current().0, field(&LAYOUT.task_files));
    let table: u64 = read(files, field(&LAYOUT.files_fdt));
    let open: u64 = read(table, field(&LAYOUT.fdt_fd));
    let file: u64 = read(open + (fd & 0xffff_ffff) * 8, 0);
    let mut dentry: u64 = read(file, field(&LAYOUT.file_dentry));
    let mut mount = read::<u64>(file, field(&LAYOUT.file_mnt));
    let inode: u64 = read(dentry, field(&LAYOUT.dentry_inode));
    let sb: u64 = read(inode, field(&LAYOUT.inode_sb));
    // SAFETY: as above.
    unsafe {
        (*record).inode = read(inode, field(&LAYOUT.inode_ino));
        (*record).device = u64::from(read::<u32>(sb, field(&LAYOUT.sb_dev)));
    }
    let mnt = u64::from(field(&LAYOUT.mount_mnt));
    for index in 0..PATH_PARTS {
        // The same for every step, with choices made by arithmetic: each branch would
        // double the verifier's work in every step.
        let parent = peek(dentry, field(&LAYOUT.dentry_parent));
        let root = peek(mount, field(&LAYOUT.vfsmount_root));
        let name = peek(dentry, field(&LAYOUT.dentry_name));
        let outer = peek(mount.wrapping_sub(mnt), field(&LAYOUT.mount_parent));
        let place = peek(mount.wrapping_sub(mnt), field(&LAYOUT.mount_mountpoint));
        // At the top of a file system the walk goes on where that is mounted, with an
        // empty part; the outermost one is mounted on itself, so the walk stays there.
        let top = all_ones_if_equal(dentry, root) | all_ones_if_equal(dentry, parent);
        // SAFETY: `index` is below the number of parts; the helper writes at most one, and
        // makes it empty where there is no name.
        unsafe {
            let part = (&raw mut (*record).parts)
                .cast::<u8>()
                .add(index * PATH_PART_LEN);
            let name = (name & !top) as *const _;
            bpf_probe_read_kernel_str(part.cast(), PATH_PART_LEN as u32, name);
        }
        dentry = (place & top) | (parent & !top);
        mount = (outer.wrapping_add(mnt) & top) | (mount & !top);
    }
    // SAFETY: as above.
    unsafe { (*record).count = PATH_PARTS as u64 };
}

/// All bits set if both are equal, else none; without a branch.
#[inline(always)]
fn all_ones_if_equal(a: u64, b: u64) -> u64 {
    let different = a ^ b;
    // The sign of `x | -x` is set for every x but 0.
    let nonzero = (different | different.wrapping_neg()) >> 63;
    nonzero.wrapping_sub(1)
}

/// Copies the instruction pointer and the top of the running thread's user stack; zeros
/// where the kernel has no way to say (before 5.15) or the stack is not in memory.
#[inline(always)]
pub fn user_stack(ip: *mut u64, words: *mut [u64; STACK_WORDS]) {
    const BYTES: u32 = (STACK_WORDS * size_of::<u64>()) as u32;
    let mut sp = 0u64;
    // SAFETY: `ip` and `words` are places in a reserved record; the helpers write at most
    // the size they are given, and zero it where they fail.
    unsafe {
        *ip = 0;
        if field(&LAYOUT.user_regs) != 0 {
            let regs = bpf_task_pt_regs(bpf_get_current_task_btf()) as u64;
            sp = read(regs, field(&LAYOUT.regs_sp));
            *ip = read(regs, field(&LAYOUT.regs_ip));
        }
        bpf_probe_read_user(words.cast(), BYTES, sp as *const _);
    }
}

/// Copies a value from the user's memory; zero if it is not there.
#[inline(always)]
pub fn read_user_u64(address: u64) -> u64 {
    let mut value = 0u64;
    // SAFETY: the destination is a local of the size given.
    unsafe { bpf_probe_read_user((&raw mut value).cast(), 8, address as *const _) };
    value
}

/// A pointer in a kernel structure; zero if it cannot be read.
#[inline(always)]
fn peek(base: u64, offset: u32) -> u64 {
    let mut value = 0u64;
    let address = base.wrapping_add(u64::from(offset));
    // SAFETY: the destination is a local of the size given; the helper zeroes it where the
    // source cannot be read.
    unsafe { bpf_probe_read_kernel((&raw mut value).cast(), 8, address as *const _) };
    value
}

/// A field of a kernel structure; zero if there is no structure or no BTF.
#[inline(always)]
fn read<T: Copy + Default>(base: u64, offset: u32) -> T {
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
