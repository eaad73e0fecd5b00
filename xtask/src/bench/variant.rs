//! The ways to trace that are compared: one entry each.

/// A way to trace.
#[derive(Debug, Clone, Copy)]
pub struct Variant {
    /// Its name in the tables, and by which `--only` picks it.
    pub name: &'static str,
    /// What it delivers of each call.
    pub delivers: &'static str,
    /// How it is started.
    pub how: How,
    /// The figure under which its ratio for a pair of `mmap` and `munmap` is kept, if a goal is about it.
    pub figure: Option<&'static str>,
}

/// How a variant is started.
#[derive(Debug, Clone, Copy)]
pub enum How {
    /// `workload floor`.
    Floor,
    /// The tracer, with these arguments besides those that make a report of the target.
    Tracer(&'static [&'static str]),
    /// The tracer, with these arguments, at a whole host.
    Host(&'static [&'static str]),
    /// Another program. `PID` in an argument stands for the target's.
    Peer {
        /// What is run.
        program: &'static str,
        /// Its arguments.
        arguments: &'static [&'static str],
    },
}

impl How {
    /// Whether calls of the allocator are delivered.
    pub fn has_heap(self) -> bool {
        matches!(self, Self::Tracer(arguments) if arguments.contains(&"--heap"))
    }
}

/// All of them, in the order of the tables. One that cannot be started is a row that says why.
pub const VARIANTS: &[Variant] = &[
    Variant {
        name: "empty raw tracepoints",
        delivers: "nothing: the floor of this way to trace",
        how: How::Floor,
        figure: Some("pair floor"),
    },
    Variant {
        name: "tracer, without stacks",
        delivers: "every call: arguments, result, times, VmSize, RSS, caller; a model",
        how: How::Tracer(&["--capture", "tracepoints", "--no-stacks"]),
        figure: Some("pair tracepoints"),
    },
    Variant {
        name: "tracer, as it is by default",
        delivers: "the same, and each stack once",
        how: How::Tracer(&["--capture", "tracepoints"]),
        figure: Some("pair stacks"),
    },
    Variant {
        name: "tracer, trampolines, without stacks",
        delivers: "the same without stacks",
        how: How::Tracer(&["--capture", "trampolines", "--no-stacks"]),
        figure: Some("pair trampolines"),
    },
    Variant {
        name: "tracer, with the heap view",
        delivers: "as by default, and what is handed out, block by block, and who asked for it",
        how: How::Tracer(&["--capture", "tracepoints", "--heap"]),
        figure: None,
    },
    Variant {
        name: "bpftrace, counting",
        delivers: "a number",
        how: How::Peer {
            program: "bpftrace",
            arguments: &["-e", COUNT],
        },
        figure: None,
    },
    Variant {
        name: "bpftrace, user stacks",
        delivers: "a number for each stack that frame pointers give",
        how: How::Peer {
            program: "bpftrace",
            arguments: &["-e", STACKS],
        },
        figure: None,
    },
    Variant {
        name: "bpftrace, printing",
        delivers: "a line a call: arguments, result",
        how: How::Peer {
            program: "bpftrace",
            arguments: &["-e", PRINT],
        },
        figure: None,
    },
    Variant {
        name: "perf trace",
        delivers: "a line a call: arguments, result, duration",
        how: How::Peer {
            program: "perf",
            arguments: &[
                "trace",
                "-e",
                "mmap,munmap,brk,madvise",
                "-o",
                "/dev/null",
                "-p",
                "PID",
            ],
        },
        figure: None,
    },
    Variant {
        name: "strace",
        delivers: "a line a call: arguments, result",
        how: How::Peer {
            program: "strace",
            arguments: &[
                "-f",
                "-e",
                "trace=mmap,munmap,brk,madvise",
                "-o",
                "/dev/null",
                "-p",
                "PID",
            ],
        },
        figure: None,
    },
    Variant {
        name: "bcc memleak",
        delivers: "outstanding `malloc` and libc's `mmap` by stack: not these calls when made directly",
        how: How::Peer {
            program: "memleak-bpfcc",
            arguments: &["-p", "PID", "1000"],
        },
        figure: None,
    },
];

const COUNT: &str = "tracepoint:syscalls:sys_enter_mmap,tracepoint:syscalls:sys_enter_munmap,\
                     tracepoint:syscalls:sys_enter_brk,tracepoint:syscalls:sys_enter_madvise \
                     /pid == PID/ { @[probe] = count(); }";
const STACKS: &str = "tracepoint:syscalls:sys_enter_mmap,tracepoint:syscalls:sys_enter_munmap,\
                      tracepoint:syscalls:sys_enter_brk,tracepoint:syscalls:sys_enter_madvise \
                      /pid == PID/ { @[ustack] = count(); }";
const PRINT: &str = "tracepoint:syscalls:sys_enter_mmap /pid == PID/ { printf(\"mmap %lx %lx %lx\\n\", \
                     args->addr, args->len, args->flags); } \
                     tracepoint:syscalls:sys_exit_mmap /pid == PID/ { printf(\"= %lx\\n\", args->ret); } \
                     tracepoint:syscalls:sys_enter_munmap /pid == PID/ { printf(\"munmap %lx %lx\\n\", \
                     args->addr, args->len); } \
                     tracepoint:syscalls:sys_exit_munmap /pid == PID/ { printf(\"= %d\\n\", args->ret); } \
                     tracepoint:syscalls:sys_enter_brk /pid == PID/ { printf(\"brk %lx\\n\", args->brk); } \
                     tracepoint:syscalls:sys_exit_brk /pid == PID/ { printf(\"= %lx\\n\", args->ret); } \
                     tracepoint:syscalls:sys_enter_madvise /pid == PID/ { printf(\"madvise %lx %lx %d\\n\", \
                     args->start, args->len_in, args->behavior); } \
                     tracepoint:syscalls:sys_exit_madvise /pid == PID/ { printf(\"= %d\\n\", args->ret); }";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ() {
        let mut names: Vec<_> = VARIANTS.iter().map(|variant| variant.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), VARIANTS.len());
    }
}
