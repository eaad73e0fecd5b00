//! Where this kernel keeps what the probes read: BTF in, a [`Layout`] out.

use anyhow::{Context as _, Result, bail};
use tracer_ebpf::{Layout, MM_WINDOW, RSS_WINDOW};

use crate::host::btf::Btf;

/// Bytes of each figure.
const WORD: usize = size_of::<u64>();

/// Resolves every offset.
///
/// # Errors
/// A structure or member that the probes read is not in this kernel's BTF.
pub fn resolve(btf: &Btf) -> Result<Layout> {
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
    if 3 * rss_stride as usize + WORD > RSS_WINDOW {
        bail!("this kernel's counters of resident pages are too far apart");
    }
    let sizes = ["total_vm", "stack_vm", "brk", "start_brk", "hiwater_rss"];
    let sizes = sizes.map(|member| offset("mm_struct", member));
    let [total_vm, stack_vm, brk, start_brk, hiwater_rss] = sizes;
    let sizes = [total_vm?, stack_vm?, brk?, start_brk?, hiwater_rss?];
    let [total_vm, stack_vm, brk, start_brk, hiwater_rss] = sizes;
    let window = sizes.into_iter().min().unwrap_or_default();
    let last = sizes.into_iter().max().unwrap_or_default();
    if (last - window) as usize + WORD > MM_WINDOW {
        bail!("this kernel keeps the sizes of an address space too far apart");
    }
    let cast = btf
        .function("bpf_rdonly_cast")
        .zip(btf.structure("pt_regs"));
    let (cast, registers) = cast.unwrap_or_default();
    let layout = Layout {
        known: 1,
        cast,
        registers,
        task_mm: offset("task_struct", "mm")?,
        task_tgid: offset("task_struct", "tgid")?,
        task_pid: offset("task_struct", "pid")?,
        task_signal: offset("task_struct", "signal")?,
        signal_live: offset("signal_struct", "live")?,
        mm_window: window,
        mm_total_vm: total_vm - window,
        mm_stack_vm: stack_vm - window,
        mm_brk: brk - window,
        mm_start_brk: start_brk - window,
        mm_hiwater_rss: hiwater_rss - window,
        mm_rss: rss_first,
        rss_stride,
        ..Layout::UNKNOWN
    };
    // Without the way to a file's path names are read from the map only.
    Ok(with_files(btf, layout).unwrap_or(layout))
}

/// Resolves the way to a file's path alone.
///
/// # Errors
/// A structure or member on the way is not in this kernel's BTF.
pub fn resolve_files(btf: &Btf) -> Result<()> {
    with_files(btf, Layout::UNKNOWN).map(drop)
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
