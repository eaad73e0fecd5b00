//! Which file a descriptor stands for: a descriptor in, inode, device and path out.

use aya_ebpf::helpers::generated::{bpf_probe_read_kernel, bpf_probe_read_kernel_str};
use tracer_ebpf::{FileRecord, PATH_PART_LEN, PATH_PARTS};

use crate::memory::{LAYOUT, Task, field, read};

/// Tells which file a descriptor of the running task is: inode, device, and the path as
/// the host sees it. The path is what the process' map would show, unless that has been
/// given another root; user space prefers the map where it can still read it.
#[inline(always)]
pub fn describe(fd: u64, record: *mut FileRecord) {
    // SAFETY: callers pass a record they reserved; the fields are written, none is read.
    unsafe {
        (*record).inode = 0;
        (*record).device = 0;
        (*record).count = 0;
    }
    if field(&LAYOUT.files) == 0 {
        return;
    }
    let files: u64 = read(Task::current().address(), field(&LAYOUT.task_files));
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
