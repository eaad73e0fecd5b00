//! Which program goes where.

use crate::event::Syscall;

/// The program for the entry of a call, by its name in the object.
#[must_use]
pub fn entry_program(call: Syscall) -> &'static str {
    match call {
        Syscall::Mmap => "enter_mmap",
        Syscall::Mremap | Syscall::MapShadowStack => "enter_placing",
        Syscall::Brk => "enter_brk",
        Syscall::Shmat | Syscall::IoSetup => "enter_sized",
        Syscall::ProcessMadvise => "enter_ranges",
        Syscall::Prctl => "enter_naming",
        call if call.is_task_call() => "enter_task",
        _ => "enter_call",
    }
}

/// Every program for the entry of a call.
pub const ENTRY_PROGRAMS: &[&str] = &[
    "enter_call",
    "enter_mmap",
    "enter_placing",
    "enter_brk",
    "enter_sized",
    "enter_ranges",
    "enter_naming",
    "enter_task",
];

/// The program for the exit of every call.
pub const EXIT_PROGRAM: &str = "exit";

/// The program at the entry of `exit_group`.
pub const EXITING_PROGRAM: &str = "exiting";

/// Programs on raw tracepoints: program, tracepoint, whether it needs the kernel's BTF.
pub const TASK_PROGRAMS: &[(&str, &str, bool)] = &[
    ("fork", "sched_process_fork", true),
    ("exec", "sched_process_exec", false),
    ("thread_end", "sched_process_exit", false),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_has_a_program_that_exists() {
        for &call in Syscall::ALL {
            assert!(ENTRY_PROGRAMS.contains(&entry_program(call)), "{call}");
        }
    }
}
