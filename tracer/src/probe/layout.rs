//! Where this kernel keeps what the probes read: BTF in, a [`Layout`] out.

use anyhow::{Context as _, Result};
use tracer_ebpf::Layout;

use crate::host::{btf::Btf, kernel::Release};

/// The first kernel with `bpf_task_pt_regs` and `bpf_get_current_task_btf` for tracing
/// programs (`kernel/trace/bpf_trace.c`).
const USER_REGISTERS_SINCE: Release = Release {
    major: 5,
    minor: 15,
};

/// Resolves every offset.
///
/// # Errors
/// A structure or member that the probes read is not in this kernel's BTF.
pub fn resolve(btf: &Btf, release: Release) -> Result<Layout> {
    let offset = |structure, member| btf.offset(structure, member);
    let rss = btf.member("mm_struct", "rss_stat")?;
    // An array of per-processor counters since Linux 6.2, before that a structure with an
    // array of counters.
    let (rss_first, rss_stride) = match btf.element_size(rss) {
        Some(size) => (rss.offset + btf.inner(rss, "count")?.offset, size),
        None => {
            let counts = btf.inner(rss, "count")?;
            let size = btf
                .element_size(counts)
                .context("the kernel's rss_stat.count is no array")?;
            (rss.offset + counts.offset, size)
        }
    };
    let layout = Layout {
        known: 1,
        user_regs: u32::from(release >= USER_REGISTERS_SINCE),
        task_mm: offset("task_struct", "mm")?,
        task_tgid: offset("task_struct", "tgid")?,
        task_pid: offset("task_struct", "pid")?,
        task_signal: offset("task_struct", "signal")?,
        signal_live: offset("signal_struct", "live")?,
        mm_total_vm: offset("mm_struct", "total_vm")?,
        mm_stack_vm: offset("mm_struct", "stack_vm")?,
        mm_brk: offset("mm_struct", "brk")?,
        mm_start_brk: offset("mm_struct", "start_brk")?,
        mm_hiwater_rss: offset("mm_struct", "hiwater_rss")?,
        mm_rss: rss_first,
        rss_stride,
        regs_sp: offset("pt_regs", "sp")?,
        regs_ip: offset("pt_regs", "ip").or_else(|_| offset("pt_regs", "pc"))?,
        ..Layout::UNKNOWN
    };
    // Without the way to a file's path names are read from the map only.
    Ok(with_files(btf, layout).unwrap_or(layout))
}

fn with_files(btf: &Btf, layout: Layout) -> Result<Layout> {
    let offset = |structure, member| btf.offset(structure, member);
    let nested = |structure, outer, inner| {
        let outer = btf.member(structure, outer)?;
        anyhow::Ok(outer.offset + btf.inner(outer, inner)?.offset)
    };
    Ok(Layout {
        files: 1,
        task_files: offset("task_struct", "files")?,
        files_fdt: offset("files_struct", "fdt")?,
        fdt_fd: offset("fdtable", "fd")?,
        file_mnt: nested("file", "f_path", "mnt")?,
        file_dentry: nested("file", "f_path", "dentry")?,
        dentry_parent: offset("dentry", "d_parent")?,
        dentry_name: nested("dentry", "d_name", "name")?,
        dentry_inode: offset("dentry", "d_inode")?,
        inode_ino: offset("inode", "i_ino")?,
        inode_sb: offset("inode", "i_sb")?,
        sb_dev: offset("super_block", "s_dev")?,
        mount_mnt: offset("mount", "mnt")?,
        mount_parent: offset("mount", "mnt_parent")?,
        mount_mountpoint: offset("mount", "mnt_mountpoint")?,
        vfsmount_root: offset("vfsmount", "mnt_root")?,
        ..layout
    })
}
