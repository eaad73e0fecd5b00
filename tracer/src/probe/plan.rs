//! What the kernel side does at each call: the table of system calls in, its plans out.

use tracer_ebpf::{CALL_SLOTS, kind, plan};

use crate::event::Syscall;

/// `exit_group`, which is no call that changes an address space: the end of one.
#[cfg(target_arch = "x86_64")]
const EXIT_GROUP: usize = 231;
#[cfg(target_arch = "aarch64")]
const EXIT_GROUP: usize = 94;

/// The plans by number of this architecture's calls; 0 where nothing is done. `stacks`: whether
/// callers' stacks are wanted.
#[must_use]
pub fn plans(stacks: bool) -> [u16; CALL_SLOTS] {
    let mut plans = [0; CALL_SLOTS];
    for &call in Syscall::ALL {
        let slot = call
            .number()
            .and_then(|number| usize::try_from(number).ok());
        if let Some(slot) = slot.and_then(|slot| plans.get_mut(slot)) {
            *slot = plan_of(call) | if stacks { stack_of(call) } else { 0 };
        }
    }
    plans[EXIT_GROUP] = record(kind::EXITING);
    plans
}

/// Calls that last long and change no range (`clone`, `execve`, …) are not counted: they
/// would keep the sequence lock taken.
fn plan_of(call: Syscall) -> u16 {
    match call {
        Syscall::Mmap => record(kind::PLACING) | plan::COUNTED | plan::FILE,
        Syscall::Mremap | Syscall::MapShadowStack => record(kind::PLACING) | plan::COUNTED,
        Syscall::Brk => record(kind::PLACING) | plan::COUNTED | plan::BRK_BEFORE,
        // The size is in no argument: VmSize before and after gives it.
        Syscall::Shmat => record(kind::PLACING) | plan::COUNTED | plan::SIZE_BEFORE,
        Syscall::IoSetup => {
            record(kind::PLACING) | plan::COUNTED | plan::SIZE_BEFORE | plan::CONTEXT
        }
        Syscall::ProcessMadvise => record(kind::RANGES),
        Syscall::Prctl => record(kind::NAMING),
        call if call.is_task_call() => record(kind::CALL) | plan::TASK,
        _ => record(kind::CALL) | plan::COUNTED,
    }
}

/// Whose callers' stacks matter: of calls that change VmSize, give memory back or split mappings.
const fn stack_of(call: Syscall) -> u16 {
    match call {
        Syscall::Mmap
        | Syscall::Munmap
        | Syscall::Mremap
        | Syscall::Mprotect
        | Syscall::PkeyMprotect => plan::STACK | plan::STACK_BY_LENGTH,
        Syscall::Madvise => plan::STACK | plan::STACK_BY_LENGTH | plan::STACK_BY_ADVICE,
        Syscall::ProcessMadvise => plan::STACK | plan::STACK_BY_FOURTH,
        Syscall::Brk | Syscall::Shmat | Syscall::Shmdt | Syscall::RemapFilePages => plan::STACK,
        _ => 0,
    }
}

fn record(kind: u32) -> u16 {
    u16::try_from(kind).unwrap_or(0) & plan::KIND
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_has_a_plan_with_a_record_of_its_own_kind() {
        let plans = plans(true);
        for number in Syscall::ALL.iter().filter_map(|call| call.number()) {
            let plan = plans[usize::try_from(number).expect("a small number")];
            assert_ne!(plan & plan::KIND, 0, "call {number}");
        }
        let traced = plans.iter().filter(|plan| **plan != 0).count();
        let known = Syscall::ALL.iter().filter(|call| call.number().is_some());
        assert_eq!(traced, known.count() + 1);
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn the_end_of_a_process_has_the_number_of_libc() {
        assert_eq!(EXIT_GROUP, libc::SYS_exit_group as usize);
    }
}
