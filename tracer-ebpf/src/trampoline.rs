//! Where the kernel calls in, by trampolines in the functions of the calls themselves:
//! other system calls of the machine cost nothing then.
//!
//! The same work as [`crate::hook`]'s, for kernels that allow it. A program belongs to one
//! function, so there are two for each call; each holds only what its call can need.

use aya_ebpf::{
    helpers::bpf_get_current_pid_tgid,
    macros::{fentry, fexit},
    programs::{FEntryContext, FExitContext},
};

use tracer_ebpf::Target;

use crate::{
    call::{self, Left},
    hook,
    kinds::Kinds,
    maps::Plan,
    memory::Running,
    regs::Saved,
    targets,
};

macro_rules! trampolines {
    ($($entry:ident $exit:ident $kinds:ident;)*) => {$(
        #[fentry]
        pub fn $entry(ctx: FEntryContext) -> i32 {
            enter(&ctx)
        }

        #[fexit]
        pub fn $exit(ctx: FExitContext) -> i32 {
            let id = bpf_get_current_pid_tgid();
            if let Some(target) = targets::find((id >> 32) as u32) {
                exit(&ctx, id, target, Kinds::$kinds);
            }
            0
        }
    )*};
}

trampolines! {
    fentry_mmap fexit_mmap MAPPING;
    fentry_munmap fexit_munmap CALL;
    fentry_brk fexit_brk PLACING;
    fentry_mremap fexit_mremap PLACING;
    fentry_mprotect fexit_mprotect CALL;
    fentry_pkey_mprotect fexit_pkey_mprotect CALL;
    fentry_madvise fexit_madvise CALL;
    fentry_process_madvise fexit_process_madvise RANGES;
    fentry_shmat fexit_shmat PLACING;
    fentry_shmdt fexit_shmdt CALL;
    fentry_remap_file_pages fexit_remap_file_pages CALL;
    fentry_prctl fexit_prctl NAMING;
    fentry_mlock fexit_mlock CALL;
    fentry_mlock2 fexit_mlock2 CALL;
    fentry_munlock fexit_munlock CALL;
    fentry_mlockall fexit_mlockall CALL;
    fentry_munlockall fexit_munlockall CALL;
    fentry_io_setup fexit_io_setup PLACING;
    fentry_io_destroy fexit_io_destroy CALL;
    fentry_map_shadow_stack fexit_map_shadow_stack PLACING;
    fentry_fork fexit_fork CALL;
    fentry_vfork fexit_vfork CALL;
    fentry_clone fexit_clone CALL;
    fentry_clone3 fexit_clone3 CALL;
    fentry_execve fexit_execve CALL;
    fentry_execveat fexit_execveat CALL;
}

/// `exit_group` never returns.
#[fentry]
pub fn fentry_exit_group(ctx: FEntryContext) -> i32 {
    enter(&ctx)
}

#[inline(always)]
fn exit(ctx: &FExitContext, id: u64, target: *mut Target, kinds: Kinds) {
    let task = Running::task();
    let saved = Saved::at(ctx.arg::<u64>(0));
    let ret = ctx.arg::<i64>(1);
    call::exit(id, target, &Left { task, saved, ret }, kinds);
}

#[inline(always)]
fn enter(ctx: &FEntryContext) -> i32 {
    let id = bpf_get_current_pid_tgid();
    if let Some(target) = targets::find((id >> 32) as u32) {
        let regs = Saved::at(ctx.arg::<u64>(0)).read();
        if let Some(plan) = Plan::of(regs.nr)
            && !regs.is_32_bit
        {
            hook::entered(id, target, plan, regs.nr as u32);
        }
    }
    0
}
