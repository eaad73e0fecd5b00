//! Where the kernel calls in: system calls at their entry and exit.
//!
//! Raw tracepoints, which hand over the saved registers: they are the same on every
//! kernel, need no tracefs, and cost the traced process about half of what the perf
//! events of single calls do.

use aya_ebpf::{
    helpers::bpf_get_current_pid_tgid, macros::raw_tracepoint, programs::RawTracePointContext,
};
use tracer_ebpf::{Target, kind};

use crate::{
    call::{self, Left},
    kinds::Kinds,
    maps::Plan,
    memory::Running,
    regs::Saved,
    targets, task,
};

/// `sys_enter(regs, id)`, for every system call of the machine.
#[raw_tracepoint(tracepoint = "sys_enter")]
pub fn sys_enter(ctx: RawTracePointContext) -> i32 {
    let nr = ctx.arg::<u64>(1);
    if let Some(plan) = Plan::of(nr) {
        let id = bpf_get_current_pid_tgid();
        if let Some(target) = targets::find((id >> 32) as u32) {
            entered(id, target, plan, nr as u32);
        }
    }
    0
}

/// `sys_exit(regs, ret)`, likewise.
#[raw_tracepoint(tracepoint = "sys_exit")]
pub fn sys_exit(ctx: RawTracePointContext) -> i32 {
    let saved = Saved::at(ctx.arg::<u64>(0));
    // Most calls of the machine are not ours: that costs less to know than whose they are.
    if saved.nr().is_some_and(|nr| Plan::of(nr).is_none()) {
        return 0;
    }
    let task = Running::task();
    let id = task.id();
    if let Some(target) = targets::find((id >> 32) as u32) {
        let ret = ctx.arg::<i64>(1);
        call::exit(id, target, &Left { task, saved, ret }, Kinds::ALL);
    }
    0
}

/// A target entered a call that is ours.
#[inline(always)]
pub fn entered(id: u64, target: *mut Target, plan: Plan, nr: u32) {
    if plan.kind() == kind::EXITING {
        task::exiting(id);
    } else {
        call::enter(id, target, plan, nr);
    }
}
